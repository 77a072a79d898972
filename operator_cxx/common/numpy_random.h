// numpy's legacy random stream: np.random.seed(seed) followed by np.random.choice, bit for bit.
//
// The originals draw from numpy's global generator, so replaying their recorded runs needs the same stream on
// either machine. MT19937 after Matsumoto & Nishimura (1998); bounded integers by masked rejection, as
// numpy.random.RandomState keeps doing for compatibility.
#ifndef OPERATOR_CXX_COMMON_NUMPY_RANDOM_H_
#define OPERATOR_CXX_COMMON_NUMPY_RANDOM_H_

#include "operator_cxx/common/backend.h"

namespace fullconv {

class RandomState {
 public:
  // RandomState(seed) for 0 <= seed < 2^32.
  FC_HD void seed(uint32_t value) {
    for (uint32_t i = 0; i < kSize; ++i) {
      key_[i] = value;
      value = 1812433253u * (value ^ (value >> 30)) + i + 1;
    }
    position_ = kSize;
  }

  FC_HD uint32_t next() {
    if (position_ == kSize) refill();
    uint32_t y = key_[position_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }

  // Uniform integer in [0, max]; max == 0 draws nothing.
  FC_HD uint32_t interval(uint32_t max) {
    if (max == 0) return 0;
    uint32_t mask = max;
    for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    uint32_t value = next() & mask;
    // Drawn anew where it is too large: numpy's rule, which a remainder would not follow.
    while (value > max) value = next() & mask;
    return value;
  }

  // np.random.choice(items, size=k, replace=False) is permutation(n)[:k]: the draws are those of a full
  // shuffle.
  FC_HD void shuffle(int32_t* items, int64_t n) {
    for (int64_t i = n - 1; i > 0; --i) {
      const uint32_t j = interval(static_cast<uint32_t>(i));
      const int32_t item = items[i];
      items[i] = items[j];
      items[j] = item;
    }
  }

 private:
  static constexpr int kSize = 624, kShift = 397;

  FC_HD static uint32_t twist(uint32_t high, uint32_t low) {
    const uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return (y >> 1) ^ ((low & 1u) ? 0x9908b0dfu : 0u);
  }

  FC_HD void refill() {
    for (int i = 0; i < kSize; ++i) {
      key_[i] = key_[(i + kShift) % kSize] ^ twist(key_[i], key_[(i + 1) % kSize]);
    }
    position_ = 0;
  }

  uint32_t key_[kSize];
  int position_;
};

// Seeds travel as float32 (integers below 2^24 are exact); NaN and negative values count as 0.
FC_HD uint32_t seed_from_float(float value) {
  return value > 0.0f ? static_cast<uint32_t>(value < 4294967040.0f ? value : 4294967040.0f) : 0u;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_NUMPY_RANDOM_H_
