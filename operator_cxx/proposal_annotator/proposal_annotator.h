// Training targets of the second stage for sampled rois: class label, box regression target, mask target
// (FCIS, CVPR 2017, section 3.2), in the original's arithmetic.
#ifndef OPERATOR_CXX_PROPOSAL_ANNOTATOR_PROPOSAL_ANNOTATOR_H_
#define OPERATOR_CXX_PROPOSAL_ANNOTATOR_PROPOSAL_ANNOTATOR_H_

#include "operator_cxx/proposal_annotator/sampling.h"

// rois (N * P, 5), gt_boxes (N, G, 5), gt_masks (N, G, H, W), seed (N) -> out_rois (N * R, 5), label (N * R),
// bbox_target and bbox_weight (N * R, 4 * num_reg_classes), mask_target (N * R, 1, M, M), where R is
// batch_rois / batch_images, or P + G when batch_rois is -1. `bbox_numbers` (12, on the host, also for CUDA):
// means, standard deviations, weights. `workspace` holds fullconv_proposal_annotator_workspace(...) bytes.
FULLCONV_API(fullconv_proposal_annotator_fwd, const float* rois, const float* gt_boxes, const float* gt_masks,
             const float* seed, float* out_rois, float* label, float* bbox_target, float* bbox_weight,
             float* mask_target, int n, int rois_each, int gt_each, int mask_h, int mask_w, int batch_images,
             int batch_rois, double fg_fraction, double fg_thresh, double bg_thresh_hi, double bg_thresh_lo,
             const double* bbox_numbers, int normalize, int gap_select_from_all, int ignore_gap,
             double binary_thresh, int mask_size, int num_reg_classes, void* workspace, void* stream);
extern "C" __attribute__((visibility("default"))) size_t
fullconv_proposal_annotator_workspace(int n, int rois_each, int gt_each, int batch_images, int batch_rois);

namespace fullconv {

inline int64_t annotator_rows(int rois_each, int gt_each, int batch_images, int batch_rois) {
  return batch_rois == -1 ? int64_t{rois_each} + gt_each : batch_rois / batch_images;
}

struct BoxCoding {
  double means[4], stds[4], weights[4];
  int num_reg_classes;  // 2: class-agnostic, columns 4..7; else columns 4 * label ..
  bool normalize;

  BoxCoding(const double* numbers, int reg_classes, bool use_means_and_stds)
      : num_reg_classes(reg_classes), normalize(use_means_and_stds) {
    for (int k = 0; k < 4; ++k) {
      means[k] = numbers[k];
      stds[k] = numbers[4 + k];
      weights[k] = numbers[8 + k];
    }
  }
};

// One row of rois, label, bbox_target and bbox_weight.
struct WriteRow {
  AnnotatorInputs in;
  Assignment from;
  Sample sample;
  BoxCoding coding;
  bool ignore_gap;
  float *rois, *label, *bbox_target, *bbox_weight;

  FC_HD void operator()(int64_t index) const {
    const int64_t image = index / sample.rows, row = index % sample.rows, width = 4 * coding.num_reg_classes;
    // A row without a candidate repeats the first roi, ignored by every loss.
    const int32_t chosen = sample.keep[index], c = chosen >= 0 ? chosen : 0;
    const float* box = from.box(in, image, c);
    float* roi = rois + index * 5;
    roi[0] = static_cast<float>(image);
    for (int k = 0; k < 4; ++k) roi[1 + k] = box[k];
    for (int64_t k = 0; k < width; ++k)
      bbox_target[index * width + k] = bbox_weight[index * width + k] = 0.0f;
    if (row < sample.num_fg[image]) {
      const float* gt = in.gt(image, from.assigned[image * in.candidates() + c]);
      label[index] = gt[4];
      write_target(box, gt, bbox_target + index * width, bbox_weight + index * width);
    } else {
      label[index] = chosen < 0 || (ignore_gap && row >= sample.num_own[image]) ? -1.0f : 0.0f;
    }
  }

  FC_HD void write_target(const float* box, const float* gt, float* target, float* weight) const {
    const float group = coding.num_reg_classes == 2 ? 1.0f : gt[4];
    if (!(group < coding.num_reg_classes)) return;
    float code[4];
    encode_box(box, gt, code);
    const float sum = fabsf(code[0]) + fabsf(code[1]) + fabsf(code[2]) + fabsf(code[3]);
    if (!(sum < HUGE_VALF)) return;  // degenerate roi: no target, where the original trains on infinity
    const int first = 4 * static_cast<int>(group);
    for (int k = 0; k < 4; ++k) {
      const double value = code[k];
      target[first + k] =
          static_cast<float>(coding.normalize ? (value - coding.means[k]) / coding.stds[k] : value);
      weight[first + k] = static_cast<float>(coding.weights[k]);
    }
  }
};

// Pixel coordinate, rounded half to even as numpy does; far or NaN values stay within reach of an int64_t.
FC_HD int64_t round_pixel(double value) {
  if (!(value > -1e9)) return value == value ? -1000000000 : 0;
  return static_cast<int64_t>(rint(value < 1e9 ? value : 1e9));
}

// The part of a ground truth mask inside its box, seen from a roi: zero outside.
struct MaskWindow {
  const float* mask;                         // (H, W)
  int64_t stride, left, top, width, height;  // the roi
  int64_t x1, y1, x2, y2;                    // the box, clamped to the mask array

  FC_HD MaskWindow(const float* gt_mask, int h, int w, const float* roi, const float* gt)
      : mask(gt_mask),
        stride(w),
        left(round_pixel(roi[0])),
        top(round_pixel(roi[1])),
        width(round_pixel(roi[2]) - left + 1),
        height(round_pixel(roi[3]) - top + 1),
        x1(at_least_zero(round_pixel(gt[0]))),
        y1(at_least_zero(round_pixel(gt[1]))),
        x2(round_pixel(gt[2]) < w ? round_pixel(gt[2]) : w - 1),
        y2(round_pixel(gt[3]) < h ? round_pixel(gt[3]) : h - 1) {}

  FC_HD static int64_t at_least_zero(int64_t v) { return v > 0 ? v : 0; }

  FC_HD double pixel(int64_t row, int64_t column) const {
    const int64_t y = top + row, x = left + column;
    return y < y1 || y > y2 || x < x1 || x > x2 ? 0.0 : static_cast<double>(mask[y * stride + x]);
  }

  // Value (row, column) of the window resized to size x size: bilinear, half-pixel centres, border
  // replicated. float64 throughout, as OpenCV's x86 build resizes float64 (its portable path rounds the
  // weights to float32).
  FC_HD double resized(int row, int column, int size) const {
    const Tap y(row, height, size), x(column, width, size);
    const double above = pixel(y.low, x.low) * (1.0 - x.weight) + pixel(y.low, x.high) * x.weight;
    const double below = pixel(y.high, x.low) * (1.0 - x.weight) + pixel(y.high, x.high) * x.weight;
    return above * (1.0 - y.weight) + below * y.weight;
  }

  struct Tap {
    int64_t low, high;
    double weight;  // of `high`
    FC_HD Tap(int at, int64_t length, int size) {
      const double last = static_cast<double>(length - 1);
      double centre = (at + 0.5) * (static_cast<double>(length) / size) - 0.5;
      centre = centre > 0.0 ? (centre < last ? centre : last) : 0.0;
      low = static_cast<int64_t>(centre);
      high = low + 1 < length ? low + 1 : low;
      weight = centre - static_cast<double>(low);
    }
  };
};

// One element of mask_target: 0 or 1 on foreground rows, -1 (ignored) elsewhere.
struct WriteMask {
  AnnotatorInputs in;
  Assignment from;
  Sample sample;
  int size;
  double binary_thresh;
  float* mask_target;

  FC_HD void operator()(int64_t index, int64_t element) const {
    const int64_t image = index / sample.rows;
    float* out = mask_target + index * size * size + element;
    *out = -1.0f;
    if (index % sample.rows >= sample.num_fg[image]) return;
    const int32_t c = sample.keep[index], g = from.assigned[image * in.candidates() + c];
    const float* mask = in.gt_masks + (image * in.gt_each + g) * in.mask_h * in.mask_w;
    const MaskWindow window(mask, in.mask_h, in.mask_w, from.box(in, image, c), in.gt(image, g));
    const int row = static_cast<int>(element / size), column = static_cast<int>(element % size);
    const bool empty = window.width <= 0 || window.height <= 0;
    *out = !empty && window.resized(row, column, size) >= binary_thresh ? 1.0f : 0.0f;
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_PROPOSAL_ANNOTATOR_PROPOSAL_ANNOTATOR_H_
