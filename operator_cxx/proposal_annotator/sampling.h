// Which rois train the second stage, and with which label (Fast R-CNN, ICCV 2015, section 2.3; FCIS
// section 3.2).
//
// An image's candidates are its P rois followed by its ground truth boxes. Sampling is a chain of draws, so
// one thread does an image; everything before and after it is parallel.
#ifndef OPERATOR_CXX_PROPOSAL_ANNOTATOR_SAMPLING_H_
#define OPERATOR_CXX_PROPOSAL_ANNOTATOR_SAMPLING_H_

#include "operator_cxx/common/box.h"
#include "operator_cxx/common/numpy_random.h"

namespace fullconv {

// One image batch. Ground truth rows with class <= 0 (or NaN) are padding.
struct AnnotatorInputs {
  const float *rois, *gt_boxes, *gt_masks, *seed;
  int images, rois_each, gt_each, mask_h, mask_w;

  FC_HD int64_t candidates() const { return int64_t{rois_each} + gt_each; }
  FC_HD const float* gt(int64_t image, int64_t g) const { return gt_boxes + (image * gt_each + g) * 5; }
};

struct SamplingRule {
  int wanted;     // rows per image: all candidates when take_all
  int wanted_fg;  // at most so many foreground rows
  double fg_thresh, bg_thresh_hi, bg_thresh_lo;
  bool take_all, gap_select_from_all, ignore_gap;
};

// Per image: which ground truth rows are real. Per candidate: its best one.
struct Assignment {
  int32_t* gt_rows;   // (N, G) rows of real ground truth, ascending
  int32_t* num_gt;    // (N)
  double* overlap;    // (N, P + G) best IoU
  int32_t* assigned;  // (N, P + G) its row, -1 without ground truth

  // Coordinates (4) of candidate c; those from P + num_gt on do not exist.
  FC_HD const float* box(const AnnotatorInputs& in, int64_t image, int64_t c) const {
    if (c < in.rois_each) return in.rois + (image * in.rois_each + c) * 5 + 1;
    return in.gt(image, gt_rows[image * in.gt_each + c - in.rois_each]);
  }
};

struct FindGroundTruth {
  AnnotatorInputs in;
  Assignment to;
  FC_HD void operator()(int64_t image) const {
    int count = 0;
    for (int g = 0; g < in.gt_each; ++g) {
      if (in.gt(image, g)[4] > 0.0f) to.gt_rows[image * in.gt_each + count++] = g;
    }
    to.num_gt[image] = count;
  }
};

// The first of equally good ground truths wins.
struct AssignGroundTruth {
  AnnotatorInputs in;
  Assignment to;
  FC_HD void operator()(int64_t index) const {
    const int64_t image = index / in.candidates(), c = index % in.candidates();
    const int count = to.num_gt[image];
    if (c >= in.rois_each + count) return;
    const Box box = load_box(to.box(in, image, c));
    double best = 0.0;
    int32_t row = count > 0 ? to.gt_rows[image * in.gt_each] : -1;
    for (int g = 0; g < count; ++g) {
      const int32_t candidate = to.gt_rows[image * in.gt_each + g];
      const double overlap = box_iou(box, load_box(in.gt(image, candidate)));
      if (overlap > best) {
        best = overlap;
        row = candidate;
      }
    }
    to.overlap[index] = best;
    to.assigned[index] = row;
  }
};

// The rows chosen for each image, in the original's order: foreground, background, gap filling.
struct Sample {
  int32_t* keep;     // (N, rows) candidates, -1 where an image with fewer ground truths has no candidate left
  int32_t* num_fg;   // (N) leading foreground rows
  int32_t* num_own;  // (N) rows before gap filling
  int64_t rows;
};

struct DrawSample {
  AnnotatorInputs in;
  Assignment from;
  SamplingRule rule;
  Sample to;
  int32_t* lists;       // (N, 2, P + G)
  RandomState* random;  // (N)

  FC_HD void operator()(int64_t image) const {
    const int64_t n = in.rois_each + from.num_gt[image];
    int32_t *fg = lists + image * 2 * in.candidates(), *other = fg + in.candidates();
    random[image].seed(seed_from_float(in.seed[image]));

    int64_t num_fg = foreground(image, n, fg);
    if (rule.ignore_gap) num_fg = drop_repetition(image, fg, num_fg);
    const int64_t wanted = rule.take_all ? n : rule.wanted;
    num_fg = choose(image, fg, num_fg, rule.take_all ? n : rule.wanted_fg);
    int64_t count = append(image, fg, num_fg, 0);
    count = append(image, other, choose(image, other, background(image, n, other), wanted - count), count);
    to.num_fg[image] = static_cast<int32_t>(num_fg);
    to.num_own[image] = static_cast<int32_t>(count);
    while (count < wanted) {
      const int64_t size = gap_source(n, fg, num_fg, other);
      random[image].shuffle(other, size);
      count = append(image, other, size < wanted - count ? size : wanted - count, count);
    }
    while (count < to.rows) to.keep[image * to.rows + count++] = -1;
  }

  FC_HD int64_t foreground(int64_t image, int64_t n, int32_t* list) const {
    int64_t size = 0;
    for (int64_t c = 0; c < n && from.num_gt[image] > 0; ++c) {
      if (from.overlap[image * in.candidates() + c] >= rule.fg_thresh) list[size++] = static_cast<int32_t>(c);
    }
    return size;
  }

  FC_HD int64_t background(int64_t image, int64_t n, int32_t* list) const {
    int64_t size = 0;
    for (int64_t c = 0; c < n; ++c) {
      const double overlap = from.overlap[image * in.candidates() + c];
      if (rule.bg_thresh_lo <= overlap && overlap < rule.bg_thresh_hi) list[size++] = static_cast<int32_t>(c);
    }
    return size;
  }

  // Keeps a box if ANY of its coordinates appears for the first time. What is dropped brings nothing new, so
  // looking at the kept ones is enough.
  FC_HD int64_t drop_repetition(int64_t image, int32_t* list, int64_t size) const {
    int64_t kept = 0;
    for (int64_t i = 0; i < size; ++i) {
      const float* box = from.box(in, image, list[i]);
      bool seen[4] = {false, false, false, false};
      for (int64_t j = 0; j < kept; ++j) {
        const float* earlier = from.box(in, image, list[j]);
        for (int k = 0; k < 4; ++k) seen[k] = seen[k] || earlier[k] == box[k];
      }
      if (!(seen[0] && seen[1] && seen[2] && seen[3])) list[kept++] = list[i];
    }
    return kept;
  }

  // np.random.choice(list, size=most, replace=False), only when the list is longer than that.
  FC_HD int64_t choose(int64_t image, int32_t* list, int64_t size, int64_t most) const {
    if (size <= most) return size;
    random[image].shuffle(list, size);
    return most;
  }

  FC_HD int64_t append(int64_t image, const int32_t* list, int64_t size, int64_t count) const {
    for (int64_t i = 0; i < size; ++i) to.keep[image * to.rows + count++] = list[i];
    return count;
  }

  // All candidates, or those outside the (subsampled) foreground: a foreground roi that lost the draw may
  // come back as background. Where nothing is outside (the original raises), all.
  FC_HD int64_t gap_source(int64_t n, const int32_t* fg, int64_t num_fg, int32_t* list) const {
    int64_t size = 0;
    for (int64_t c = 0; c < n; ++c) list[c] = 1;
    for (int64_t i = 0; i < num_fg && !rule.gap_select_from_all && num_fg < n; ++i) list[fg[i]] = 0;
    for (int64_t c = 0; c < n; ++c) {
      if (list[c]) list[size++] = static_cast<int32_t>(c);
    }
    return size;
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_PROPOSAL_ANNOTATOR_SAMPLING_H_
