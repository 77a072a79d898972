// The last step of FCIS at test time (its section 4, "Inference"), behind a C interface that
// lib/mask/voting.py calls: it is no part of the graph, so MXNet needs no operator of it.
#include "operator_cxx/mask_voting/mask_voting_cpu.h"
#include "operator_cxx/mask_voting/mask_voting_entries.h"

#define FULLCONV_TASK                                                                                  \
  fullconv::make_task(masks, boxes, scores, n, classes, mask_size, max_per_image, im_width, im_height, \
                      capacity, nms_threshold, merge_threshold, binary_threshold)

size_t fullconv_mask_voting_workspace(int n, int classes, int max_per_image, int capacity) {
  fullconv::Workspace ws(nullptr);
  const fullconv::VotingTask task =
      fullconv::make_task(nullptr, nullptr, nullptr, n, classes, 1, max_per_image, 1, 1, capacity, 0, 0, 0);
  const fullconv::VotingScratch reserve(task, &ws);
  static_cast<void>(reserve);
  return ws.used();
}

int fullconv_mask_voting_fwd_cpu(const float* masks, const float* boxes, const float* scores, float* dets,
                                 float* out_masks, float* count, FULLCONV_VOTING_SIZES,
                                 FULLCONV_VOTING_THRESHOLDS, void* workspace, void*) {
  fullconv::Workspace ws(workspace);
  return fullconv::vote_by_bits<fullconv::KernelRule>(FULLCONV_TASK, nullptr, dets, out_masks, count, &ws);
}

// The phases of the CUDA version run on the CPU, for the tests that compare the two.
extern "C" __attribute__((visibility("default"))) int fullconv_mask_voting_phases_cpu(
    const float* masks, const float* boxes, const float* scores, float* dets, float* out_masks, float* count,
    FULLCONV_VOTING_SIZES, FULLCONV_VOTING_THRESHOLDS, void* workspace, void*) {
  fullconv::Workspace ws(workspace);
  return fullconv::vote_by_phases(fullconv::CpuBackend(), FULLCONV_TASK, dets, out_masks, count, &ws);
}

// Either rule, with the order in which the rois of each class are visited: order (C - 1, n).
extern "C" __attribute__((visibility("default"))) int fullconv_mask_voting_ordered_cpu(
    const float* masks, const float* boxes, const float* scores, const int32_t* order, int opencv_rule,
    float* dets, float* out_masks, float* count, FULLCONV_VOTING_SIZES, FULLCONV_VOTING_THRESHOLDS,
    void* workspace) {
  fullconv::Workspace ws(workspace);
  const fullconv::VotingTask task = FULLCONV_TASK;
  if (opencv_rule)
    return fullconv::vote_by_bits<fullconv::OpenCvRule>(task, order, dets, out_masks, count, &ws);
  return fullconv::vote_by_bits<fullconv::KernelRule>(task, order, dets, out_masks, count, &ws);
}
