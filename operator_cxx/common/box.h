// Box arithmetic shared by the operators. Boxes are x1, y1, x2, y2 with inclusive pixel ends: width = x2 - x1
// + 1.
//
// The original computes in float64 (numpy) except for NMS (float32 kernel), hence the templates. Expressions
// keep the original's order of operations, so results agree to the last bit.
#ifndef OPERATOR_CXX_COMMON_BOX_H_
#define OPERATOR_CXX_COMMON_BOX_H_

#include <cmath>

#include "operator_cxx/common/backend.h"

namespace fullconv {

struct Box {
  double x1, y1, x2, y2;
  FC_HD double width() const { return x2 - x1 + 1.0; }
  FC_HD double height() const { return y2 - y1 + 1.0; }
};

// Reads four consecutive floats (skip the batch index of a roi by passing roi + 1).
FC_HD Box load_box(const float* p) { return {p[0], p[1], p[2], p[3]}; }

FC_HD void store_box(const Box& b, float* p) {
  p[0] = static_cast<float>(b.x1);
  p[1] = static_cast<float>(b.y1);
  p[2] = static_cast<float>(b.x2);
  p[3] = static_cast<float>(b.y2);
}

// False for NaN and infinite coordinates.
FC_HD bool is_finite(const Box& b) {
  // Sums of float32 numbers stay far below, and NaN is below nothing.
  const double big = 1e300, sum = fabs(b.x1) + fabs(b.y1) + fabs(b.x2) + fabs(b.y2);
  return sum < big;
}

// Intersection over union of two boxes in the arithmetic of T; 0 when they do not overlap or hold NaN.
template <typename T>
FC_HD T box_iou(T ax1, T ay1, T ax2, T ay2, T bx1, T by1, T bx2, T by2) {
  const T iw = (ax2 < bx2 ? ax2 : bx2) - (ax1 > bx1 ? ax1 : bx1) + T(1);
  if (!(iw > T(0))) return T(0);
  const T ih = (ay2 < by2 ? ay2 : by2) - (ay1 > by1 ? ay1 : by1) + T(1);
  if (!(ih > T(0))) return T(0);
  const T area_a = (ax2 - ax1 + T(1)) * (ay2 - ay1 + T(1));
  const T area_b = (bx2 - bx1 + T(1)) * (by2 - by1 + T(1));
  const T iou = iw * ih / (area_a + area_b - iw * ih);
  // NaN, of boxes beyond all numbers, is no overlap.
  return iou > T(0) ? iou : T(0);
}

FC_HD double box_iou(const Box& a, const Box& b) {
  return box_iou<double>(a.x1, a.y1, a.x2, a.y2, b.x1, b.y1, b.x2, b.y2);
}

// exp of a float32 as numpy's vector loops compute it (Cody-Waite reduction, rational approximation, fused
// multiply-adds): the original exponentiates float32 deltas, and libm's expf differs from numpy in the last
// bit.
FC_HD float numpy_expf(float x) {
  if (!(x == x)) return x;
  // Beyond these two the result is not a float32, and ldexpf would be given powers out of range.
  if (x > 88.72283935546875f) return HUGE_VALF;
  if (x < -103.97208404541015625f) return 0.0f;
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds to the nearest integer
  const float power = (x * 1.442695040888963407359924681001892137f + magic) - magic;
  const float r = fmaf(power, -1.42860677e-6f, fmaf(power, -6.93145752e-1f, x));
  float p = fmaf(5.082762527590693718096e-04f, r, 6.757896990527504603057e-03f);
  p = fmaf(p, r, 5.114512081637298353406e-02f);
  p = fmaf(p, r, 2.473615434895520810817e-01f);
  p = fmaf(p, r, 7.257664613233124478488e-01f);
  p = fmaf(p, r, 9.999999999980870924916e-01f);
  const float q = fmaf(fmaf(2.159509375685829852307e-02f, r, -2.742335390411667452936e-01f), r, 1.0f);
  return ldexpf(p / q, static_cast<int>(power));
}

// log of a positive, finite float32 as numpy's vector loops compute it, for the same reason.
FC_HD float numpy_logf(float x) {
  // libm is right about the special values.
  if (!(x > 0.0f) || x > 3.4028234e38f) return logf(x);
  int exponent;
  float m = 2.0f * frexpf(x, &exponent);
  exponent -= 1;
  if (m > 1.41421356237309504880f) {
    m *= 0.5f;
    exponent += 1;
  }
  const float r = m - 1.0f;
  float p = fmaf(2.589979117907922693523e-02f, r, 3.808837741388407920751e-01f);
  p = fmaf(p, r, 1.480000633576506585156e+00f);
  p = fmaf(p, r, 2.112677543073053063722e+00f);
  p = fmaf(p, r, 9.999999999999998702752e-01f) * r;
  float q = fmaf(5.875095403124574342950e-03f, r, 1.546476374983906719538e-01f);
  q = fmaf(q, r, 9.864942958519418960339e-01f);
  q = fmaf(q, r, 2.453006071784736363091e+00f);
  q = fmaf(q, r, 2.612677543073109236779e+00f);
  q = fmaf(q, r, 1.0f);
  return fmaf(static_cast<float>(exponent), 0.693147180559945309417232121458176568f, p / q);
}

// Regression target (dx, dy, dw, dh) that moves box `ex` (4) onto `gt` (4), in float32 like the original's
// float32 rois and ground truth; degenerate boxes give inf or NaN.
FC_HD void encode_box(const float* ex, const float* gt, float* target) {
  const float ew = ex[2] - ex[0] + 1.0f, eh = ex[3] - ex[1] + 1.0f;
  const float gw = gt[2] - gt[0] + 1.0f, gh = gt[3] - gt[1] + 1.0f;
  const float ex_x = ex[0] + 0.5f * (ew - 1.0f), ex_y = ex[1] + 0.5f * (eh - 1.0f);
  const float gt_x = gt[0] + 0.5f * (gw - 1.0f), gt_y = gt[1] + 0.5f * (gh - 1.0f);
  // Lost in the digits of any width that is not nearly 0, as in the original, which leaves the logarithms
  // unguarded.
  target[0] = (gt_x - ex_x) / (ew + 1e-14f);
  target[1] = (gt_y - ex_y) / (eh + 1e-14f);
  target[2] = numpy_logf(gw / ew);
  target[3] = numpy_logf(gh / eh);
}

// The box that `delta` moves `ex` to, given exp(dw) and exp(dh) in the precision the caller wants. No clamp
// on dw, dh.
FC_HD Box decode_box(const Box& ex, double dx, double dy, double exp_dw, double exp_dh) {
  const double ew = ex.width(), eh = ex.height();
  const double cx = dx * ew + (ex.x1 + 0.5 * (ew - 1.0)), cy = dy * eh + (ex.y1 + 0.5 * (eh - 1.0));
  const double w = exp_dw * ew, h = exp_dh * eh;
  return {cx - 0.5 * (w - 1.0), cy - 0.5 * (h - 1.0), cx + 0.5 * (w - 1.0), cy + 0.5 * (h - 1.0)};
}

// float32 deltas, as the network predicts them.
FC_HD Box decode_box(const Box& ex, float dx, float dy, float dw, float dh) {
  return decode_box(ex, static_cast<double>(dx), static_cast<double>(dy), static_cast<double>(numpy_expf(dw)),
                    static_cast<double>(numpy_expf(dh)));
}

FC_HD double clamp(double v, double high) {
  const double low_bounded = v < high ? v : high;  // numpy's max(min(v, high), 0), NaN passing through below
  return v != v ? v : (low_bounded > 0.0 ? low_bounded : 0.0);
}

// Clips to [0, width - 1] x [0, height - 1]; NaN stays NaN.
FC_HD Box clip_box(const Box& b, double height, double width) {
  return {clamp(b.x1, width - 1.0), clamp(b.y1, height - 1.0), clamp(b.x2, width - 1.0),
          clamp(b.y2, height - 1.0)};
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_BOX_H_
