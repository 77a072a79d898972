// The C entry point, compiled by fcos_target.cc for the CPU and by fcos_target.cu for CUDA.
#ifndef OPERATOR_CXX_FCOS_TARGET_FCOS_TARGET_ENTRIES_H_
#define OPERATOR_CXX_FCOS_TARGET_FCOS_TARGET_ENTRIES_H_

#include "operator_cxx/fcos_target/fcos_target.h"

int FC_ENTRY(fullconv_fcos_target_fwd)(const float* gt_boxes, const float* levels, float* labels,
                                       float* regression, float* centerness, int n, int num_gt,
                                       int num_levels, int normalise, void* stream) {
  fullconv::FcosTarget body{gt_boxes, labels,     regression,     centerness, num_gt,
                            0,        num_levels, normalise != 0, {}};
  for (int i = 0; i < num_levels; ++i) {
    // Whole numbers too travel as floats, which are exact up to 2^24.
    const float* number = levels + 6 * i;
    const auto width = static_cast<int64_t>(number[1]);
    body.levels[i] = {body.locations, width, number[2], number[3], number[4], number[5]};
    body.locations += static_cast<int64_t>(number[0]) * width;
  }
  return FC_BACKEND(stream).for_each(n * body.locations, body);
}

#endif  // OPERATOR_CXX_FCOS_TARGET_FCOS_TARGET_ENTRIES_H_
