// The element-by-element entry points, compiled by psroi_pooling.cc for the CPU and by psroi_pooling.cu for
// CUDA.
#ifndef OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_ENTRIES_H_
#define OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_ENTRIES_H_

#include "operator_cxx/psroi_pooling/psroi_pooling.h"

int FC_ENTRY(fullconv_psroi_pooling_direct_fwd)(const float* data, const float* rois, float* out, int n,
                                                int dim, int group, int pooled, int height, int width,
                                                int num_rois, float scale, void* stream) {
  const fullconv::PsroiShape s{n, dim, group, pooled, height, width, num_rois, scale};
  const fullconv::PsroiDirectForward body{data, rois, out, s};
  return FC_BACKEND(stream).for_each_2d(int64_t{num_rois} * dim, s.bins(), body);
}

int FC_ENTRY(fullconv_psroi_pooling_direct_bwd)(const float* grad_out, const float* rois, float* grad_data,
                                                int n, int dim, int group, int pooled, int height, int width,
                                                int num_rois, float scale, void* stream) {
  const fullconv::PsroiShape s{n, dim, group, pooled, height, width, num_rois, scale};
  const fullconv::PsroiDirectBackward body{grad_out, rois, grad_data, s};
  const int64_t rows = int64_t{num_rois} * dim;
  const auto backend = FC_BACKEND(stream);
  const int failed = backend.zero(grad_data, sizeof(float) * n * dim * s.cells() * s.area());
  if (failed) return failed;
#ifdef __CUDACC__
  return backend.for_each_2d(rows, s.bins(), body);
#else
  return backend.for_each_2d(rows, s.bins(), body, rows * s.bins());  // one thread: there are no atomics here
#endif
}

#endif  // OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_ENTRIES_H_
