// The pixels that a roi's mask covers, a bit each: found once, then counted by every result the roi votes
// for.
#ifndef OPERATOR_CXX_MASK_VOTING_COVERAGE_H_
#define OPERATOR_CXX_MASK_VOTING_COVERAGE_H_

#include <limits>
#include <vector>

#include "operator_cxx/mask_voting/frames.h"

namespace fullconv {

constexpr int kBlock = 64;  // pixels per word; words start at image columns that are multiples of it

// First and last covered column of a row; last < first in an empty one.
struct Extent {
  int first, last;
};

struct Coverage {
  Rect inside = {0, 0, -1, -1};
  int first_block = 0, blocks = 0;
  std::vector<uint64_t> words;  // (rows, blocks)
  std::vector<Extent> extents;  // (rows)

  static int64_t bytes(const Rect& inside) {
    if (inside.x2 < inside.x1 || inside.y2 < inside.y1) return 0;
    return int64_t{8} * inside.height() * (inside.x2 / kBlock - inside.x1 / kBlock + 1);
  }
};

// Finds the coverage of one mask. Between two neighbouring mask columns a row is a straight line, so its two
// ends decide for the pixels between, or tell where the line meets the threshold; only next to that place,
// where rounding could matter, are pixels sampled. The result is that of sampling every pixel.
template <class Sampling>
class CoverageFinder {
 public:
  CoverageFinder(const float* mask, int size, const Frame& frame, float threshold)
      : mask_(mask), size_(size), frame_(frame), threshold_(threshold), row_(size), begin_(size + 1) {
    const Rect& in = frame.inside;
    columns_.reserve(in.width());
    for (int x = in.x1; x <= in.x2; ++x) {
      columns_.push_back(Sampling::tap(static_cast<float>(x) - frame.x1, frame.width, size));
    }
    int x = 0;
    for (int k = 0; k <= size; ++k) {
      while (x < in.width() && columns_[x].low < k) ++x;
      begin_[k] = x;
    }
  }

  Coverage find() {
    Coverage result;
    const Rect& in = result.inside = frame_.inside;
    result.first_block = in.x1 / kBlock;
    result.blocks = in.x2 / kBlock - result.first_block + 1;
    result.extents.reserve(in.height());
    result.words.assign(static_cast<size_t>(result.blocks) * in.height(), 0);
    for (int y = in.y1; y <= in.y2; ++y) {
      words_ = result.words.data() + static_cast<int64_t>(y - in.y1) * result.blocks;
      find_row(Sampling::tap(static_cast<float>(y) - frame_.y1, frame_.height, size_));
      result.extents.push_back(extent(result.first_block, result.blocks));
    }
    return result;
  }

 private:
  Extent extent(int first_block, int blocks) const {
    int first = 0, last = blocks - 1;
    while (first < blocks && words_[first] == 0) ++first;
    if (first == blocks) return {std::numeric_limits<int>::max(), -1};
    while (words_[last] == 0) --last;
    return {(first_block + first) * kBlock + __builtin_ctzll(words_[first]),
            (first_block + last) * kBlock + kBlock - 1 - __builtin_clzll(words_[last])};
  }

  // A bit per mask column, in words of 63 intervals (with one column of overlap).
  void find_row(const Tap& y) {
    const float *top = mask_ + y.low * size_, *bottom = mask_ + y.high * size_;
    for (int k = 0; k < size_; ++k) row_[k] = lerp(top[k], bottom[k], y.frac);
    for (int first = 0; first < size_; first += kBlock - 1) {
      const int count = std::min(kBlock - 1, size_ - first);
      uint64_t above = 0, below = 0;
      for (int i = 0; i <= count; ++i) {
        const float value = row_[std::min(first + i, size_ - 1)], rounding = kRounding * std::fabs(value);
        above |= static_cast<uint64_t>(value - rounding >= threshold_) << i;
        below |= static_cast<uint64_t>(value + rounding < threshold_) << i;
      }
      const uint64_t all = ~uint64_t(0) >> (kBlock - count), full = above & above >> 1 & all;
      cover_intervals(first, full);
      for (uint64_t mixed = all & ~full & ~(below & below >> 1); mixed != 0; mixed &= mixed - 1)
        find_between(first + __builtin_ctzll(mixed), y);
    }
  }

  // Covers the pixels of whole intervals, neighbouring ones at once.
  void cover_intervals(int first, uint64_t full) {
    while (full != 0) {
      const int from = __builtin_ctzll(full), to = from + __builtin_ctzll(~(full >> from));
      cover(begin_[first + from], begin_[first + to]);
      full &= ~uint64_t(0) << to;
    }
  }

  // Pixels between mask columns k and k + 1, where the line meets the threshold.
  void find_between(int k, const Tap& y) {
    const int begin = begin_[k], end = begin_[k + 1];
    if (begin == end) return;
    const float a = row_[k], b = row_[k + 1 < size_ ? k + 1 : k];
    const float rounding = kRounding * (std::fabs(a) + std::fabs(b));
    // The first interval holds replicated pixels too, and a nearly level line is at the mercy of rounding.
    const float step = static_cast<float>(size_) / frame_.width;
    if (k == 0 || !(std::fabs(b - a) * step > 2 * rounding)) {
      sample(begin, end, y);
      return;
    }
    const float from_begin = ((threshold_ - a) / (b - a) - columns_[begin].frac) / step;
    const int meets =
        begin + static_cast<int>(std::min(std::max(from_begin, 0.0f), static_cast<float>(end - begin)));
    const int first = std::max(meets - 1, begin), last = std::min(meets + 3, end);
    if (a >= threshold_) cover(begin, first);
    sample(first, last, y);
    if (b >= threshold_) cover(last, end);
  }

  void sample(int begin, int end, const Tap& y) {
    for (int x = begin; x < end; ++x) {
      const int at = x + frame_.inside.x1 % kBlock;
      const bool covered = Sampling::in_row(mask_, size_, y, row_.data(), columns_[x]) >= threshold_;
      words_[at / kBlock] |= static_cast<uint64_t>(covered) << (at % kBlock);
    }
  }

  void cover(int begin, int end) {
    if (begin >= end) return;
    const int first = begin + frame_.inside.x1 % kBlock, last = end - 1 + frame_.inside.x1 % kBlock;
    for (int block = first / kBlock; block <= last / kBlock; ++block) {
      const int from = std::max(first - block * kBlock, 0), to = std::min(last - block * kBlock, kBlock - 1);
      words_[block] |= (~uint64_t(0) >> (kBlock - 1 - to)) & (~uint64_t(0) << from);
    }
  }

  static constexpr float kRounding = 2e-6f;  // relative; several times what sampling can be off by

  const float* mask_;
  int size_;
  Frame frame_;
  float threshold_;
  std::vector<float> row_;
  std::vector<int> begin_;  // first pixel of each mask column
  std::vector<Tap> columns_;
  uint64_t* words_ = nullptr;  // of the current row
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_COVERAGE_H_
