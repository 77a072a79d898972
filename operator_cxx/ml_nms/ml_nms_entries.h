// The C entry point, compiled by ml_nms.cc for the CPU and by ml_nms.cu for CUDA.
#ifndef OPERATOR_CXX_ML_NMS_ML_NMS_ENTRIES_H_
#define OPERATOR_CXX_ML_NMS_ML_NMS_ENTRIES_H_

#include "operator_cxx/ml_nms/ml_nms.h"

int FC_ENTRY(fullconv_ml_nms)(const float* boxes, const float* scores, const float* labels, float* keep,
                              int n, double threshold, void* workspace, void* stream) {
  if (n <= 0) return 0;
  fullconv::Workspace ws(workspace);
  return fullconv::ml_nms(FC_BACKEND(stream), {boxes, scores, labels, n}, static_cast<float>(threshold), keep,
                          &ws);
}

#endif  // OPERATOR_CXX_ML_NMS_ML_NMS_ENTRIES_H_
