// What every location of FCOS's feature pyramid is to predict (Tian et al., ICCV 2019, sections 3.1 to 3.3).
//
// All in float32 and in the original's order of operations, so that labels agree on the borders and targets
// to the last bit. Distances have no + 1, areas have.
#ifndef OPERATOR_CXX_FCOS_TARGET_FCOS_TARGET_H_
#define OPERATOR_CXX_FCOS_TARGET_FCOS_TARGET_H_

#include <cmath>

#include "operator_cxx/common/backend.h"

// gt_boxes (n, num_gt, 5): x1, y1, x2, y2, class; rows whose class is not above 0 are padding. levels
// (num_levels, 6), on the host also for CUDA: height, width, stride, least and greatest distance, reach of
// the centre sampling (0: whole boxes). labels (n, L), regression (n, L, 4), centerness (n, L) over all L
// locations, level by level, each row by row.
FULLCONV_API(fullconv_fcos_target_fwd, const float* gt_boxes, const float* levels, float* labels,
             float* regression, float* centerness, int n, int num_gt, int num_levels, int normalise,
             void* stream);

namespace fullconv {

constexpr int kFcosMaxLevels = 16;

struct FcosLevel {
  int64_t first, width;  // position of the level's first location among all, locations in a row
  float stride, least, greatest, reach;
};

struct FcosDistances {
  float l, t, r, b;
  FC_HD float nearest() const { return fminf(fminf(l, t), fminf(r, b)); }
  FC_HD float farthest() const { return fmaxf(fmaxf(l, t), fmaxf(r, b)); }
};

FC_HD FcosDistances distances(float x, float y, const float* gt) {
  return {x - gt[0], y - gt[1], gt[2] - x, gt[3] - y};
}

struct FcosTarget {
  const float* gt_boxes;
  float *labels, *regression, *centerness;
  int64_t num_gt, locations;
  int num_levels;
  bool normalise;
  FcosLevel levels[kFcosMaxLevels];

  FC_HD void operator()(int64_t i) const {
    const int64_t image = i / locations, at = i % locations;
    const FcosLevel& level = levels[level_of(at)];
    const int64_t row = (at - level.first) / level.width, column = (at - level.first) % level.width;
    // The original divides whole numbers: 3 of a stride of 7.
    const float centre = floorf(level.stride / 2);
    const float x = static_cast<float>(column) * level.stride + centre;
    const float y = static_cast<float>(row) * level.stride + centre;
    const float* gt = smallest_box(gt_boxes + image * num_gt * 5, x, y, level);
    store(i, gt, x, y, level.stride);
  }

 private:
  FC_HD int level_of(int64_t at) const {
    int level = num_levels - 1;
    while (at < levels[level].first) --level;
    return level;
  }

  // The box of least area that has the location; of equal areas the first; null where there is none.
  FC_HD const float* smallest_box(const float* boxes, float x, float y, const FcosLevel& level) const {
    const float *best = nullptr, *first = nullptr;
    float least = 100000000.f;  // the original's infinity: a box that large is never chosen
    for (const float* gt = boxes; gt != boxes + num_gt * 5; gt += 5) {
      if (!(gt[4] > 0.f)) continue;
      // The original takes a first box centred at x = 0 for a sign that there are no boxes.
      if (first == nullptr && level.reach > 0.f && gt[0] + gt[2] == 0.f) return nullptr;
      first = gt;
      const float area = (gt[2] - gt[0] + 1.f) * (gt[3] - gt[1] + 1.f);
      if (area < least && takes(gt, x, y, level)) {
        least = area;
        best = gt;
      }
    }
    return best;
  }

  FC_HD bool takes(const float* gt, float x, float y, const FcosLevel& level) const {
    const float size = distances(x, y, gt).farthest();
    // Both ends count, so a size of exactly 64 belongs to two levels.
    if (!(size >= level.least && size <= level.greatest)) return false;
    if (!(level.reach > 0.f)) return distances(x, y, gt).nearest() > 0.f;
    const float cx = (gt[0] + gt[2]) / 2.f, cy = (gt[1] + gt[3]) / 2.f;
    const float part[4] = {fmaxf(cx - level.reach, gt[0]), fmaxf(cy - level.reach, gt[1]),
                           fminf(cx + level.reach, gt[2]), fminf(cy + level.reach, gt[3])};
    return distances(x, y, part).nearest() > 0.f;
  }

  FC_HD void store(int64_t at, const float* gt, float x, float y, float stride) const {
    labels[at] = gt == nullptr ? 0.f : gt[4];
    FcosDistances d = {0.f, 0.f, 0.f, 0.f};
    if (gt != nullptr) d = distances(x, y, gt);
    if (normalise) d = {d.l / stride, d.t / stride, d.r / stride, d.b / stride};
    float* out = regression + 4 * at;
    out[0] = d.l;
    out[1] = d.t;
    out[2] = d.r;
    out[3] = d.b;
    // 0 / 0 for the background, which is not stored.
    const float across = fminf(d.l, d.r) / fmaxf(d.l, d.r), along = fminf(d.t, d.b) / fmaxf(d.t, d.b);
    centerness[at] = gt == nullptr ? 0.f : sqrtf(across * along);
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_FCOS_TARGET_FCOS_TARGET_H_
