// The C entry points, compiled by channel_operator.cc for the CPU and by channel_operator.cu for CUDA.
#ifndef OPERATOR_CXX_CHANNEL_OPERATOR_CHANNEL_OPERATOR_ENTRIES_H_
#define OPERATOR_CXX_CHANNEL_OPERATOR_CHANNEL_OPERATOR_ENTRIES_H_

#include "operator_cxx/channel_operator/channel_operator.h"

int FC_ENTRY(fullconv_group_max_fwd)(const float* data, float* out, int n, int groups, int depth, int area,
                                     void* stream) {
  const fullconv::GroupMaxForward body{data, out, depth, area};
  return FC_BACKEND(stream).for_each_2d(int64_t{n} * groups, area, body);
}

int FC_ENTRY(fullconv_group_max_bwd)(const float* grad_out, const float* data, float* grad_in, int n,
                                     int groups, int depth, int area, void* stream) {
  const fullconv::GroupMaxBackward body{grad_out, data, grad_in, depth, area};
  return FC_BACKEND(stream).for_each_2d(int64_t{n} * groups, area, body);
}

int FC_ENTRY(fullconv_group_pick_fwd)(const float* data, const float* pick, float* out, int n, int groups,
                                      int depth, int area, int by_score, void* stream) {
  const int64_t block = int64_t{depth} * area;
  const fullconv::GroupPickForward body{data, pick, out, groups, block, by_score != 0};
  return FC_BACKEND(stream).for_each_2d(n, block, body);
}

int FC_ENTRY(fullconv_group_pick_bwd)(const float* grad_out, const float* pick, float* grad_in, int n,
                                      int groups, int depth, int area, int by_score, void* stream) {
  const int64_t block = int64_t{depth} * area;
  const fullconv::GroupPickBackward body{grad_out, pick, grad_in, groups, block, by_score != 0};
  return FC_BACKEND(stream).for_each_2d(int64_t{n} * groups, block, body);
}

int FC_ENTRY(fullconv_group_softmax_fwd)(const float* data, float* out, int n, int groups, int depth,
                                         int area, void* stream) {
  const fullconv::GroupSoftmaxForward body{data, out, depth, area};
  return FC_BACKEND(stream).for_each_2d(int64_t{n} * groups, area, body);
}

int FC_ENTRY(fullconv_group_softmax_bwd)(const float* grad_out, const float* out, float* grad_in, int n,
                                         int groups, int depth, int area, void* stream) {
  const fullconv::GroupSoftmaxBackward body{grad_out, out, grad_in, depth, area};
  return FC_BACKEND(stream).for_each_2d(int64_t{n} * groups, area, body);
}

#endif  // OPERATOR_CXX_CHANNEL_OPERATOR_CHANNEL_OPERATOR_ENTRIES_H_
