#include "operator_cxx/mask_voting/mask_voting_entries.h"

int fullconv_mask_voting_fwd_cuda(const float* masks, const float* boxes, const float* scores, float* dets,
                                  float* out_masks, float* count, FULLCONV_VOTING_SIZES,
                                  FULLCONV_VOTING_THRESHOLDS, void* workspace, void* stream) {
  const fullconv::VotingTask task =
      fullconv::make_task(masks, boxes, scores, n, classes, mask_size, max_per_image, im_width, im_height,
                          capacity, nms_threshold, merge_threshold, binary_threshold);
  fullconv::Workspace ws(workspace);
  return fullconv::vote_by_phases(fullconv::CudaBackend(stream), task, dets, out_masks, count, &ws);
}
