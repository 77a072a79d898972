// Mask voting on the CPU, with either version's rules: each roi becomes runs of pixels once, each result adds
// up the runs of its members in a buffer of the size of their union.
#ifndef OPERATOR_CXX_MASK_VOTING_MASK_VOTING_CPU_H_
#define OPERATOR_CXX_MASK_VOTING_MASK_VOTING_CPU_H_

#include <vector>

#include "operator_cxx/mask_voting/mask_voting.h"
#include "operator_cxx/mask_voting/runs.h"

namespace fullconv {

// The votes on the pixels of one rectangle of the image.
template <typename Sum>
class VoteBuffer {
 public:
  void reset(const Rect& area) {
    area_ = area;
    width_ = area.width();
    const bool empty = area.x2 < area.x1 || area.y2 < area.y1;
    sums_.assign(empty ? 0 : static_cast<size_t>(width_) * area.height(), Sum(0));
  }

  void add(const MaskRuns& mask, int first_row, float weight) {
    const int rows = static_cast<int>(mask.row_start.size()) - 1;
    for (int i = 0; i < rows; ++i) {
      Sum* line = sums_.data() + static_cast<int64_t>(first_row + i - area_.y1) * width_;
      for (int k = mask.row_start[i]; k < mask.row_start[i + 1]; ++k) {
        const int begin = mask.runs[k].begin - area_.x1, end = mask.runs[k].end - area_.x1;
        for (int x = begin; x < end; ++x) line[x] += weight;
      }
    }
  }

  Sum at(int x, int y) const {
    return area_.contains(x, y) ? sums_[static_cast<int64_t>(y - area_.y1) * width_ + x - area_.x1] : Sum(0);
  }

  // Tight box of the pixels with at least `threshold`; `box` is returned as it was when there is none.
  template <typename Threshold>
  Rect bounds(Threshold threshold, Rect box) const {
    for (int y = area_.y1; y <= area_.y2; ++y) {
      const Sum* line = sums_.data() + static_cast<int64_t>(y - area_.y1) * width_;
      int first = 0, last = width_ - 1;
      while (first < width_ && !(line[first] >= threshold)) ++first;
      if (first == width_) continue;
      while (!(line[last] >= threshold)) --last;
      box.join({area_.x1 + first, y, area_.x1 + last, y});
    }
    return box;
  }

 private:
  Rect area_ = {0, 0, -1, -1};
  int width_ = 0;
  std::vector<Sum> sums_;
};

// What the CUDA kernel makes of a result's votes; see mask_voting.h.
struct KernelRule {
  typedef KernelSampling Sampling;
  static constexpr bool kDropNan = false;
  static Rect box(const VoteBuffer<float>& votes, const VotingTask& t) {
    return votes.bounds(t.mask_cut(), empty_rect(t.im_width, t.im_height));
  }
  static bool valid(const Rect& box) { return is_result(box); }
  static void sample(const VoteBuffer<float>& votes, const Rect& box, const VotingTask& t, float* out) {
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
  static Rect box(const VoteBuffer<double>& votes, const VotingTask& t) {
    const Rect found = votes.bounds(t.binary_threshold, empty_rect(t.im_width, t.im_height));
    const int x = t.im_width / 2, y = t.im_height / 2;
    return valid(found) ? found : Rect{x, y, x, y};
  }
  static bool valid(const Rect& box) { return box.x2 >= box.x1 && box.y2 >= box.y1; }
  static void sample(const VoteBuffer<double>& votes, const Rect& box, const VotingTask& t, float* out) {
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

// Runs of the masks of all rois that vote for something.
template <class Sampling>
std::vector<MaskRuns> find_runs(const VotingTask& t, const VotingScratch& s, int results) {
  std::vector<char> used(t.n, 0);
  for (int r = 0; r < results; ++r) {
    for (int k = 0; k < s.members.count[r]; ++k) used[s.members.roi[int64_t{r} * t.n + k]] = 1;
  }
  std::vector<MaskRuns> runs(t.n);
#pragma omp parallel for schedule(dynamic, 8)
  for (int i = 0; i < t.n; ++i) {
    const Rect& in = s.frames[i].inside;
    if (!used[i] || in.x2 < in.x1 || in.y2 < in.y1) continue;
    const float* mask = t.masks + int64_t{i} * t.mask_size * t.mask_size;
    runs[i] = RunFinder<Sampling>(mask, t.mask_size, s.frames[i], t.mask_cut()).find();
  }
  return runs;
}

// One result: adds up its members and writes its row of dets and its mask.
template <class Rule, typename Sum>
void vote_result(const VotingTask& t, const VotingScratch& s, const std::vector<MaskRuns>& runs, int r,
                 VoteBuffer<Sum>* votes, float* dets, float* masks) {
  votes->reset(s.members.area[r]);
  const int32_t* rois = s.members.roi + int64_t{r} * t.n;
  const float* weights = s.members.weight + int64_t{r} * t.n;
  for (int k = 0; k < s.members.count[r]; ++k) {
    if (!runs[rois[k]].row_start.empty()) votes->add(runs[rois[k]], s.frames[rois[k]].inside.y1, weights[k]);
  }
  const Rect box = Rule::box(*votes, t);
  const bool valid = Rule::valid(box);
  write_detection(t, s.results, r, box, valid, dets);
  if (valid) Rule::sample(*votes, box, t, masks + int64_t{r} * t.mask_size * t.mask_size);
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
int vote_by_runs(const VotingTask& t, const int32_t* order, float* dets, float* masks, float* count,
                 Workspace* ws) {
  const VotingScratch s(t, ws);
  if (order != nullptr) use_order(t, order, s.selection);
  const int error = prepare_votes(CpuBackend(), t, Rule::kDropNan, s, order != nullptr);
  if (error != 0) return error;
  const int results = std::min<int>(*s.results.count, t.capacity);
  std::memset(masks, 0, sizeof(float) * t.capacity * t.mask_size * t.mask_size);
  const std::vector<MaskRuns> runs = find_runs<typename Rule::Sampling>(t, s, results);
#pragma omp parallel
  {
    VoteBuffer<typename Rule::Sampling::Sum> votes;
#pragma omp for schedule(dynamic, 1)
    for (int r = 0; r < results; ++r) vote_result<Rule>(t, s, runs, r, &votes, dets, masks);
  }
  for (int r = results; r < t.capacity; ++r) write_detection(t, s.results, r, Rect{0, 0, 0, 0}, false, dets);
  *count = static_cast<float>(*s.results.count);
  return 0;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_MASK_VOTING_CPU_H_
