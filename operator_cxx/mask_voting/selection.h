// Which rois become results: per-class suppression over all rois, then one score threshold for the image.
#ifndef OPERATOR_CXX_MASK_VOTING_SELECTION_H_
#define OPERATOR_CXX_MASK_VOTING_SELECTION_H_

#include "operator_cxx/common/sort.h"
#include "operator_cxx/nms/cooperative.h"
#include "operator_cxx/nms/iou.h"

namespace fullconv {

// Everything mask voting is asked for, in one place. C classes, the first of them background.
struct VotingTask {
  const float* masks;   // (n, M, M) foreground probability
  const float* boxes;   // (n, 4) image pixels
  const float* scores;  // (n, C)
  int n, classes, mask_size, max_per_image, im_width, im_height, capacity;
  double nms_threshold, merge_threshold, binary_threshold;

  FC_HD int foreground() const { return classes - 1; }
  FC_HD float mask_cut() const { return static_cast<float>(binary_threshold); }
  FC_HD int per_class() const { return n < max_per_image ? n : max_per_image; }
};

constexpr int kOverlapBits = 64;
// Phases of fewer items than this are not worth a second thread: waiting for it to be scheduled on a busy
// machine takes longer.
constexpr int64_t kCheap = 1 << 16;
constexpr float kLowestScore = 1e-3f;  // results below it are dropped however few there are

// Bit j of row i: the boxes i and j exclude each other, in whichever class.
struct OverlapBits {
  const float* boxes;
  int n, words;
  float threshold;
  bool drop_nan;  // the numpy rule drops a box on a NaN overlap, the kernel's rule keeps it
  uint64_t* bits;

  FC_HD void operator()(int64_t index) const {
    const int i = static_cast<int>(index / words), first = static_cast<int>(index % words) * kOverlapBits;
    const int last = first + kOverlapBits < n ? first + kOverlapBits : n;
    const float* a = boxes + int64_t{i} * 4;
    const float a_area = detection_area(a);
    uint64_t word = 0;
    for (int j = first; j < last; ++j) {
      const float* b = boxes + int64_t{j} * 4;
      const float iou =
          detection_iou(a[0], a[1], a[2], a[3], a_area, b[0], b[1], b[2], b[3], detection_area(b));
      const bool drop =
          drop_nan ? SuppressNotBelowOrEqual()(iou, threshold) : SuppressAbove()(iou, threshold);
      // A box overlaps itself wholly, and would be removed by its own choice.
      if (drop && j != i) word |= uint64_t(1) << (j - first);
    }
    bits[index] = word;
  }
};

// Sort keys of each foreground class; rois whose score is NaN take no part.
struct ScoreKeys {
  const float* scores;
  int n, classes;
  int64_t length;
  uint64_t* keys;  // (classes - 1, length)

  FC_HD void operator()(int64_t index) const {
    const int64_t c = index / length, roi = index % length;
    const float score = roi < n ? scores[roi * classes + c + 1] : 0.0f;
    keys[index] = roi < n && score == score ? sort_key(score, static_cast<uint32_t>(roi)) : 0;
  }
};

// Greedy suppression of one class per group. `removed` bits only ever go from 0 to 1 and a box has no bit
// against itself, so a late lane sees for every roi what the others saw.
struct ClassScan {
  const uint64_t *keys, *bits;
  int64_t length;
  int n, words, most;
  uint64_t* removed;  // (classes - 1, words), zero
  int32_t *kept, *num_kept;

  FC_HD void run(int64_t c, int lane, int lanes) const {
    uint64_t* gone = removed + c * words;
    int count = 0;
    for (int64_t p = 0; p < length && count < most; ++p) {
      const uint64_t key = keys[c * length + p];
      if (key == 0) continue;
      const int64_t roi = key_position(key);
      if (static_cast<volatile uint64_t*>(gone)[roi / kOverlapBits] >> (roi % kOverlapBits) & 1) continue;
      if (lane == 0) kept[c * most + count] = static_cast<int32_t>(roi);
      ++count;
      for (int w = lane; w < words; w += lanes) gone[w] |= bits[roi * words + w];
      FC_LANE_BARRIER();
    }
    if (lane == 0) num_kept[c] = count;
  }
};

// The lists of kept rois, one per class in descending order of score.
struct KeptLists {
  const float* scores;
  const int32_t *kept, *num_kept;
  int classes, most;

  FC_HD float score(int64_t c, int slot) const {
    return scores[int64_t{kept[c * most + slot]} * classes + c + 1];
  }
  // How many kept rois of class c score more than s.
  FC_HD int count_above(int64_t c, float s) const {
    int low = 0, high = num_kept[c];
    while (low < high) {
      const int middle = (low + high) / 2;
      if (score(c, middle) > s) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

// A kept roi is a result if fewer than max_per_image of the image score more: the threshold is the
// max_per_image-th best score, and those equal to it stay.
struct ApplyScoreLimit {
  KeptLists lists;
  int max_per_image;
  uint8_t* chosen;  // (classes - 1, most)

  FC_HD void operator()(int64_t index) const {
    const int64_t c = index / lists.most;
    const int slot = static_cast<int>(index % lists.most);
    chosen[index] = 0;
    if (slot >= lists.num_kept[c]) return;
    const float score = lists.score(c, slot);
    if (!(score >= kLowestScore)) return;
    int above = 0;
    for (int64_t other = 0; other < lists.classes - 1; ++other) {
      above += lists.count_above(other, score);
      if (above >= max_per_image) return;
    }
    chosen[index] = 1;
  }
};

struct Results {
  int32_t *roi, *cls, *count;  // (capacity), (capacity), (1): all results, even those beyond capacity
};

// The chosen rois are the first of their class's list; writes them behind those of the classes before.
struct EmitResults {
  const uint8_t* chosen;
  const int32_t *kept, *num_kept;
  int foreground, most, capacity;
  Results results;

  FC_HD int chosen_of(int64_t c) const {
    int slot = 0;
    while (slot < num_kept[c] && chosen[c * most + slot]) ++slot;
    return slot;
  }
  FC_HD void operator()(int64_t c) const {
    int offset = 0;
    for (int64_t before = 0; before < c; ++before) offset += chosen_of(before);
    const int mine = chosen_of(c);
    for (int slot = 0; slot < mine && offset + slot < capacity; ++slot) {
      results.roi[offset + slot] = kept[c * most + slot];
      results.cls[offset + slot] = static_cast<int32_t>(c + 1);
    }
    if (c == foreground - 1) *results.count = offset + mine;
  }
};

// Scratch of select_results; with a null workspace it only reserves.
struct SelectionScratch {
  int words;
  int64_t length;
  uint64_t *keys, *bits, *removed;
  int32_t *kept, *num_kept;
  uint8_t* chosen;
  SelectionScratch(const VotingTask& t, Workspace* ws)
      : words((t.n + kOverlapBits - 1) / kOverlapBits),
        length(sort_length(t.n)),
        keys(ws->take<uint64_t>(t.foreground() * length)),
        bits(ws->take<uint64_t>(int64_t{t.n} * words)),
        removed(ws->take<uint64_t>(int64_t{t.foreground()} * words)),
        kept(ws->take<int32_t>(int64_t{t.foreground()} * t.per_class())),
        num_kept(ws->take<int32_t>(t.foreground())),
        chosen(ws->take<uint8_t>(int64_t{t.foreground()} * t.per_class())) {}
};

// Fills `results` in the order of class, then score. `presorted` says that s.keys has been filled already.
template <class Backend>
int select_results(const Backend& backend, const VotingTask& t, bool drop_nan, const SelectionScratch& s,
                   const Results& results, bool presorted = false) {
  const int foreground = t.foreground(), most = t.per_class();
  int error = backend.zero(s.removed, int64_t{foreground} * s.words * sizeof(uint64_t));
  const OverlapBits overlap{t.boxes, t.n, s.words, static_cast<float>(t.nms_threshold), drop_nan, s.bits};
  if (error == 0) error = backend.for_each(int64_t{t.n} * s.words, overlap, kCheap);
  const ScoreKeys keys{t.scores, t.n, t.classes, s.length, s.keys};
  if (error == 0 && !presorted) error = backend.for_each(foreground * s.length, keys, kCheap);
  if (error == 0 && !presorted) error = sort_rows(backend, s.keys, foreground, s.length, s.length);
  const ClassScan scan{s.keys, s.bits, s.length, t.n, s.words, most, s.removed, s.kept, s.num_kept};
  if (error == 0) error = for_each_group(backend, foreground, scan);
  const KeptLists lists{t.scores, s.kept, s.num_kept, t.classes, most};
  const ApplyScoreLimit limit{lists, t.max_per_image, s.chosen};
  if (error == 0) error = backend.for_each(int64_t{foreground} * most, limit, kCheap);
  const EmitResults emit{s.chosen, s.kept, s.num_kept, foreground, most, t.capacity, results};
  if (error == 0) error = backend.for_each(foreground, emit, kCheap);
  return error;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_SELECTION_H_
