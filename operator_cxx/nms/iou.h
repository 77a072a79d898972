// Intersection over union of two detections and the three rules by which published code drops one of them.
#ifndef OPERATOR_CXX_NMS_IOU_H_
#define OPERATOR_CXX_NMS_IOU_H_

#include "operator_cxx/common/backend.h"

namespace fullconv {

// x1, y1, x2, y2 are inclusive pixel ends, so a side is x2 - x1 + 1 long. No clamp on the area: with inverted
// sides the union can be zero and the ratio NaN, which is where the rules below part ways.
template <typename T>
FC_HD T detection_iou(T ax1, T ay1, T ax2, T ay2, T a_area, T bx1, T by1, T bx2, T by2, T b_area) {
  const T w = (ax2 < bx2 ? ax2 : bx2) - (ax1 > bx1 ? ax1 : bx1) + T(1);
  const T h = (ay2 < by2 ? ay2 : by2) - (ay1 > by1 ? ay1 : by1) + T(1);
  const T inter = (w <= T(0) ? T(0) : w) * (h <= T(0) ? T(0) : h);
  return inter / (a_area + b_area - inter);
}

template <typename T>
FC_HD T detection_area(const T* det) {
  return (det[2] - det[0] + T(1)) * (det[3] - det[1] + T(1));
}

// The CUDA kernel of the originals: equality and NaN are kept.
struct SuppressAbove {
  template <typename T>
  FC_HD bool operator()(T iou, T threshold) const {
    return iou > threshold;
  }
};

// The numpy version of the originals keeps `iou <= threshold`: equality is kept, NaN is dropped.
struct SuppressNotBelowOrEqual {
  template <typename T>
  FC_HD bool operator()(T iou, T threshold) const {
    return !(iou <= threshold);
  }
};

// The Cython version of the originals: equality is dropped, NaN is kept.
struct SuppressFrom {
  template <typename T>
  FC_HD bool operator()(T iou, T threshold) const {
    return iou >= threshold;
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_NMS_IOU_H_
