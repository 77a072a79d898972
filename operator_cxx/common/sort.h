// Descending sorts of scores with a fixed order among ties.
//
// A score and its position are packed into one 64-bit key. No two keys are equal, so any sorting method gives
// the same order: higher score first, and the LATER position first among equal scores, which is what
// numpy's `scores.argsort()[::-1]` gives where its argsort is stable.
#ifndef OPERATOR_CXX_COMMON_SORT_H_
#define OPERATOR_CXX_COMMON_SORT_H_

#include <functional>

#include "operator_cxx/common/backend.h"

namespace fullconv {

// 0 is below every key: it marks rows that take no part. NaN sorts first, as in the reversed argsort.
FC_HD uint64_t sort_key(float score, uint32_t position) {
  union {
    float value;
    uint32_t bits;
  } u;
  u.value = score == 0.0f ? 0.0f : score;  // -0 equals 0
  if (score != score) u.bits = 0x7fc00000u;
  const uint32_t ordered = (u.bits & 0x80000000u) ? ~u.bits : (u.bits | 0x80000000u);
  return (static_cast<uint64_t>(ordered) << 32) | (position + 1u);
}

FC_HD uint32_t key_position(uint64_t key) { return static_cast<uint32_t>(key) - 1u; }

// Length of a row of keys that sort_rows can take: n rounded up to a power of two.
inline int64_t sort_length(int64_t n) {
  int64_t length = 1;
  while (length < n) length *= 2;
  return length;
}

// One step of Batcher's bitonic sorting network over rows of `length` keys, descending.
struct BitonicStep {
  uint64_t* keys;
  int64_t length, block, stride;
  FC_HD void operator()(int64_t pair) const {
    const int64_t half = length / 2, row = pair / half, p = pair % half;
    const int64_t low = p / stride * (2 * stride) + p % stride;
    uint64_t* a = keys + row * length + low;
    uint64_t* b = a + stride;
    const bool descending = (low & block) == 0;
    if ((*a < *b) == descending) {
      const uint64_t swap = *a;
      *a = *b;
      *b = swap;
    }
  }
};

// Sorts each row of keys (rows, length) in descending order; length is a power of two.
template <class Backend>
int bitonic_sort_rows(const Backend& backend, uint64_t* keys, int64_t rows, int64_t length) {
  for (int64_t block = 2; block <= length; block *= 2) {
    for (int64_t stride = block / 2; stride > 0; stride /= 2) {
      const int error = backend.for_each(rows * length / 2, BitonicStep{keys, length, block, stride});
      if (error != 0) return error;
    }
  }
  return 0;
}

// Sorts each row of keys (rows, length), length a power of two, so that its `top` largest come first, in
// descending order. What follows them is unspecified.
template <class Backend>
int sort_rows(const Backend& backend, uint64_t* keys, int64_t rows, int64_t length, int64_t /* top */) {
  return bitonic_sort_rows(backend, keys, rows, length);
}

template <>
inline int sort_rows<CpuBackend>(const CpuBackend&, uint64_t* keys, int64_t rows, int64_t length,
                                 int64_t top) {
  for (int64_t r = 0; r < rows; ++r) {
    uint64_t *first = keys + r * length, *last = first + length, *end = first + std::min(top, length);
    if (end < last) std::nth_element(first, end, last, std::greater<uint64_t>());
    std::sort(first, end, std::greater<uint64_t>());
  }
  return 0;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_SORT_H_
