// The FCIS head at test time, in one operator (FCIS, CVPR 2017, sections 3.1 and 3.3).
//
// From the score maps cls_seg (N, 2 * classes * group^2, H, W) and bbox (N, num_reg * group^2, H, W) and rois
// (R, 5):
//   cls_prob (R, classes)              softmax of the mean over all bins of max(outside, inside)
//   bbox_pred (R, num_reg)             mean over all bins
//   seg_pred (R, 2, pooled, pooled)    softmax over (outside, inside) of the best foreground class
// which is PSROIPooling, Group_Max, Group_Softmax, Group_Pick by score and global averages without the pooled
// tensor (R, 2 * classes, pooled, pooled) ever being in memory. Means are sums over rows of bins, then over
// rows.
#ifndef OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_H_
#define OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_H_

#include "operator_cxx/channel_operator/channel_operator.h"
#include "operator_cxx/common/math.h"
#include "operator_cxx/psroi_pooling/psroi_pooling.h"

FULLCONV_API(fullconv_fcis_head, const float* cls_seg, const float* bbox, const float* rois, float* cls_prob,
             float* bbox_pred, float* seg_pred, int n, int classes, int num_reg, int group, int pooled,
             int height, int width, int num_rois, float scale, void* workspace, void* stream);
// The same, element by element as a GPU does it, to check the fast CPU path and the CUDA indexing.
FULLCONV_API(fullconv_fcis_head_direct, const float* cls_seg, const float* bbox, const float* rois,
             float* cls_prob, float* bbox_pred, float* seg_pred, int n, int classes, int num_reg, int group,
             int pooled, int height, int width, int num_rois, float scale, void* workspace, void* stream);
// Bytes of scratch, enough for any of them.
extern "C" __attribute__((visibility("default"))) size_t fullconv_fcis_head_workspace(
    int classes, int num_reg, int group, int pooled, int height, int width, int num_rois);

namespace fullconv {

struct HeadShape {
  int classes, num_reg;
  PsroiShape psroi;  // dim is set by who uses it
  FC_HD PsroiShape cls_seg() const { return with_dim(2 * classes); }
  FC_HD PsroiShape bbox() const { return with_dim(num_reg); }
  FC_HD PsroiShape with_dim(int dim) const {
    PsroiShape s = psroi;
    s.dim = dim;
    return s;
  }
};

struct HeadOutputs {
  float* cls_prob;
  float* bbox_pred;
  float* seg_pred;
};

// Sums over one row of bins: rows are (roi, class or coordinate), columns are ph. `pair` takes the maximum of
// channels 2c and 2c + 1.
struct HeadRowSum {
  const float* data;
  const float* rois;
  float* sums;
  PsroiShape s;
  bool pair;
  FC_HD void operator()(int64_t row, int64_t ph) const {
    const int values = pair ? s.dim / 2 : s.dim;
    const int64_t roi = row / values;
    const int value = static_cast<int>(row % values);
    float sum = 0.f;
    for (int pw = 0; pw < s.pooled; ++pw) {
      const int bin = static_cast<int>(ph) * s.pooled + pw;
      float mean = PsroiBin(rois, s, roi, pair ? 2 * value : value, bin).mean(data, s.width);
      if (pair) {
        const float inside = PsroiBin(rois, s, roi, 2 * value + 1, bin).mean(data, s.width);
        mean = inside > mean ? inside : mean;
      }
      sum += mean;
    }
    sums[row * s.pooled + ph] = sum;
  }
};

// Per value: the mean over all bins from the sums of their rows.
struct HeadMean {
  const float* sums;
  float* means;
  int pooled;
  FC_HD void operator()(int64_t i) const {
    float sum = 0.f;
    for (int ph = 0; ph < pooled; ++ph) sum += sums[i * pooled + ph];
    means[i] = sum / static_cast<float>(pooled * pooled);
  }
};

// Per roi: softmax over classes, in place.
struct HeadSoftmax {
  float* scores;
  int classes;
  FC_HD void operator()(int64_t roi) const {
    const GroupSoftmaxForward softmax{scores, scores, classes, 1};
    softmax(roi, 0);
  }
};

// Rows are rois, columns are bins: the mask of the best foreground class.
struct HeadMask {
  const float* data;
  const float* rois;
  const float* cls_prob;
  float* seg_pred;
  PsroiShape s;
  FC_HD void operator()(int64_t roi, int64_t at) const {
    float* out = seg_pred + roi * 2 * s.bins() + at;
    const int64_t best = picked_group(cls_prob, roi, s.dim / 2, true);
    out[0] = out[s.bins()] = 0.f;
    if (best < 0) return;  // no foreground class, or NaN scores
    for (int side = 0; side < 2; ++side) {
      const PsroiBin bin(rois, s, roi, static_cast<int>(2 * best + side), static_cast<int>(at));
      out[side * s.bins()] = bin.mean(data, s.width);
    }
    const GroupSoftmaxForward softmax{out, out, 2, s.bins()};
    softmax(0, 0);
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_FCIS_HEAD_FCIS_HEAD_H_
