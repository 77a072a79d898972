// The C entry point, compiled by box_parser.cc for the CPU and by box_parser.cu for CUDA.
#ifndef OPERATOR_CXX_BOX_PARSER_BOX_PARSER_ENTRIES_H_
#define OPERATOR_CXX_BOX_PARSER_BOX_PARSER_ENTRIES_H_

#include "operator_cxx/box_parser/box_parser.h"

int FC_ENTRY(fullconv_box_parser_fwd)(const float* rois, const float* bbox_delta, const float* cls_prob,
                                      const float* im_info, float* out, int num_rois, int coords, int classes,
                                      int num_images, const float* numbers, int class_agnostic,
                                      void* stream) {
  fullconv::ParseBoxes body{rois,       bbox_delta,          cls_prob, im_info, out, coords, classes,
                            num_images, class_agnostic != 0, {},       {}};
  for (int k = 0; k < 4; ++k) {
    body.means[k] = numbers[k];
    body.stds[k] = numbers[4 + k];
  }
  return FC_BACKEND(stream).for_each(num_rois, body);
}

#endif  // OPERATOR_CXX_BOX_PARSER_BOX_PARSER_ENTRIES_H_
