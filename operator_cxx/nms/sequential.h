// Greedy non-maximum suppression on the CPU: each box is compared with the boxes kept so far.
#ifndef OPERATOR_CXX_NMS_SEQUENTIAL_H_
#define OPERATOR_CXX_NMS_SEQUENTIAL_H_

#include "operator_cxx/nms/iou.h"

namespace fullconv {

// Boxes kept so far as five arrays, so that one candidate meets 16 of them per vector instruction.
template <typename T>
struct KeptBoxes {
  T *x1, *y1, *x2, *y2, *area;
  KeptBoxes(T* storage /* 5 * capacity */, int64_t capacity)
      : x1(storage),
        y1(storage + capacity),
        x2(storage + 2 * capacity),
        y2(storage + 3 * capacity),
        area(storage + 4 * capacity) {}

  void put(int64_t k, const T* det) {
    x1[k] = det[0];
    y1[k] = det[1];
    x2[k] = det[2];
    y2[k] = det[3];
    area[k] = detection_area(det);
  }

  template <typename Rule>
  bool suppress(const T* det, int64_t count, T threshold, Rule rule) const {
    const int64_t block = 64;  // looking for an early way out after every box would cost more than it saves
    const T bx1 = det[0], by1 = det[1], bx2 = det[2], by2 = det[3], b_area = detection_area(det);
    for (int64_t start = 0; start < count; start += block) {
      const int64_t end = std::min(count, start + block);
      int hit = 0;
#pragma omp simd reduction(| : hit)
      for (int64_t k = start; k < end; ++k) {
        const T iou = detection_iou(x1[k], y1[k], x2[k], y2[k], area[k], bx1, by1, bx2, by2, b_area);
        hit |= rule(iou, threshold) ? 1 : 0;
      }
      if (hit) return true;
    }
    return false;
  }
};

// Visits rows order[0..n) of dets (row i itself when order is null) and writes the visited positions that
// stay, at most max_keep. `stride` is the row length. Returns how many stayed.
template <typename T, typename Rule>
int64_t nms_sequential(const T* dets, int64_t stride, const int64_t* order, int64_t n, T threshold,
                       int64_t max_keep, Rule rule, int32_t* keep, T* storage /* 5 * min(n, max_keep) */) {
  KeptBoxes<T> kept(storage, std::min(n, max_keep));
  int64_t count = 0;
  for (int64_t i = 0; i < n && count < max_keep; ++i) {
    const int64_t row = order == nullptr ? i : order[i];
    const T* det = dets + row * stride;
    if (kept.suppress(det, count, threshold, rule)) continue;
    kept.put(count, det);
    keep[count++] = static_cast<int32_t>(row);
  }
  return count;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_NMS_SEQUENTIAL_H_
