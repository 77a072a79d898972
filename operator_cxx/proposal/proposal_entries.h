// The C entry point, compiled by proposal.cc for the CPU and by proposal.cu for CUDA.
#ifndef OPERATOR_CXX_PROPOSAL_PROPOSAL_ENTRIES_H_
#define OPERATOR_CXX_PROPOSAL_PROPOSAL_ENTRIES_H_

#include "operator_cxx/proposal/proposal.h"

namespace fullconv {

// NMS of each image in turn; they share the scratch memory that is left in `ws`.
template <class Backend>
int nms_per_image(const Backend& backend, const ProposalScratch<Backend>& s, int n, float threshold, int post,
                  const Workspace& ws) {
  for (int i = 0; i < n; ++i) {
    // A copy: each image begins at the same place, as none runs beside another.
    Workspace rest = ws;
    const int error = greedy_nms(backend, s.dets + i * s.top * 5, s.top, threshold, post,
                                 s.keep + int64_t{i} * post, s.num_keep + i, &rest);
    if (error != 0) return error;
  }
  return 0;
}

template <class Backend>
int propose(const Backend& backend, const DecodeAnchors& inputs, const float* seed, float* rois, float* score,
            int n, int pre, int post, float threshold, Workspace ws) {
  const int64_t area = int64_t{inputs.h} * inputs.w;
  const ProposalScratch<Backend> s(&ws, n, inputs.anchors.count, area, pre, post);
  DecodeAnchors decode = inputs;
  decode.row = s.row;
  decode.boxes = s.boxes;
  decode.keys = s.keys;
  int error = backend.for_each(n * s.row, decode);
  if (error == 0) error = sort_rows(backend, s.keys, n, s.row, s.top);
  const GatherTop gather{inputs.cls_prob,      s.boxes, s.keys, s.count, area, s.row, s.top,
                         inputs.anchors.count, s.dets};
  if (error == 0) error = backend.for_each(n * s.top, gather);
  if (error == 0) error = nms_per_image(backend, s, n, threshold, post, ws);
  const EmitRois emit{s.dets, inputs.im_info, seed, s.keys,   s.keep, s.num_keep,
                      s.row,  s.top,          post, s.random, rois,   score};
  if (error == 0) error = backend.for_each(n, emit, 1);
  return error;
}

}  // namespace fullconv

int FC_ENTRY(fullconv_proposal_fwd)(const float* cls_prob, const float* bbox_pred, const float* im_info,
                                    const float* seed, float* rois, float* score, int n, int num_anchors,
                                    int h, int w, int stride, int base_size, const float* scales,
                                    int num_scales, const float* ratios, int num_ratios, int pre_nms,
                                    int post_nms, double threshold, double min_size, void* workspace,
                                    void* stream) {
  fullconv::DecodeAnchors inputs{cls_prob, bbox_pred, im_info, {},      h,      w,
                                 stride,   min_size,  0,       nullptr, nullptr};
  if (!fullconv::make_anchors(base_size, scales, num_scales, ratios, num_ratios, &inputs.anchors)) return -1;
  if (inputs.anchors.count != num_anchors) return -1;
  return fullconv::propose(FC_BACKEND(stream), inputs, seed, rois, score, n, pre_nms, post_nms,
                           static_cast<float>(threshold), fullconv::Workspace(workspace));
}

#endif  // OPERATOR_CXX_PROPOSAL_PROPOSAL_ENTRIES_H_
