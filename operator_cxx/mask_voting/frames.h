// Where a roi's M x M mask lies in the image, and bilinear sampling of it.
#ifndef OPERATOR_CXX_MASK_VOTING_FRAMES_H_
#define OPERATOR_CXX_MASK_VOTING_FRAMES_H_

#include <cmath>

#include "operator_cxx/common/backend.h"

namespace fullconv {

// Integer rectangle with inclusive ends; empty when x2 < x1 or y2 < y1.
struct Rect {
  int x1, y1, x2, y2;
  FC_HD bool contains(int x, int y) const { return x >= x1 && x <= x2 && y >= y1 && y <= y2; }
  FC_HD int width() const { return x2 - x1 + 1; }
  FC_HD int height() const { return y2 - y1 + 1; }
  FC_HD void join(const Rect& o) {
    if (o.x2 < o.x1 || o.y2 < o.y1) return;
    x1 = o.x1 < x1 ? o.x1 : x1;
    y1 = o.y1 < y1 ? o.y1 : y1;
    x2 = o.x2 > x2 ? o.x2 : x2;
    y2 = o.y2 > y2 ? o.y2 : y2;
  }
};

FC_HD Rect empty_rect(int im_width, int im_height) { return {im_width, im_height, -1, -1}; }

// A roi's box rounded half to even, and the pixels of the image in it.
struct Frame {
  float x1, y1, width, height;
  Rect inside;
};

FC_HD Frame make_frame(const float* box, int im_width, int im_height) {
  const float x1 = rintf(box[0]), y1 = rintf(box[1]), x2 = rintf(box[2]), y2 = rintf(box[3]);
  Frame frame{x1, y1, x2 - x1 + 1.0f, y2 - y1 + 1.0f, empty_rect(im_width, im_height)};
  const float w = static_cast<float>(im_width), h = static_cast<float>(im_height);
  // Written so that NaN and inverted boxes fail.
  if (!(x1 <= x2 && y1 <= y2 && x1 < w && y1 < h && x2 >= 0 && y2 >= 0)) return frame;
  if (!(frame.width <= 1e9f && frame.height <= 1e9f)) return frame;
  frame.inside.x1 = x1 > 0 ? static_cast<int>(x1) : 0;
  frame.inside.y1 = y1 > 0 ? static_cast<int>(y1) : 0;
  frame.inside.x2 = x2 < w ? static_cast<int>(x2) : im_width - 1;
  frame.inside.y2 = y2 < h ? static_cast<int>(y2) : im_height - 1;
  return frame;
}

// The two neighbours of a sampling position on a line of `size` values, ends replicated.
struct Tap {
  int low, high;
  float frac;
};

FC_HD Tap make_tap(float position, int size) {
  const float last = static_cast<float>(size - 1);
  const float p = position > 0 ? (position < last ? position : last) : 0.0f;
  const int low = static_cast<int>(p);
  return {low, low + 1 < size ? low + 1 : low, p - static_cast<float>(low)};
}

template <typename T>
FC_HD T lerp(T a, T b, float frac) {
  return a * (1.0f - frac) + b * frac;
}

// The sampling of the original's CUDA kernel, in float32. `offset` counts pixels from the frame's first.
struct KernelSampling {
  typedef float Sum;
  static FC_HD Tap tap(float offset, float target, int source) {
    return make_tap((offset + 0.5f) * static_cast<float>(source) / target - 0.5f, source);
  }
  static FC_HD float value(const float* mask, int size, const Tap& y, const Tap& x) {
    const float *top = mask + y.low * size, *bottom = mask + y.high * size;
    return lerp(lerp(top[x.low], bottom[x.low], y.frac), lerp(top[x.high], bottom[x.high], y.frac), x.frac);
  }
  // The same, given the mask row at y already.
  static FC_HD float in_row(const float*, int, const Tap&, const float* row, const Tap& x) {
    return lerp(row[x.low], row[x.high], x.frac);
  }
};

// The sampling of cv2.resize (INTER_LINEAR): positions in float64, columns before rows.
struct OpenCvSampling {
  typedef double Sum;
  static Tap tap(float offset, float target, int source) {
    const double scale = static_cast<double>(source) / static_cast<double>(target);
    return make_tap(static_cast<float>((offset + 0.5) * scale - 0.5), source);
  }
  static float value(const float* mask, int size, const Tap& y, const Tap& x) {
    const float *top = mask + y.low * size, *bottom = mask + y.high * size;
    return lerp(lerp(top[x.low], top[x.high], x.frac), lerp(bottom[x.low], bottom[x.high], x.frac), y.frac);
  }
  static float in_row(const float* mask, int size, const Tap& y, const float*, const Tap& x) {
    return value(mask, size, y, x);
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_FRAMES_H_
