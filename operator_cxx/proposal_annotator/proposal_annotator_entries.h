// The C entry point, compiled by proposal_annotator.cc for the CPU and by proposal_annotator.cu for CUDA.
#ifndef OPERATOR_CXX_PROPOSAL_ANNOTATOR_PROPOSAL_ANNOTATOR_ENTRIES_H_
#define OPERATOR_CXX_PROPOSAL_ANNOTATOR_PROPOSAL_ANNOTATOR_ENTRIES_H_

#include "operator_cxx/proposal_annotator/proposal_annotator.h"

namespace fullconv {

// The scratch arrays of one call.
struct AnnotatorScratch {
  Assignment assignment;
  Sample sample;
  int32_t* lists;
  RandomState* random;

  AnnotatorScratch(Workspace* ws, int64_t n, int64_t candidates, int64_t gt_each, int64_t rows) {
    assignment.gt_rows = ws->take<int32_t>(n * gt_each);
    assignment.num_gt = ws->take<int32_t>(n);
    assignment.overlap = ws->take<double>(n * candidates);
    assignment.assigned = ws->take<int32_t>(n * candidates);
    sample.keep = ws->take<int32_t>(n * rows);
    sample.num_fg = ws->take<int32_t>(n);
    sample.num_own = ws->take<int32_t>(n);
    sample.rows = rows;
    lists = ws->take<int32_t>(n * 2 * candidates);
    random = ws->take<RandomState>(n);
  }
};

template <class Backend>
int draw_samples(const Backend& backend, const AnnotatorInputs& in, const SamplingRule& rule,
                 const AnnotatorScratch& s) {
  int error = backend.for_each(in.images, FindGroundTruth{in, s.assignment});
  if (error == 0) {
    // A candidate meets every ground truth, so few of them are worth a thread.
    error = backend.for_each(in.images * in.candidates(), AssignGroundTruth{in, s.assignment}, 64);
  }
  const DrawSample draw{in, s.assignment, rule, s.sample, s.lists, s.random};
  // Each image is long enough: its draws are a chain.
  if (error == 0) error = backend.for_each(in.images, draw, 1);
  return error;
}

}  // namespace fullconv

int FC_ENTRY(fullconv_proposal_annotator_fwd)(
    const float* rois, const float* gt_boxes, const float* gt_masks, const float* seed, float* out_rois,
    float* label, float* bbox_target, float* bbox_weight, float* mask_target, int n, int rois_each,
    int gt_each, int mask_h, int mask_w, int batch_images, int batch_rois, double fg_fraction,
    double fg_thresh, double bg_thresh_hi, double bg_thresh_lo, const double* bbox_numbers, int normalize,
    int gap_select_from_all, int ignore_gap, double binary_thresh, int mask_size, int num_reg_classes,
    void* workspace, void* stream) {
  using namespace fullconv;
  const auto backend = FC_BACKEND(stream);
  const AnnotatorInputs in{rois, gt_boxes, gt_masks, seed, n, rois_each, gt_each, mask_h, mask_w};
  const int rows = static_cast<int>(annotator_rows(rois_each, gt_each, batch_images, batch_rois));
  const SamplingRule rule{rows,
                          static_cast<int>(nearbyint(fg_fraction * rows)),  // half to even, as np.round
                          fg_thresh,
                          bg_thresh_hi,
                          bg_thresh_lo,
                          batch_rois == -1,
                          gap_select_from_all != 0,
                          ignore_gap != 0};
  Workspace ws(workspace);
  const AnnotatorScratch s(&ws, n, in.candidates(), gt_each, rows);
  const BoxCoding coding(bbox_numbers, num_reg_classes, normalize != 0);
  int error = draw_samples(backend, in, rule, s);
  const WriteRow write{in,       s.assignment, s.sample,    coding,     rule.ignore_gap,
                       out_rois, label,        bbox_target, bbox_weight};
  if (error == 0) error = backend.for_each(int64_t{n} * rows, write);
  const WriteMask mask{in, s.assignment, s.sample, mask_size, binary_thresh, mask_target};
  if (error == 0) error = backend.for_each_2d(int64_t{n} * rows, int64_t{mask_size} * mask_size, mask);
  return error;
}

#endif  // OPERATOR_CXX_PROPOSAL_ANNOTATOR_PROPOSAL_ANNOTATOR_ENTRIES_H_
