// Mask voting on the CPU, with either version's rules: each roi becomes a bit per pixel once, each result
// adds up the bits of its members in a buffer of the size of their union.
#ifndef OPERATOR_CXX_MASK_VOTING_MASK_VOTING_CPU_H_
#define OPERATOR_CXX_MASK_VOTING_MASK_VOTING_CPU_H_

#include <numeric>
#include <vector>

#include "operator_cxx/mask_voting/mask_voting.h"
#include "operator_cxx/mask_voting/vote_buffer.h"

namespace fullconv {

// What the CUDA kernel makes of a result's votes; see mask_voting.h.
struct KernelRule {
  typedef KernelSampling Sampling;
  static constexpr bool kDropNan = false;
  static Rect box(VoteBuffer<float>& votes, const VotingTask& t) {
    return votes.bounds(t.mask_cut(), empty_rect(t.im_width, t.im_height));
  }
  static bool valid(const Rect& box) { return is_result(box); }
  static void sample(VoteBuffer<float>& votes, const Rect& box, const VotingTask& t, float* out) {
    const int size = t.mask_size;
    for (int i = 0; i < size; ++i) {
      const Tap y = sample_tap(i, size, box.y1, box.height(), t.im_height);
      for (int j = 0; j < size; ++j) {
        const Tap x = sample_tap(j, size, box.x1, box.width(), t.im_width);
        out[i * size + j] = lerp(lerp(votes.at(x.low, y.low), votes.at(x.low, y.high), y.frac),
                                 lerp(votes.at(x.high, y.low), votes.at(x.high, y.high), y.frac), x.frac);
      }
    }
  }
};

// What the version with cv2.resize makes of them: nothing is dropped, no votes means the centre pixel, and
// the new mask sees the edge of its box replicated.
struct OpenCvRule {
  typedef OpenCvSampling Sampling;
  static constexpr bool kDropNan = true;
  static Rect box(VoteBuffer<double>& votes, const VotingTask& t) {
    const Rect found = votes.bounds(t.binary_threshold, empty_rect(t.im_width, t.im_height));
    const int x = t.im_width / 2, y = t.im_height / 2;
    return valid(found) ? found : Rect{x, y, x, y};
  }
  static bool valid(const Rect& box) { return box.x2 >= box.x1 && box.y2 >= box.y1; }
  static void sample(VoteBuffer<double>& votes, const Rect& box, const VotingTask& t, float* out) {
    const int size = t.mask_size;
    for (int i = 0; i < size; ++i) {
      const Tap y = Sampling::tap(i, size, box.height());
      for (int j = 0; j < size; ++j) {
        const Tap x = Sampling::tap(j, size, box.width());
        const double top =
            lerp(votes.at(box.x1 + x.low, box.y1 + y.low), votes.at(box.x1 + x.high, box.y1 + y.low), x.frac);
        const double bottom = lerp(votes.at(box.x1 + x.low, box.y1 + y.high),
                                   votes.at(box.x1 + x.high, box.y1 + y.high), x.frac);
        out[i * size + j] = static_cast<float>(lerp(top, bottom, y.frac));
      }
    }
  }
};

// Results [begin, end) of the image whose voters' bits fit the memory set aside for them (always one at
// least).
struct Chunk {
  int begin, end;
  std::vector<int32_t> rois;
};

inline Chunk next_chunk(const VotingTask& t, const VotingScratch& s, int begin, int results) {
  const int64_t budget = int64_t{256} << 20;
  Chunk chunk{begin, begin, {}};
  std::vector<char> used(t.n, 0);
  int64_t bytes = 0;
  while (chunk.end < results && (chunk.end == begin || bytes < budget)) {
    const int32_t* rois = s.members.roi + int64_t{chunk.end} * t.n;
    for (int k = 0; k < s.members.count[chunk.end]; ++k) {
      if (used[rois[k]]) continue;
      used[rois[k]] = 1;
      chunk.rois.push_back(rois[k]);
      bytes += Coverage::bytes(s.frames[rois[k]].inside);
    }
    ++chunk.end;
  }
  return chunk;
}

template <class Sampling>
std::vector<Coverage> find_coverages(const VotingTask& t, const VotingScratch& s,
                                     const std::vector<int32_t>& rois) {
  std::vector<Coverage> coverages(t.n);
#pragma omp parallel for schedule(dynamic, 8)
  for (size_t i = 0; i < rois.size(); ++i) {
    const Frame& frame = s.frames[rois[i]];
    if (Coverage::bytes(frame.inside) == 0) continue;
    const float* mask = t.masks + int64_t{rois[i]} * t.mask_size * t.mask_size;
    coverages[rois[i]] = CoverageFinder<Sampling>(mask, t.mask_size, frame, t.mask_cut()).find();
  }
  return coverages;
}

// One result: adds up its members and writes its row of dets and its mask.
template <class Rule, typename Sum>
void vote_result(const VotingTask& t, const VotingScratch& s, const std::vector<Coverage>& coverages, int r,
                 VoteBuffer<Sum>* votes, float* dets, float* masks) {
  const int64_t first = int64_t{r} * t.n;
  votes->reset(s.members.area[r], coverages.data(), s.members.roi + first, s.members.weight + first,
               s.members.count[r]);
  const Rect box = Rule::box(*votes, t);
  const bool valid = Rule::valid(box);
  write_detection(t, s.results, r, box, valid, dets);
  if (valid) Rule::sample(*votes, box, t, masks + int64_t{r} * t.mask_size * t.mask_size);
}

template <class Rule>
void vote_chunk(const VotingTask& t, const VotingScratch& s, const Chunk& chunk, float* dets, float* masks) {
  const std::vector<Coverage> coverages = find_coverages<typename Rule::Sampling>(t, s, chunk.rois);
  // Results on the same object share voters; one after the other, they find them in the cache.
  std::vector<int> order(chunk.end - chunk.begin);
  std::iota(order.begin(), order.end(), chunk.begin);
  const auto first_voter = [&](int r) { return s.members.count[r] ? s.members.roi[int64_t{r} * t.n] : t.n; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return first_voter(a) < first_voter(b); });
#pragma omp parallel
  {
    VoteBuffer<typename Rule::Sampling::Sum> votes;
#pragma omp for schedule(dynamic, 1)
    for (int r = chunk.begin; r < chunk.end; ++r) vote_result<Rule>(t, s, coverages, r, &votes, dets, masks);
  }
}

// Fills the keys of the selection with rois in a given order (C - 1, n); only which key belongs to which roi
// matters from then on.
inline void use_order(const VotingTask& t, const int32_t* order, const SelectionScratch& s) {
  std::memset(s.keys, 0, sizeof(uint64_t) * t.foreground() * s.length);
  for (int64_t c = 0; c < t.foreground(); ++c) {
    for (int64_t p = 0; p < t.n; ++p) {
      const int32_t roi = order[c * t.n + p];
      if (roi < 0 || roi >= t.n) continue;
      const float score = t.scores[int64_t{roi} * t.classes + c + 1];
      if (score == score) s.keys[c * s.length + p] = sort_key(score, static_cast<uint32_t>(roi));
    }
  }
}

// dets (capacity, 6), masks (capacity, M, M), count (1) as in vote_by_phases. `order` (C - 1, n), where
// given, says in which order the rois of each class are visited.
template <class Rule>
int vote_by_bits(const VotingTask& t, const int32_t* order, float* dets, float* masks, float* count,
                 Workspace* ws) {
  const VotingScratch s(t, ws);
  if (order != nullptr) use_order(t, order, s.selection);
  const int error = prepare_votes(CpuBackend(), t, Rule::kDropNan, s, order != nullptr);
  if (error != 0) return error;
  const int results = std::min<int>(*s.results.count, t.capacity);
  std::memset(masks, 0, sizeof(float) * t.capacity * t.mask_size * t.mask_size);
  for (int done = 0; done < results;) {
    const Chunk chunk = next_chunk(t, s, done, results);
    vote_chunk<Rule>(t, s, chunk, dets, masks);
    done = chunk.end;
  }
  for (int r = results; r < t.capacity; ++r) write_detection(t, s.results, r, Rect{0, 0, 0, 0}, false, dets);
  *count = static_cast<float>(*s.results.count);
  return 0;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_MASK_VOTING_CPU_H_
