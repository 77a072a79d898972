// The CPU's way: channels innermost, as in psroi_pooling_cpu.h, with the outside scores of kLanes / 2 classes
// in the first half of a block and their inside scores in the second.
#ifndef OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_CPU_H_
#define OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_CPU_H_

#include "operator_cxx/fcis_head/fcis_head.h"
#include "operator_cxx/psroi_pooling/psroi_pooling_cpu.h"

namespace fullconv {

constexpr int kPairs = kLanes / 2;

// Calls body(mean of the bin for all lanes) along one row of bins.
template <typename Body>
inline void for_each_bin(const float* block, const PsroiWindow& window, const PsroiShape& s, int ph,
                         const Body& body) {
  const Range rows = window.y.range(ph);
  const float* cells = cell_planes(block, s, ph);
  for (int pw = 0; pw < s.pooled; ++pw) {
    float mean[kLanes];
    const float* plane = cells + group_cell(pw, s.group, s.pooled) * s.area() * kLanes;
    mean_of_bin(plane, s.width, rows, window.x.range(pw), mean);
    body(mean);
  }
}

// Mean over all bins of max(lane i, lane i + kPairs).
inline void mean_of_pairs(const float* block, const float* roi, const PsroiShape& s, int count,
                          float* means) {
  const PsroiWindow window(roi, s);
  float total[kPairs] = {};
  for (int ph = 0; ph < s.pooled; ++ph) {
    float sum[kPairs] = {};
    for_each_bin(block, window, s, ph, [&](const float* mean) {
      for (int i = 0; i < kPairs; ++i) sum[i] += mean[i + kPairs] > mean[i] ? mean[i + kPairs] : mean[i];
    });
    for (int i = 0; i < kPairs; ++i) total[i] += sum[i];
  }
  for (int i = 0; i < count; ++i) means[i] = total[i] / static_cast<float>(s.bins());
}

// Mean over all bins of each lane.
inline void mean_of_lanes(const float* block, const float* roi, const PsroiShape& s, int count,
                          float* means) {
  const PsroiWindow window(roi, s);
  float total[kLanes] = {};
  for (int ph = 0; ph < s.pooled; ++ph) {
    float sum[kLanes] = {};
    for_each_bin(block, window, s, ph, [&](const float* mean) {
      for (int i = 0; i < kLanes; ++i) sum[i] += mean[i];
    });
    for (int i = 0; i < kLanes; ++i) total[i] += sum[i];
  }
  for (int i = 0; i < count; ++i) means[i] = total[i] / static_cast<float>(s.bins());
}

// Lays out `count` classes from `first` on; to be called by all threads of a parallel region.
inline void lay_out_pairs(const float* image, const PsroiShape& s, int first, int count, float* block) {
  const int64_t channel = s.cells() * s.area();
#pragma omp for schedule(static)
  for (int cell = 0; cell < s.cells(); ++cell) {
    const float* from = image + 2 * first * channel + cell * s.area();
    float* to = block + cell * s.area() * kLanes;
    lanes_inside<kPairs>(from, 2 * channel, count, s.area(), to);
    lanes_inside<kPairs>(from + channel, 2 * channel, count, s.area(), to + kPairs);
  }
}

// Means (R, values) over all bins: of the larger channel of each pair (values = dim / 2), or of each channel.
template <bool kPaired>
inline void mean_of_bins(const float* data, const float* rois, float* means, const PsroiShape& s,
                         float* block) {
  const int step = kPaired ? kPairs : kLanes, values = kPaired ? s.dim / 2 : s.dim;
  const int64_t image_size = int64_t{s.dim} * s.cells() * s.area();
#pragma omp parallel
  for (int image = 0; image < s.n; ++image) {
    for (int first = 0; first < values; first += step) {
      const int count = std::min(step, values - first);
      const float* from = data + image * image_size;
      kPaired ? lay_out_pairs(from, s, first, count, block) : lay_out_block(from, s, first, count, block);
#pragma omp for schedule(dynamic, 4)
      for (int r = 0; r < s.num_rois; ++r) {
        const float* roi = rois + int64_t{r} * 5;
        if (roi_image(roi, s.n) != image) continue;
        float* to = means + int64_t{r} * values + first;
        kPaired ? mean_of_pairs(block, roi, s, count, to) : mean_of_lanes(block, roi, s, count, to);
      }
    }
  }
}

// The mask of one roi's best foreground class: HeadMask with the roi's window computed once.
inline void mask_of_roi(const HeadMask& mask, int64_t r) {
  const PsroiShape& s = mask.s;
  const float* roi = mask.rois + r * 5;
  float* out = mask.seg_pred + r * 2 * s.bins();
  const int64_t best = picked_group(mask.cls_prob, r, s.dim / 2, true);
  std::fill(out, out + 2 * s.bins(), 0.f);
  if (best < 0) return;
  const int image = roi_image(roi, s.n);
  const PsroiWindow window(roi, s);
  for (int ph = 0; image >= 0 && ph < s.pooled; ++ph) {
    for (int pw = 0; pw < s.pooled; ++pw) {
      for (int side = 0; side < 2; ++side) {
        const PsroiBin bin(window, image, s, static_cast<int>(2 * best) + side, ph, pw);
        out[side * s.bins() + ph * s.pooled + pw] = bin.mean(mask.data, s.width);
      }
    }
  }
  const GroupSoftmaxForward softmax{out, out, 2, s.bins()};
  for (int at = 0; at < s.bins(); ++at) softmax(0, at);
}

inline void head_forward(const float* cls_seg, const float* bbox, const float* rois, const HeadOutputs& out,
                         const HeadShape& head, float* block) {
  const CpuBackend backend;
  const int64_t num_rois = head.psroi.num_rois;
  backend.zero(out.cls_prob, sizeof(float) * num_rois * head.classes);  // for rois without an image
  backend.zero(out.bbox_pred, sizeof(float) * num_rois * head.num_reg);
  mean_of_bins<true>(cls_seg, rois, out.cls_prob, head.cls_seg(), block);
  mean_of_bins<false>(bbox, rois, out.bbox_pred, head.bbox(), block);
  backend.for_each(num_rois, HeadSoftmax{out.cls_prob, head.classes}, 64);
  const HeadMask mask{cls_seg, rois, out.cls_prob, out.seg_pred, head.cls_seg()};
  backend.for_each(num_rois, [&mask](int64_t roi) { mask_of_roi(mask, roi); }, 4);
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_CPU_H_
