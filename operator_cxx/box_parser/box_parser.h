// Second-stage rois: the first-stage rois moved by the box regression of the first pass (FCIS section 3.3).
#ifndef OPERATOR_CXX_BOX_PARSER_BOX_PARSER_H_
#define OPERATOR_CXX_BOX_PARSER_BOX_PARSER_H_

#include "operator_cxx/common/box.h"

// rois (R, 5), bbox_delta (R, coords), cls_prob (R, classes), im_info (N, 3) = height, width, scale -> out
// (R, 5). `numbers` (8, on the host, also for CUDA): means and standard deviations of the deltas. A roi whose
// batch index is outside [0, N) or whose new box has NaN becomes an empty box at the origin.
FULLCONV_API(fullconv_box_parser_fwd, const float* rois, const float* bbox_delta, const float* cls_prob,
             const float* im_info, float* out, int num_rois, int coords, int classes, int num_images,
             const float* numbers, int class_agnostic, void* stream);

namespace fullconv {

struct ParseBoxes {
  const float *rois, *bbox_delta, *cls_prob, *im_info;
  float* out;
  int coords, classes, num_images;
  bool class_agnostic;
  float means[4], stds[4];

  FC_HD void operator()(int64_t r) const {
    const float* roi = rois + r * 5;
    float* result = out + r * 5;
    result[0] = roi[0];
    for (int k = 1; k < 5; ++k) result[k] = 0.0f;
    if (!(roi[0] >= 0.0f && roi[0] < static_cast<float>(num_images))) return;
    const float* info = im_info + static_cast<int64_t>(roi[0]) * 3;
    const float* delta =
        bbox_delta + r * coords + 4 * (class_agnostic ? 1 : best_class(cls_prob + r * classes));
    float d[4];  // float32, as in the original
    for (int k = 0; k < 4; ++k) d[k] = delta[k] * stds[k] + means[k];
    const Box box = clip_box(decode_box(load_box(roi + 1), d[0], d[1], d[2], d[3]), info[0], info[1]);
    if (is_finite(box)) store_box(box, result + 1);
  }

  // The first best of 1 .. classes - 1.
  FC_HD int best_class(const float* prob) const {
    int best = 1;
    for (int c = 2; c < classes; ++c) best = prob[c] > prob[best] ? c : best;
    return best;
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_BOX_PARSER_BOX_PARSER_H_
