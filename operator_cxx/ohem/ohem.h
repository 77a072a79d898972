// Online hard example mining (Shrivastava et al., CVPR 2016; FCIS section 3.2): of each image's rois only
// those with the largest loss keep their targets.
#ifndef OPERATOR_CXX_OHEM_OHEM_H_
#define OPERATOR_CXX_OHEM_OHEM_H_

#include <cmath>

#include "operator_cxx/common/sort.h"

// Scores and predictions are raw network outputs: cls_score (R, C), seg_pred (R, 2, area), bbox_pred,
// bbox_targets and bbox_weights (R, coords), labels (R), mask_targets (R, area). R = num_images groups of
// equal size; each keeps the `keep` rois with the largest class + mask + box loss (the later first among
// equals, NaN before all). The others get label -1, mask target -1, box weight 0. Labels outside [0, C) and
// mask targets outside {0, 1} cost nothing. `workspace` holds fullconv_ohem_workspace(...) bytes.
FULLCONV_API(fullconv_ohem_fwd, const float* cls_score, const float* seg_pred, const float* bbox_pred,
             const float* labels, const float* mask_targets, const float* bbox_targets,
             const float* bbox_weights, float* labels_out, float* mask_targets_out, float* bbox_weights_out,
             int num_rois, int num_images, int classes, int area, int coords, int keep, double cls_weight,
             double mask_weight, double bbox_weight, void* workspace, void* stream);
extern "C" __attribute__((visibility("default"))) size_t fullconv_ohem_workspace(int num_rois,
                                                                                 int num_images);

namespace fullconv {

struct OhemInputs {
  const float *cls_score, *seg_pred, *bbox_pred, *labels, *mask_targets, *bbox_targets, *bbox_weights;
  int classes, area, coords;
  double cls_weight, mask_weight, bbox_weight;

  FC_HD double class_loss(int64_t r) const {
    const float* score = cls_score + r * classes;
    const float label = labels[r];
    if (!(label >= 0.0f && label < static_cast<float>(classes))) return 0.0;
    float best = score[0];
    for (int c = 1; c < classes; ++c) best = score[c] > best ? score[c] : best;
    double sum = 0.0;
    for (int c = 0; c < classes; ++c) sum += exp(static_cast<double>(score[c]) - best);
    return -log(exp(static_cast<double>(score[static_cast<int>(label)]) - best) / sum + 1e-14);
  }

  // Mean over all pixels; ignored ones count as 0.
  FC_HD double mask_loss(int64_t r) const {
    const float *outside = seg_pred + r * 2 * area, *inside = outside + area,
                *target = mask_targets + r * area;
    double sum = 0.0;
    for (int i = 0; i < area; ++i) {
      if (target[i] != 0.0f && target[i] != 1.0f) continue;
      const double wrong_minus_right =
          (static_cast<double>(outside[i]) - inside[i]) * (2.0f * target[i] - 1.0f);
      // The original's constants: 2e-14 here, 1e-14 above.
      sum -= log(1.0 / (1.0 + exp(wrong_minus_right)) + 2e-14);
    }
    return sum / area;
  }

  FC_HD double box_loss(int64_t r) const {
    double sum = 0.0;
    for (int64_t i = r * coords; i < (r + 1) * coords; ++i) {
      const double x = fabs(static_cast<double>(bbox_pred[i]) - bbox_targets[i]);
      sum += bbox_weights[i] * (x < 1.0 ? 0.5 * x * x : x - 0.5);
    }
    return sum;
  }

  // A float32, as sort keys hold no more; the sum is made in double before.
  FC_HD float loss(int64_t r) const {
    return static_cast<float>(cls_weight * class_loss(r) + mask_weight * mask_loss(r) +
                              bbox_weight * box_loss(r));
  }
};

struct RankLosses {
  OhemInputs in;
  int64_t per_image, row;
  uint64_t* keys;  // (num_images, row)
  FC_HD void operator()(int64_t index) const {
    const int64_t image = index / row, position = index % row;
    keys[index] = position >= per_image
                      ? 0
                      : sort_key(in.loss(image * per_image + position), static_cast<uint32_t>(position));
  }
};

struct MarkHardest {
  const uint64_t* keys;
  int64_t per_image, row, top;
  uint8_t* hard;  // (num_rois), zero
  FC_HD void operator()(int64_t index) const {
    const int64_t image = index / top;
    hard[image * per_image + key_position(keys[image * row + index % top])] = 1;
  }
};

// out[r, :] = in[r, :] where roi r is hard, else `otherwise`.
struct KeepHard {
  const uint8_t* hard;
  const float* in;
  float* out;
  int64_t columns;
  float otherwise;
  FC_HD void operator()(int64_t row, int64_t column) const {
    const int64_t at = row * columns + column;
    out[at] = hard[row] ? in[at] : otherwise;
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_OHEM_OHEM_H_
