// Who votes for a result, with what weight, and on which part of the image.
#ifndef OPERATOR_CXX_MASK_VOTING_MEMBERS_H_
#define OPERATOR_CXX_MASK_VOTING_MEMBERS_H_

#include "operator_cxx/common/box.h"
#include "operator_cxx/mask_voting/frames.h"
#include "operator_cxx/mask_voting/selection.h"

namespace fullconv {

struct Members {
  int32_t *roi, *count;  // (capacity, n), (capacity)
  float* weight;         // (capacity, n), adding up to one
  Rect *area, *box;      // (capacity): union of the members' frames; the result's box, empty at first
};

// All rois that overlap the result enough, in index order, weighted by their score for the result's class.
struct CollectMembers {
  VotingTask task;
  const Frame* frames;
  Results results;
  Members members;

  FC_HD void operator()(int64_t r) const {
    int32_t* rois = members.roi + r * task.n;
    float* weights = members.weight + r * task.n;
    int count = 0;
    float sum = 0;
    Rect area = empty_rect(task.im_width, task.im_height);
    members.box[r] = area;
    const bool used = r < *results.count;
    const float* a = task.boxes + int64_t{used ? results.roi[r] : 0} * 4;
    for (int i = 0; used && i < task.n; ++i) {
      const float* b = task.boxes + int64_t{i} * 4;
      const double iou = box_iou<double>(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]);
      const float score = task.scores[int64_t{i} * task.classes + results.cls[r]];
      if (!(iou >= task.merge_threshold) || score != score) continue;
      rois[count] = i;
      weights[count++] = score;
      sum += score;
      area.join(frames[i].inside);
    }
    for (int k = 0; k < count; ++k) weights[k] /= sum;
    members.count[r] = count;
    members.area[r] = area;
  }
};

struct MakeFrames {
  const float* boxes;
  int im_width, im_height;
  Frame* frames;
  FC_HD void operator()(int64_t i) const { frames[i] = make_frame(boxes + i * 4, im_width, im_height); }
};

// Scratch common to the ways of voting.
struct VotingScratch {
  SelectionScratch selection;
  Frame* frames;
  Results results;
  Members members;
  VotingScratch(const VotingTask& t, Workspace* ws)
      : selection(t, ws),
        frames(ws->take<Frame>(t.n)),
        results{ws->take<int32_t>(t.capacity), ws->take<int32_t>(t.capacity), ws->take<int32_t>(1)},
        members{ws->take<int32_t>(int64_t{t.capacity} * t.n), ws->take<int32_t>(t.capacity),
                ws->take<float>(int64_t{t.capacity} * t.n), ws->take<Rect>(t.capacity),
                ws->take<Rect>(t.capacity)} {}
};

// Selection, frames and members: all that comes before the first pixel.
template <class Backend>
int prepare_votes(const Backend& backend, const VotingTask& t, bool drop_nan, const VotingScratch& s,
                  bool presorted = false) {
  int error = select_results(backend, t, drop_nan, s.selection, s.results, presorted);
  if (error == 0) error = backend.for_each(t.n, MakeFrames{t.boxes, t.im_width, t.im_height, s.frames});
  const CollectMembers collect{t, s.frames, s.results, s.members};
  if (error == 0) error = backend.for_each(t.capacity, collect, kCheap / std::max(t.n, 1));
  return error;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_MEMBERS_H_
