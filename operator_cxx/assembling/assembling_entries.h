// The C entry points, compiled by assembling.cc for the CPU and by assembling.cu for CUDA.
#ifndef OPERATOR_CXX_ASSEMBLING_ASSEMBLING_ENTRIES_H_
#define OPERATOR_CXX_ASSEMBLING_ASSEMBLING_ENTRIES_H_

#include "operator_cxx/assembling/assembling.h"

int FC_ENTRY(fullconv_assemble_fwd)(const float* maps, const float* windows, float* out, float* valid, int n,
                                    int group, int size, int rule, int height, int width, int num_windows,
                                    void* stream) {
  const fullconv::Assembling a(n, group, size, rule, height, width, num_windows);
  const fullconv::AssembleForward rows{maps, windows, out, valid, a};
  return fullconv::map_rows(FC_BACKEND(stream), 0, int64_t{num_windows} * size, size, rows);
}

int FC_ENTRY(fullconv_assemble_bwd)(const float* grad_out, const float* windows, float* grad_maps, int n,
                                    int group, int size, int rule, int height, int width, int num_windows,
                                    void* stream) {
  const fullconv::Assembling a(n, group, size, rule, height, width, num_windows);
  const auto backend = FC_BACKEND(stream);
  const int failed = backend.zero(grad_maps, sizeof(float) * n * group * group * a.area());
  if (failed) return failed;
#ifdef __CUDACC__
  const fullconv::AssembleBackwardPixel body{grad_out, windows, grad_maps, a};
  return backend.for_each_2d(int64_t{num_windows} * size, size, body);
#else
  const fullconv::AssembleBackwardMap body{grad_out, windows, grad_maps, a};
  return backend.for_each(int64_t{n} * group * group, body, 1);
#endif
}

#endif  // OPERATOR_CXX_ASSEMBLING_ASSEMBLING_ENTRIES_H_
