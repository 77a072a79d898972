// The element-by-element entry point, compiled by fcis_head.cc for the CPU and by fcis_head.cu for CUDA.
#ifndef OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_ENTRIES_H_
#define OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_ENTRIES_H_

#include "operator_cxx/fcis_head/fcis_head.h"

int FC_ENTRY(fullconv_fcis_head_direct)(const float* cls_seg, const float* bbox, const float* rois,
                                        float* cls_prob, float* bbox_pred, float* seg_pred, int n,
                                        int classes, int num_reg, int group, int pooled, int height,
                                        int width, int num_rois, float scale, void* workspace, void* stream) {
  using namespace fullconv;
  const HeadShape head{classes, num_reg, {n, 0, group, pooled, height, width, num_rois, scale}};
  const auto backend = FC_BACKEND(stream);
  const int64_t scores = int64_t{num_rois} * classes, coordinates = int64_t{num_rois} * num_reg;
  float* sums = static_cast<float*>(workspace);  // of the classes, later of the coordinates
  int failed = backend.for_each_2d(scores, pooled, HeadRowSum{cls_seg, rois, sums, head.cls_seg(), true}, 1);
  if (!failed) failed = backend.for_each(scores, HeadMean{sums, cls_prob, pooled});
  if (!failed) failed = backend.for_each(num_rois, HeadSoftmax{cls_prob, classes});
  if (!failed) {
    failed = backend.for_each_2d(num_rois, int64_t{pooled} * pooled,
                                 HeadMask{cls_seg, rois, cls_prob, seg_pred, head.cls_seg()});
  }
  if (!failed) {
    failed = backend.for_each_2d(coordinates, pooled, HeadRowSum{bbox, rois, sums, head.bbox(), false}, 1);
  }
  if (!failed) failed = backend.for_each(coordinates, HeadMean{sums, bbox_pred, pooled});
  return failed;
}

#endif  // OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_ENTRIES_H_
