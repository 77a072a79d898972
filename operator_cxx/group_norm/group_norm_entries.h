// The C entry points, compiled by group_norm.cc for the CPU and by group_norm.cu for CUDA.
#ifndef OPERATOR_CXX_GROUP_NORM_GROUP_NORM_ENTRIES_H_
#define OPERATOR_CXX_GROUP_NORM_GROUP_NORM_ENTRIES_H_

#include "operator_cxx/group_norm/group_norm.h"

int FC_ENTRY(fullconv_group_norm_fwd)(const float* data, const float* gamma, const float* beta, float* out,
                                      int n, int channels, int groups, int area, double eps, int relu,
                                      void* workspace, void* stream) {
  using namespace fullconv;
  const GroupNormShape s{n, channels, groups, area, eps, relu != 0};
  Workspace space(workspace);
  const GroupNormScratch scratch(&space, n, channels, groups);
  const Moments moments{data, s.area};
  const auto backend = FC_BACKEND(stream);
  const auto part = [&](int64_t first, int64_t count) {
    const int64_t begin = first * s.rows_per_group(), rows = count * s.rows_per_group();
    int failed = sum_rows(backend, begin, rows, s.area, moments, scratch.sums);
    if (!failed) failed = backend.for_each(count, JoinMoments{moments, gamma, beta, scratch, s, first});
    if (failed) return failed;
    return map_rows(backend, begin, rows, s.area,
                    Normalise{data, out, scratch.normalisers, s.area, threshold(s)});
  };
  return for_blocks(backend, s.n * s.groups, s.rows() * s.area, part);
}

int FC_ENTRY(fullconv_group_norm_bwd)(const float* grad_out, const float* data, const float* gamma,
                                      const float* beta, float* grad_data, float* grad_gamma,
                                      float* grad_beta, int n, int channels, int groups, int area, double eps,
                                      int relu, void* workspace, void* stream) {
  using namespace fullconv;
  const GroupNormShape s{n, channels, groups, area, eps, relu != 0};
  Workspace space(workspace);
  const GroupNormScratch scratch(&space, n, channels, groups);
  const Moments moments{data, s.area};
  const auto backend = FC_BACKEND(stream);
  const HeadGradients heads{data, grad_out, scratch.normalisers, s.area, threshold(s)};
  const auto part = [&](int64_t first, int64_t count) {
    const int64_t begin = first * s.rows_per_group(), rows = count * s.rows_per_group();
    // Computed again: MXNet hands a backward pass inputs and outputs, but no statistics.
    int failed = sum_rows(backend, begin, rows, s.area, moments, scratch.sums);
    if (!failed) failed = backend.for_each(count, JoinMoments{moments, gamma, beta, scratch, s, first});
    if (!failed) failed = sum_rows(backend, begin, rows, s.area, GradientSums{heads}, scratch.sums);
    if (!failed) failed = backend.for_each(count, JoinGradients{gamma, scratch, s, first});
    if (failed) return failed;
    return map_rows(backend, begin, rows, s.area, DataGradient{heads, scratch.gradients, grad_data});
  };
  const int failed = for_blocks(backend, s.n * s.groups, s.rows() * s.area, part);
  if (failed) return failed;
  return backend.for_each(s.channels, ParameterGradients{scratch.sums, grad_gamma, grad_beta, s});
}

#endif  // OPERATOR_CXX_GROUP_NORM_GROUP_NORM_ENTRIES_H_
