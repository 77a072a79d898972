// The C entry point, compiled by ohem.cc for the CPU and by ohem.cu for CUDA.
#ifndef OPERATOR_CXX_OHEM_OHEM_ENTRIES_H_
#define OPERATOR_CXX_OHEM_OHEM_ENTRIES_H_

#include "operator_cxx/ohem/ohem.h"

namespace fullconv {

// The scratch arrays of one call.
struct OhemScratch {
  int64_t per_image, row;
  uint64_t* keys;
  uint8_t* hard;
  OhemScratch(Workspace* ws, int64_t num_rois, int64_t num_images)
      : per_image(num_rois / num_images),
        row(sort_length(per_image)),
        keys(ws->take<uint64_t>(num_images * row)),
        hard(ws->take<uint8_t>(num_rois)) {}
};

template <class Backend>
int mark_hardest(const Backend& backend, const OhemInputs& in, const OhemScratch& s, int64_t images,
                 int64_t keep) {
  const int64_t top = std::min(keep, s.per_image);
  // A roi's loss goes over all pixels of its mask: 16 are worth a thread.
  int error = backend.for_each(images * s.row, RankLosses{in, s.per_image, s.row, s.keys}, 16);
  if (error == 0) error = sort_rows(backend, s.keys, images, s.row, top);
  if (error == 0) error = backend.zero(s.hard, images * s.per_image);
  const MarkHardest mark{s.keys, s.per_image, s.row, top, s.hard};
  if (error == 0) error = backend.for_each(images * top, mark);
  return error;
}

}  // namespace fullconv

int FC_ENTRY(fullconv_ohem_fwd)(const float* cls_score, const float* seg_pred, const float* bbox_pred,
                                const float* labels, const float* mask_targets, const float* bbox_targets,
                                const float* bbox_weights, float* labels_out, float* mask_targets_out,
                                float* bbox_weights_out, int num_rois, int num_images, int classes, int area,
                                int coords, int keep, double cls_weight, double mask_weight,
                                double bbox_weight, void* workspace, void* stream) {
  using namespace fullconv;
  const auto backend = FC_BACKEND(stream);
  const OhemInputs in{cls_score, seg_pred, bbox_pred, labels,     mask_targets, bbox_targets, bbox_weights,
                      classes,   area,     coords,    cls_weight, mask_weight,  bbox_weight};
  Workspace ws(workspace);
  const OhemScratch s(&ws, num_rois, num_images);
  int error = mark_hardest(backend, in, s, num_images, keep);
  const KeepHard label{s.hard, labels, labels_out, 1, -1.0f};
  if (error == 0) error = backend.for_each_2d(num_rois, 1, label);
  const KeepHard mask{s.hard, mask_targets, mask_targets_out, area, -1.0f};
  if (error == 0) error = backend.for_each_2d(num_rois, area, mask);
  const KeepHard weight{s.hard, bbox_weights, bbox_weights_out, coords, 0.0f};
  if (error == 0) error = backend.for_each_2d(num_rois, coords, weight);
  return error;
}

#endif  // OPERATOR_CXX_OHEM_OHEM_ENTRIES_H_
