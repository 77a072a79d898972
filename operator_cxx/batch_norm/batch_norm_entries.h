// The C entry points, compiled by batch_norm.cc for the CPU and by batch_norm.cu for CUDA.
#ifndef OPERATOR_CXX_BATCH_NORM_BATCH_NORM_ENTRIES_H_
#define OPERATOR_CXX_BATCH_NORM_BATCH_NORM_ENTRIES_H_

#include "operator_cxx/batch_norm/batch_norm.h"

int FC_ENTRY(fullconv_batch_moments_fwd)(const float* data, float* moments, int n, int channels, int area,
                                         void* workspace, void* stream) {
  using namespace fullconv;
  const BatchShape s{n, channels, area};
  const Moments rows{data, area};
  const auto backend = FC_BACKEND(stream);
  Workspace space(workspace);
  Pair* sums = batch_norm_sums(&space, n, channels);
  const int failed = sum_rows(backend, 0, s.rows(), area, rows, sums);
  return failed ? failed : backend.for_each(channels, ChannelMoments{rows, sums, moments, s});
}

int FC_ENTRY(fullconv_batch_moments_bwd)(const float* grad_moments, const float* data, const float* moments,
                                         float* grad_data, int n, int channels, int area, void* stream) {
  using namespace fullconv;
  const BatchShape s{n, channels, area};
  return map_rows(FC_BACKEND(stream), 0, s.rows(), area,
                  MomentsGradient{grad_moments, data, moments, grad_data, s});
}

int FC_ENTRY(fullconv_batch_statistics_fwd)(const float* parts, float* running_mean, float* running_var,
                                            float* statistics, int count, int channels, double momentum,
                                            void* stream) {
  using namespace fullconv;
  return FC_BACKEND(stream).for_each(
      channels, JoinParts{parts, running_mean, running_var, statistics, count, channels, momentum});
}

int FC_ENTRY(fullconv_batch_statistics_bwd)(const float* grad_statistics, const float* parts,
                                            const float* statistics, float* grad_parts, int count,
                                            int channels, void* stream) {
  using namespace fullconv;
  return FC_BACKEND(stream).for_each(
      channels, PartsGradient{grad_statistics, parts, statistics, grad_parts, count, channels});
}

int FC_ENTRY(fullconv_batch_normalize_fwd)(const float* data, const float* statistics, const float* gamma,
                                           const float* beta, float* out, int n, int channels, int area,
                                           double eps, void* stream) {
  using namespace fullconv;
  return map_rows(FC_BACKEND(stream), 0, int64_t{n} * channels, area,
                  BatchNormalize{data, beta, out, {statistics, gamma, channels, eps}, area});
}

int FC_ENTRY(fullconv_batch_normalize_bwd)(const float* grad_out, const float* data, const float* statistics,
                                           const float* gamma, float* grad_data, float* grad_statistics,
                                           float* grad_gamma, float* grad_beta, int n, int channels, int area,
                                           double eps, void* workspace, void* stream) {
  using namespace fullconv;
  const BatchScale by{statistics, gamma, channels, eps};
  const int64_t rows = int64_t{n} * channels;
  const auto backend = FC_BACKEND(stream);
  Workspace space(workspace);
  Pair* sums = batch_norm_sums(&space, n, channels);
  int failed = sum_rows(backend, 0, rows, area, BatchGradientSums{grad_out, data, by, area}, sums);
  if (!failed) {
    failed = backend.for_each(channels,
                              BatchParameterGradients{sums, by, grad_statistics, grad_gamma, grad_beta, n});
  }
  return failed ? failed : map_rows(backend, 0, rows, area, BatchDataGradient{grad_out, grad_data, by, area});
}

#endif  // OPERATOR_CXX_BATCH_NORM_BATCH_NORM_ENTRIES_H_
