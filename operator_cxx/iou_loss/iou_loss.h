// Regression losses of FCOS on the distances l, t, r, b from a location to the four sides of its box.
//
// Both boxes contain the location, so their intersection and the box around them follow from the smaller and
// the larger of each distance. The original's smoothing stays: IoU = (intersection + 1) / (union + 1), also
// for distances in units of the stride, and 1e-7 on the enclosing area of the generalised IoU (Rezatofighi et
// al., CVPR 2019). Computed in double: there are few locations, and 1 - IoU loses digits near a perfect fit.
#ifndef OPERATOR_CXX_IOU_LOSS_IOU_LOSS_H_
#define OPERATOR_CXX_IOU_LOSS_IOU_LOSS_H_

#include <cmath>

#include "operator_cxx/common/backend.h"

// pred and target (rows, 4), weight and loss (rows). mode: 0 -log(IoU), 1 1 - IoU, 2 1 - GIoU.
FULLCONV_API(fullconv_iou_loss_fwd, const float* pred, const float* target, const float* weight, float* loss,
             int rows, int mode, void* stream);
FULLCONV_API(fullconv_iou_loss_bwd, const float* grad_loss, const float* pred, const float* target,
             const float* weight, float* grad_pred, int rows, int mode, void* stream);

namespace fullconv {

enum IouMode { kLogIou, kLinearIou, kGeneralisedIou };

// The areas of one location's two boxes.
struct DistanceBoxes {
  const float *p, *t;
  double pred_width, pred_height, shared_width, shared_height, hull_width, hull_height;
  double joined, hull;  // areas of the union and of the box around both

  FC_HD DistanceBoxes(const float* pred, const float* target)
      : p(pred),
        t(target),
        pred_width(double{p[0]} + p[2]),
        pred_height(double{p[1]} + p[3]),
        shared_width(smaller(0) + smaller(2)),
        shared_height(smaller(1) + smaller(3)),
        hull_width(larger(0) + larger(2)),
        hull_height(larger(1) + larger(3)),
        joined((double{t[0]} + t[2]) * (double{t[1]} + t[3]) + pred_width * pred_height - shared()),
        hull(hull_width * hull_height + 1e-7) {}

  FC_HD double smaller(int side) const { return p[side] < t[side] ? p[side] : t[side]; }
  FC_HD double larger(int side) const { return p[side] > t[side] ? p[side] : t[side]; }
  FC_HD double shared() const { return shared_width * shared_height; }
  FC_HD double iou() const { return (shared() + 1) / (joined + 1); }

  FC_HD double loss(int mode) const {
    if (mode == kLogIou) return -log(iou());
    return mode == kLinearIou ? 1 - iou() : 1 - (iou() - (hull - joined) / hull);
  }

  // d loss / d p[side]. Where both distances are equal each takes half of the slope, as in PyTorch.
  FC_HD double slope(int mode, int side) const {
    const bool horizontal = side % 2 == 0;
    const double inside = p[side] < t[side] ? 1 : (p[side] > t[side] ? 0 : 0.5);
    const double d_shared = inside * (horizontal ? shared_height : shared_width);
    const double d_joined = (horizontal ? pred_height : pred_width) - d_shared;
    const double d_iou = (d_shared - iou() * d_joined) / (joined + 1);
    if (mode == kLogIou) return -d_iou / iou();
    if (mode == kLinearIou) return -d_iou;
    const double d_hull = (1 - inside) * (horizontal ? hull_height : hull_width);
    return -d_iou - (d_joined - joined / hull * d_hull) / hull;
  }
};

// A row of weight 0 takes no part: its numbers, which may be anything, are not looked at.
struct IouLoss {
  const float *pred, *target, *weight;
  float* loss;
  int mode;
  FC_HD void operator()(int64_t row) const {
    const float w = weight[row];
    loss[row] =
        w == 0.f ? 0.f : static_cast<float>(w * DistanceBoxes(pred + 4 * row, target + 4 * row).loss(mode));
  }
};

struct IouLossGradient {
  const float *grad_loss, *pred, *target, *weight;
  float* grad_pred;
  int mode;
  FC_HD void operator()(int64_t row) const {
    float* out = grad_pred + 4 * row;
    const float w = weight[row];
    if (w == 0.f) {
      for (int side = 0; side < 4; ++side) out[side] = 0.f;
      return;
    }
    const DistanceBoxes boxes(pred + 4 * row, target + 4 * row);
    const double head = double{grad_loss[row]} * w;
    for (int side = 0; side < 4; ++side) out[side] = static_cast<float>(head * boxes.slope(mode, side));
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_IOU_LOSS_IOU_LOSS_H_
