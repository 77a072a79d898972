// The votes on the pixels of one rectangle of the image.
#ifndef OPERATOR_CXX_MASK_VOTING_VOTE_BUFFER_H_
#define OPERATOR_CXX_MASK_VOTING_VOTE_BUFFER_H_

#include <vector>

#include "operator_cxx/mask_voting/coverage.h"

namespace fullconv {

// kBlock sums in vector registers (GCC's vector extension, which suits any processor). Sums stay in the order
// in which the weights are added; a pixel that is not covered gets + 0.
template <typename Sum>
struct BlockSum;

template <>
struct BlockSum<float> {
  typedef float Values __attribute__((vector_size(64)));
  typedef int32_t Bits __attribute__((vector_size(64)));
  static constexpr int kLanes = 16;
  static Bits weight_bits(float w) {
    const Values spread = Values{} + w;
    return reinterpret_cast<const Bits&>(spread);
  }
  static Bits lanes() {
    return Bits{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
  }
};

template <>
struct BlockSum<double> {
  typedef double Values __attribute__((vector_size(64)));
  typedef int64_t Bits __attribute__((vector_size(64)));
  static constexpr int kLanes = 8;
  static Bits weight_bits(float w) {
    const Values spread = Values{} + static_cast<double>(w);
    return reinterpret_cast<const Bits&>(spread);
  }
  static Bits lanes() { return Bits{1, 2, 4, 8, 16, 32, 64, 128}; }
};

// A coverage and its weight, laid out for the loop below.
struct Voter {
  const uint64_t* words;
  const Extent* extents;
  uint32_t y1, rows, first_block, blocks;
  float weight;

  Voter(const Coverage& c, float w)
      : words(c.words.data()),
        extents(c.extents.data()),
        y1(c.inside.y1),
        rows(c.inside.height()),
        first_block(c.first_block),
        blocks(c.blocks),
        weight(w) {}
};

struct BlockVote {
  uint64_t word;
  float weight;
};

// The voters with a pixel among `pixels` of one block of row y. Without branches, which would be mispredicted
// all the time.
inline int collect_votes(const std::vector<Voter>& voters, int y, int block, uint64_t pixels,
                         BlockVote* votes) {
  int count = 0;
  for (const Voter& voter : voters) {
    const uint32_t row = static_cast<uint32_t>(y) - voter.y1,
                   column = static_cast<uint32_t>(block) - voter.first_block;
    const bool inside = (row < voter.rows) & (column < voter.blocks);  // what lies before wraps around
    const uint64_t word = voter.words[inside ? row * voter.blocks + column : 0] & pixels;
    votes[count].word = word;
    votes[count].weight = voter.weight;
    count += inside & (word != 0);
  }
  return count;
}

// out[0..kBlock) = sums over the votes, in their order.
template <typename Sum>
inline void sum_votes(const BlockVote* votes, int count, Sum* out) {
  typedef BlockSum<Sum> Vector;
  typedef typename Vector::Values Values;
  typedef typename Vector::Bits Bits;
  constexpr int kParts = kBlock / Vector::kLanes;
  const Bits lanes = Vector::lanes();
  Values sums[kParts] = {};
  for (int k = 0; k < count; ++k) {
    const Bits weight = Vector::weight_bits(votes[k].weight);
#pragma GCC unroll 8
    for (int p = 0; p < kParts; ++p) {
      const uint64_t part = votes[k].word >> (p * Vector::kLanes) & ((uint64_t(1) << Vector::kLanes) - 1);
      const Bits hit = ((Bits{} + static_cast<int>(part)) & lanes) != 0;
      const Bits added = hit & weight;
      sums[p] += reinterpret_cast<const Values&>(added);
    }
  }
  std::memcpy(out, sums, sizeof sums);
}

// Adds votes up only where they are asked for: a row at a time, and of most rows only the margins.
template <typename Sum>
class VoteBuffer {
 public:
  // The votes of `count` coverages on the pixels of `area`, which holds all of them.
  void reset(const Rect& area, const Coverage* coverages, const int32_t* rois, const float* weights,
             int count) {
    const bool empty = area.x2 < area.x1 || area.y2 < area.y1;
    area_ = empty ? Rect{0, 0, -1, -1} : area;
    first_block_ = area_.x1 / kBlock;
    blocks_ = empty ? 0 : area_.x2 / kBlock - first_block_ + 1;
    sums_.resize(static_cast<size_t>(blocks_) * kBlock * area_.height());
    known_.assign(area_.height(), 0);
    voters_.clear();
    for (int k = 0; k < count; ++k) {
      if (coverages[rois[k]].blocks > 0) voters_.emplace_back(coverages[rois[k]], weights[k]);
    }
    votes_.resize(count);
  }

  Sum at(int x, int y) { return area_.contains(x, y) ? row(y)[x - first_block_ * kBlock] : Sum(0); }

  // Tight box of the pixels with at least `threshold`; `box` is returned as it was when there is none.
  Rect bounds(Sum threshold, Rect box) {
    threshold_ = threshold;
    int top = area_.y1, bottom = area_.y2;
    while (top <= bottom && !join_row(top, &box)) ++top;
    while (bottom > top && !join_row(bottom, &box)) --bottom;
    if (top > bottom) return box;
    join_row((top + bottom) / 2, &box);  // close to the full width, so that the other rows have little to add
    for (int y = top + 1; y < bottom; ++y) widen(y, &box);
    return box;
  }

 private:
  // Whether the voters with a pixel left of column `left`, or right of `right`, weigh enough for one of those
  // pixels. Sums of rounded numbers need the slack; negative and NaN weights must not hide anything.
  void weigh(int y, int left, int right, bool* left_enough, bool* right_enough) const {
    double left_weight = 0, right_weight = 0;
    for (const Voter& voter : voters_) {
      const uint32_t row = static_cast<uint32_t>(y) - voter.y1;
      const bool inside = row < voter.rows;
      const Extent extent = voter.extents[inside ? row : 0];
      const double weight = voter.weight < 0 ? 0 : voter.weight;
      left_weight += inside && extent.first < left ? weight : 0;
      right_weight += inside && extent.last > right ? weight : 0;
    }
    *left_enough = !(left_weight < threshold_ * (1 - 1e-5));
    *right_enough = !(right_weight < threshold_ * (1 - 1e-5));
  }

  Sum* line(int y) { return sums_.data() + static_cast<int64_t>(y - area_.y1) * blocks_ * kBlock; }

  const Sum* row(int y) {
    if (!known_[y - area_.y1]) {
      for (int b = 0; b < blocks_; ++b) {
        const int votes = collect_votes(voters_, y, first_block_ + b, ~uint64_t(0), votes_.data());
        sum_votes(votes_.data(), votes, line(y) + b * kBlock);
      }
      known_[y - area_.y1] = 1;
    }
    return line(y);
  }

  // Adds the pixels of a row to the box; false when it has none with enough votes.
  bool join_row(int y, Rect* box) {
    bool enough, same;
    weigh(y, std::numeric_limits<int>::max(), -1, &enough, &same);
    if (!enough) return false;
    const Sum* sums = row(y) - first_block_ * kBlock;
    int first = area_.x1, last = area_.x2;
    while (first <= last && !(sums[first] >= threshold_)) ++first;
    if (first > last) return false;
    while (!(sums[last] >= threshold_)) --last;
    box->join({first, y, last, y});
    return true;
  }

  // Moves the left and right ends of the box out to pixels of row y that lie beyond them.
  void widen(int y, Rect* box) {
    bool left, right;
    weigh(y, box->x1, box->x2, &left, &right);
    for (int b = first_block_; left && b * kBlock < box->x1; ++b) {
      const int here = std::min(kBlock, box->x1 - b * kBlock);
      const uint64_t enough = pixels_with_enough(y, b, ~uint64_t(0) >> (kBlock - here));
      if (enough != 0) box->x1 = b * kBlock + __builtin_ctzll(enough);
    }
    for (int b = first_block_ + blocks_ - 1; right && (b + 1) * kBlock - 1 > box->x2; --b) {
      const int skipped = std::max(0, box->x2 + 1 - b * kBlock);
      const uint64_t enough = pixels_with_enough(y, b, ~uint64_t(0) << skipped);
      if (enough != 0) box->x2 = b * kBlock + kBlock - 1 - __builtin_clzll(enough);
    }
  }

  // Those of `pixels` of a block that get enough votes.
  uint64_t pixels_with_enough(int y, int block, uint64_t pixels) {
    Sum sums[kBlock];
    sum_votes(votes_.data(), collect_votes(voters_, y, block, pixels, votes_.data()), sums);
    uint64_t enough = 0;
    for (int i = 0; i < kBlock; ++i) enough |= static_cast<uint64_t>(sums[i] >= threshold_) << i;
    return enough & pixels;
  }

  Rect area_ = {0, 0, -1, -1};
  int first_block_ = 0, blocks_ = 0;
  Sum threshold_ = 0;
  std::vector<Sum> sums_;    // rows of whole blocks
  std::vector<char> known_;  // rows that have been added up
  std::vector<Voter> voters_;
  std::vector<BlockVote> votes_;
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_VOTE_BUFFER_H_
