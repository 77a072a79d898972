// The C entry points, compiled by iou_loss.cc for the CPU and by iou_loss.cu for CUDA.
#ifndef OPERATOR_CXX_IOU_LOSS_IOU_LOSS_ENTRIES_H_
#define OPERATOR_CXX_IOU_LOSS_IOU_LOSS_ENTRIES_H_

#include "operator_cxx/iou_loss/iou_loss.h"

int FC_ENTRY(fullconv_iou_loss_fwd)(const float* pred, const float* target, const float* weight, float* loss,
                                    int rows, int mode, void* stream) {
  return FC_BACKEND(stream).for_each(rows, fullconv::IouLoss{pred, target, weight, loss, mode});
}

int FC_ENTRY(fullconv_iou_loss_bwd)(const float* grad_loss, const float* pred, const float* target,
                                    const float* weight, float* grad_pred, int rows, int mode, void* stream) {
  return FC_BACKEND(stream).for_each(
      rows, fullconv::IouLossGradient{grad_loss, pred, target, weight, grad_pred, mode});
}

#endif  // OPERATOR_CXX_IOU_LOSS_IOU_LOSS_ENTRIES_H_
