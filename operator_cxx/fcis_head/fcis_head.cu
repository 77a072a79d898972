#include "operator_cxx/fcis_head/fcis_head_entries.h"

int fullconv_fcis_head_cuda(const float* cls_seg, const float* bbox, const float* rois, float* cls_prob,
                            float* bbox_pred, float* seg_pred, int n, int classes, int num_reg, int group,
                            int pooled, int height, int width, int num_rois, float scale, void* workspace,
                            void* stream) {
  return fullconv_fcis_head_direct_cuda(cls_seg, bbox, rois, cls_prob, bbox_pred, seg_pred, n, classes,
                                        num_reg, group, pooled, height, width, num_rois, scale, workspace,
                                        stream);
}
