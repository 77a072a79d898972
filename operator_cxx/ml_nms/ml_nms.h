// Greedy suppression among boxes of one label only, as FCOS's post-processing does it: IoU of inclusive boxes
// in float32, dropped above the threshold, of equal scores the first comes first.
#ifndef OPERATOR_CXX_ML_NMS_ML_NMS_H_
#define OPERATOR_CXX_ML_NMS_ML_NMS_H_

#include "operator_cxx/common/sort.h"
#include "operator_cxx/nms/nms.h"

// boxes (n, 4), scores and labels (n), in any order; keep (n): 1 for a box that stays, 0 for the others.
FULLCONV_API(fullconv_ml_nms, const float* boxes, const float* scores, const float* labels, float* keep,
             int n, double threshold, void* workspace, void* stream);
// Bytes of scratch that the entry needs on either machine.
extern "C" __attribute__((visibility("default"))) size_t fullconv_ml_nms_workspace(int n);

namespace fullconv {

struct LabelledBoxes {
  const float *boxes, *scores, *labels;
  int64_t n;

  // The order of sort.h puts the later of equal scores first; counted from the end it is the earlier one.
  FC_HD uint64_t key(int64_t i) const { return sort_key(scores[i], static_cast<uint32_t>(n - 1 - i)); }
  FC_HD int64_t row(uint64_t key) const { return n - 1 - key_position(key); }

  // Box and label as the five numbers of a detection.
  FC_HD void gather(int64_t i, float* det) const {
    for (int k = 0; k < 4; ++k) det[k] = boxes[4 * i + k];
    det[4] = labels[i];
  }
};

struct LabelledKeys {
  LabelledBoxes in;
  uint64_t* keys;
  FC_HD void operator()(int64_t i) const { keys[i] = i < in.n ? in.key(i) : 0; }
};

struct GatherLabelled {
  LabelledBoxes in;
  const uint64_t* keys;
  float* dets;
  FC_HD void operator()(int64_t i) const { in.gather(in.row(keys[i]), dets + 5 * i); }
};

// A word of the matrix of nms.h, without the pairs of different labels.
struct LabelledPairs {
  NmsPairs pairs;
  FC_HD void operator()(int64_t index) const {
    pairs(index);
    const float label = pairs.dets[index / pairs.words * 5 + 4];
    const float* others = pairs.dets + index % pairs.words * kNmsBits * 5;
    for (uint64_t bits = pairs.matrix[index]; bits != 0; bits &= bits - 1) {
      const int bit = lowest_bit(bits);
      if (others[bit * 5 + 4] != label) pairs.matrix[index] &= ~(uint64_t(1) << bit);
    }
  }
};

struct MarkKept {
  LabelledBoxes in;
  const uint64_t* keys;
  const int32_t *kept, *num_kept;
  float* keep;
  FC_HD void operator()(int64_t i) const {
    if (i < *num_kept) keep[in.row(keys[kept[i]])] = 1.f;
  }
};

template <class Backend>
struct MlNmsScratch {
  int64_t length;
  uint64_t *keys, *matrix, *removed;
  float* dets;  // best first
  int32_t *kept, *num_kept;
  MlNmsScratch(Workspace* ws, int64_t n)
      : length(sort_length(n)),
        keys(ws->take<uint64_t>(length)),
        matrix(ws->take<uint64_t>(n * nms_words(n))),
        removed(ws->take<uint64_t>(nms_words(n))),
        dets(ws->take<float>(5 * n)),
        kept(ws->take<int32_t>(n)),
        num_kept(ws->take<int32_t>(1)) {}
};

// All pairs at once. For a GPU; tests run it on the CPU, too.
template <class Backend>
int ml_nms_in_matrix(const Backend& backend, const LabelledBoxes& in, float threshold, float* keep,
                     const MlNmsScratch<Backend>& s) {
  const int64_t n = in.n, words = nms_words(n);
  const NmsScan scan{s.matrix, n, words, n, s.removed, s.kept, s.num_kept};
  int failed = backend.zero(keep, n * sizeof(float));
  if (!failed) failed = backend.zero(s.removed, words * sizeof(uint64_t));
  if (!failed) failed = backend.for_each(s.length, LabelledKeys{in, s.keys});
  if (!failed) failed = bitonic_sort_rows(backend, s.keys, 1, s.length);
  if (!failed) failed = backend.for_each(n, GatherLabelled{in, s.keys, s.dets});
  if (!failed) failed = backend.for_each(n * words, LabelledPairs{{s.dets, n, words, threshold, s.matrix}});
  if (!failed) failed = for_each_group(backend, 1, scan);
  if (!failed) failed = backend.for_each(n, MarkKept{in, s.keys, s.kept, s.num_kept, keep});
  return failed;
}

template <class Backend>
int ml_nms(const Backend& backend, const LabelledBoxes& in, float threshold, float* keep, Workspace* ws) {
  return ml_nms_in_matrix(backend, in, threshold, keep, MlNmsScratch<Backend>(ws, in.n));
}

// On the CPU label by label, each box against those kept so far.
template <>
struct MlNmsScratch<CpuBackend> {
  uint64_t* keys;
  int64_t* order;
  float *dets, *storage;
  int32_t* kept;
  MlNmsScratch(Workspace* ws, int64_t n)
      : keys(ws->take<uint64_t>(n)),
        order(ws->take<int64_t>(n)),
        dets(ws->take<float>(5 * n)),
        storage(ws->take<float>(5 * n)),
        kept(ws->take<int32_t>(n)) {}
};

template <>
inline int ml_nms<CpuBackend>(const CpuBackend&, const LabelledBoxes& in, float threshold, float* keep,
                              Workspace* ws) {
  const MlNmsScratch<CpuBackend> s(ws, in.n);
  for (int64_t i = 0; i < in.n; ++i) {
    keep[i] = 0.f;
    s.order[i] = i;
    s.keys[i] = in.key(i);
    in.gather(i, s.dets + 5 * i);
  }
  const auto label = [&](int64_t i) { return sort_key(in.labels[i], 0); };  // NaN has its place in it
  std::sort(s.order, s.order + in.n, [&](int64_t a, int64_t b) {
    return label(a) != label(b) ? label(a) < label(b) : s.keys[a] > s.keys[b];
  });
  for (int64_t first = 0, last = 0; first < in.n; first = last) {
    while (last < in.n && label(s.order[last]) == label(s.order[first])) ++last;
    const int64_t count = nms_sequential(s.dets, 5, s.order + first, last - first, threshold, last - first,
                                         SuppressAbove(), s.kept, s.storage);
    for (int64_t i = 0; i < count; ++i) keep[s.kept[i]] = 1.f;
  }
  return 0;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_ML_NMS_ML_NMS_H_
