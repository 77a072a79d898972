// The C entry points, compiled by sigmoid_focal_loss.cc for the CPU and by sigmoid_focal_loss.cu for CUDA.
#ifndef OPERATOR_CXX_SIGMOID_FOCAL_LOSS_SIGMOID_FOCAL_LOSS_ENTRIES_H_
#define OPERATOR_CXX_SIGMOID_FOCAL_LOSS_SIGMOID_FOCAL_LOSS_ENTRIES_H_

#include "operator_cxx/sigmoid_focal_loss/sigmoid_focal_loss.h"

int FC_ENTRY(fullconv_sigmoid_focal_loss_fwd)(const float* logits, const float* labels, float* loss, int n,
                                              int classes, int area, double alpha, double gamma,
                                              void* stream) {
  using namespace fullconv;
  const FocalInputs inputs{
      logits, labels, classes, area, static_cast<float>(alpha), static_cast<float>(gamma)};
  return map_rows(FC_BACKEND(stream), 0, int64_t{n} * classes, area, FocalLoss{inputs, loss});
}

int FC_ENTRY(fullconv_sigmoid_focal_loss_bwd)(const float* grad_loss, const float* logits,
                                              const float* labels, float* grad_logits, int n, int classes,
                                              int area, double alpha, double gamma, void* stream) {
  using namespace fullconv;
  const FocalInputs inputs{
      logits, labels, classes, area, static_cast<float>(alpha), static_cast<float>(gamma)};
  return map_rows(FC_BACKEND(stream), 0, int64_t{n} * classes, area,
                  FocalGradient{inputs, grad_loss, grad_logits});
}

#endif  // OPERATOR_CXX_SIGMOID_FOCAL_LOSS_SIGMOID_FOCAL_LOSS_ENTRIES_H_
