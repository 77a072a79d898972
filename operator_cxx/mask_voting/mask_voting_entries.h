// The C entry points. All arrays are float32 and live on the backend's machine.
//
//   masks (n, M, M), boxes (n, 4), scores (n, C)  ->  dets (capacity, 6), out_masks (capacity, M, M), count
//   (1)
//
// A row of dets is class, x1, y1, x2, y2, score; class -1 marks a row without a result. count is the number
// of results before any is dropped: more than `capacity` says that the arrays were too short.
#ifndef OPERATOR_CXX_MASK_VOTING_MASK_VOTING_ENTRIES_H_
#define OPERATOR_CXX_MASK_VOTING_MASK_VOTING_ENTRIES_H_

#include "operator_cxx/mask_voting/mask_voting.h"

#define FULLCONV_VOTING_SIZES \
  int n, int classes, int mask_size, int max_per_image, int im_width, int im_height, int capacity
#define FULLCONV_VOTING_THRESHOLDS double nms_threshold, double merge_threshold, double binary_threshold

namespace fullconv {

inline VotingTask make_task(const float* masks, const float* boxes, const float* scores,
                            FULLCONV_VOTING_SIZES, FULLCONV_VOTING_THRESHOLDS) {
  return {masks,         boxes,           scores,          n,         classes,
          mask_size,     max_per_image,   im_width,        im_height, capacity,
          nms_threshold, merge_threshold, binary_threshold};
}

}  // namespace fullconv

FULLCONV_API(fullconv_mask_voting_fwd, const float* masks, const float* boxes, const float* scores,
             float* dets, float* out_masks, float* count, FULLCONV_VOTING_SIZES, FULLCONV_VOTING_THRESHOLDS,
             void* workspace, void* stream);

extern "C" __attribute__((visibility("default"))) size_t fullconv_mask_voting_workspace(int n, int classes,
                                                                                        int max_per_image,
                                                                                        int capacity);

#endif  // OPERATOR_CXX_MASK_VOTING_MASK_VOTING_ENTRIES_H_
