// Mask voting with the CUDA kernel's rules, as phases over (result, pixel): no buffer of the size of the
// image. The votes on a pixel are added up where they are needed, first to find each result's box, then at
// the few places where its new mask is sampled. Scratch memory is 8 bytes per result and roi.
#ifndef OPERATOR_CXX_MASK_VOTING_MASK_VOTING_H_
#define OPERATOR_CXX_MASK_VOTING_MASK_VOTING_H_

#include "operator_cxx/mask_voting/members.h"

namespace fullconv {

FC_HD void atomic_lower(int* value, int candidate) {
#ifdef __CUDA_ARCH__
  atomicMin(value, candidate);
#else
  int seen = __atomic_load_n(value, __ATOMIC_RELAXED);
  while (candidate < seen &&
         !__atomic_compare_exchange_n(value, &seen, candidate, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
#endif
}

FC_HD void atomic_raise(int* value, int candidate) {
#ifdef __CUDA_ARCH__
  atomicMax(value, candidate);
#else
  int seen = __atomic_load_n(value, __ATOMIC_RELAXED);
  while (candidate > seen &&
         !__atomic_compare_exchange_n(value, &seen, candidate, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
#endif
}

// Sum of the weights of the members whose mask covers a pixel.
struct Votes {
  VotingTask task;
  const Frame* frames;
  Members members;

  FC_HD float at(int64_t r, int x, int y) const {
    if (!members.area[r].contains(x, y)) return 0;
    const int32_t* rois = members.roi + r * task.n;
    const float* weights = members.weight + r * task.n;
    const int size = task.mask_size, count = members.count[r];
    float sum = 0;
    for (int k = 0; k < count; ++k) {
      const Frame& frame = frames[rois[k]];
      if (!frame.inside.contains(x, y)) continue;
      const Tap ty = KernelSampling::tap(static_cast<float>(y) - frame.y1, frame.height, size);
      const Tap tx = KernelSampling::tap(static_cast<float>(x) - frame.x1, frame.width, size);
      const float* mask = task.masks + int64_t{rois[k]} * size * size;
      if (KernelSampling::value(mask, size, ty, tx) >= task.mask_cut()) sum += weights[k];
    }
    return sum;
  }
};

// Grows the box of result r by what one stretch of one row adds to it.
struct FindBoxes {
  static constexpr int kStretch = 8;
  Votes votes;
  int64_t stretches;  // per row

  FC_HD void operator()(int64_t index) const {
    const int height = votes.task.im_height;
    const int first = static_cast<int>(index % stretches) * kStretch;
    const int y = static_cast<int>(index / stretches % height);
    const int64_t r = index / stretches / height;
    const Rect area = votes.members.area[r];
    if (y < area.y1 || y > area.y2 || first > area.x2 || first + kStretch <= area.x1) return;
    int low = votes.task.im_width, high = -1;
    for (int x = first; x < first + kStretch; ++x) {
      if (votes.at(r, x, y) >= votes.task.mask_cut()) {
        low = x < low ? x : low;
        high = x;
      }
    }
    if (high < 0) return;
    Rect* box = votes.members.box + r;
    atomic_lower(&box->x1, low);
    atomic_lower(&box->y1, y);
    atomic_raise(&box->x2, high);
    atomic_raise(&box->y2, y);
  }
};

// Position in the image of sample i of M across `extent` pixels from `start`, as a tap on the image's side.
FC_HD Tap sample_tap(int i, int size, int start, int extent, int side) {
  const float step = (static_cast<float>(i) + 0.5f) * static_cast<float>(extent) / static_cast<float>(size);
  return make_tap(static_cast<float>(start) + step - 0.5f, side);
}

// Boxes of one row or column are dropped, as are results on which no pixel got enough votes.
FC_HD bool is_result(const Rect& box) { return box.x2 > box.x1 && box.y2 > box.y1; }

// One value of one result's new mask; beyond the box it looks at the votes there, not at a replicated edge.
struct SampleMasks {
  Votes votes;
  float* out;  // (capacity, M, M)

  FC_HD void operator()(int64_t index) const {
    const int size = votes.task.mask_size;
    const int j = static_cast<int>(index % size), i = static_cast<int>(index / size % size);
    const int64_t r = index / size / size;
    const Rect box = votes.members.box[r];
    out[index] = 0;
    if (!is_result(box)) return;
    const Tap x = sample_tap(j, size, box.x1, box.width(), votes.task.im_width);
    const Tap y = sample_tap(i, size, box.y1, box.height(), votes.task.im_height);
    out[index] = lerp(lerp(votes.at(r, x.low, y.low), votes.at(r, x.low, y.high), y.frac),
                      lerp(votes.at(r, x.high, y.low), votes.at(r, x.high, y.high), y.frac), x.frac);
  }
};

// Row r of dets: class (-1: no result), x1, y1, x2, y2, score.
FC_HD void write_detection(const VotingTask& task, const Results& results, int64_t r, const Rect& box,
                           bool valid, float* dets) {
  float* row = dets + r * 6;
  const float score = valid ? task.scores[int64_t{results.roi[r]} * task.classes + results.cls[r]] : 0;
  row[0] = valid ? static_cast<float>(results.cls[r]) : -1.0f;
  row[1] = valid ? static_cast<float>(box.x1) : 0;
  row[2] = valid ? static_cast<float>(box.y1) : 0;
  row[3] = valid ? static_cast<float>(box.x2) : 0;
  row[4] = valid ? static_cast<float>(box.y2) : 0;
  row[5] = score;
}

struct WriteDetections {
  VotingTask task;
  Results results;
  const Rect* boxes;
  float *dets, *count;

  FC_HD void operator()(int64_t r) const {
    write_detection(task, results, r, boxes[r], is_result(boxes[r]), dets);
    if (r == 0) *count = static_cast<float>(*results.count);
  }
};

// dets (capacity, 6), masks (capacity, M, M), count (1).
template <class Backend>
int vote_by_phases(const Backend& backend, const VotingTask& task, float* dets, float* masks, float* count,
                   Workspace* ws) {
  const VotingScratch s(task, ws);
  int error = prepare_votes(backend, task, false, s);
  const Votes votes{task, s.frames, s.members};
  const int64_t stretches = (task.im_width + FindBoxes::kStretch - 1) / FindBoxes::kStretch;
  const int64_t area = int64_t{task.mask_size} * task.mask_size;
  if (error == 0)
    error = backend.for_each(task.capacity * task.im_height * stretches, FindBoxes{votes, stretches});
  if (error == 0) error = backend.for_each(task.capacity * area, SampleMasks{votes, masks});
  const WriteDetections write{task, s.results, s.members.box, dets, count};
  if (error == 0) error = backend.for_each(task.capacity, write);
  return error;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_MASK_VOTING_H_
