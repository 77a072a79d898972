// Elementary functions with one result on every machine.
#ifndef OPERATOR_CXX_COMMON_MATH_H_
#define OPERATOR_CXX_COMMON_MATH_H_

#include <cmath>

#include "operator_cxx/common/backend.h"

namespace fullconv {

// 2^k for -126 <= k <= 127.
FC_HD float power_of_two(int k) {
  const uint32_t bits = static_cast<uint32_t>(k + 127) << 23;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// exp(x). libm, CUDA and numpy each have their own; this one is numpy's for float32 (reduction to |r| <
// ln2/2, then a rational minimax polynomial, all in fused multiply-adds), so that CPU, CUDA and the numpy
// references of the tests agree to the last bit, and it runs in vector registers.
FC_HD float exp_f32(float x) {
  const float lowest = -104.f, highest = 88.7228394f;
  const float inside = x > lowest ? (x < highest ? x : highest) : lowest;  // NaN becomes `lowest`
  const float magic = 12582912.f;                                          // adding it rounds to an integer
  const float k = (inside * 1.442695040888963407359924681001892137f + magic) - magic;
  const float r = fmaf(k, -1.42860677e-6f, fmaf(k, -6.93145752e-1f, inside));
  float top = fmaf(5.082762527590693718096e-04f, r, 6.757896990527504603057e-03f);
  top = fmaf(top, r, 5.114512081637298353406e-02f);
  top = fmaf(top, r, 2.473615434895520810817e-01f);
  top = fmaf(top, r, 7.257664613233124478488e-01f);
  top = fmaf(top, r, 9.999999999980870924916e-01f);
  float bottom = fmaf(2.159509375685829852307e-02f, r, -2.742335390411667452936e-01f);
  bottom = fmaf(bottom, r, 1.f);
  // Scaled in two exact steps, as 2^k alone may be out of range.
  const int exponent = static_cast<int>(k);
  const int half = exponent / 2;
  const float value = top / bottom * power_of_two(half) * power_of_two(exponent - half);
  return x != x ? x : (x > highest ? INFINITY : (x > lowest ? value : 0.f));
}

// log(1 + x) for 0 <= x <= 1 as 2 artanh(x / (2 + x)): the argument is below 1/3, where the series' first
// nine terms leave less than a float's rounding. Runs in vector registers, unlike log1pf.
FC_HD float log1p_unit(float x) {
  const float t = x / (2.f + x), square = t * t;
  float sum = fmaf(1.f / 17, square, 1.f / 15);
  sum = fmaf(sum, square, 1.f / 13);
  sum = fmaf(sum, square, 1.f / 11);
  sum = fmaf(sum, square, 1.f / 9);
  sum = fmaf(sum, square, 1.f / 7);
  sum = fmaf(sum, square, 1.f / 5);
  sum = fmaf(sum, square, 1.f / 3);
  return 2.f * t * fmaf(sum, square, 1.f);
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_MATH_H_
