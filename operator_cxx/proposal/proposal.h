// Region proposals from the RPN's scores and deltas (Faster R-CNN, NIPS 2015, section 3.3), as FCIS's own
// proposal operator makes them: anchors on the grid truncated to int(size / stride), decoded in float64,
// clipped, filtered by size, the best by score through NMS, and the list filled up by random repetition.
#ifndef OPERATOR_CXX_PROPOSAL_PROPOSAL_H_
#define OPERATOR_CXX_PROPOSAL_PROPOSAL_H_

#include "operator_cxx/common/box.h"
#include "operator_cxx/common/numpy_random.h"
#include "operator_cxx/common/sort.h"
#include "operator_cxx/nms/nms.h"

// cls_prob (N, 2A, h, w): A background, then A foreground scores; bbox_pred (N, 4A, h, w); im_info (N, 3) =
// height, width, scale; seed (N) -> rois (N * post_nms, 5) with the image's index in front, score (N *
// post_nms). `scales` and `ratios` live on the host, also for CUDA. `workspace` holds
// fullconv_proposal_workspace(...) bytes. Boxes with a NaN score or coordinate are dropped; an image without
// any box left gets the whole image, score 0. Returns -1 when num_scales * num_ratios is not A or above 64.
FULLCONV_API(fullconv_proposal_fwd, const float* cls_prob, const float* bbox_pred, const float* im_info,
             const float* seed, float* rois, float* score, int n, int num_anchors, int h, int w, int stride,
             int base_size, const float* scales, int num_scales, const float* ratios, int num_ratios,
             int pre_nms, int post_nms, double threshold, double min_size, void* workspace, void* stream);
extern "C" __attribute__((visibility("default"))) size_t
fullconv_proposal_workspace(int n, int num_anchors, int h, int w, int pre_nms, int post_nms, int on_gpu);

namespace fullconv {

// Four doubles each: 2 kB of the 4 kB that a CUDA kernel's arguments may take.
constexpr int kMaxAnchors = 64;

// Anchors of one cell, passed to kernels by value.
struct Anchors {
  int count;
  double box[kMaxAnchors][4];
};

// Ratios outside, scales inside; each ratio's size is rounded half to even before it is scaled.
inline bool make_anchors(int base, const float* scales, int num_scales, const float* ratios, int num_ratios,
                         Anchors* anchors) {
  if (int64_t{num_scales} * num_ratios > kMaxAnchors) return false;
  anchors->count = 0;
  const double centre = 0.5 * (base - 1.0);
  for (int r = 0; r < num_ratios; ++r) {
    const double ratio = ratios[r], w = nearbyint(sqrt(base * base / ratio)), h = nearbyint(w * ratio);
    for (int s = 0; s < num_scales; ++s) {
      double* box = anchors->box[anchors->count++];
      const double half_w = 0.5 * (w * scales[s] - 1.0), half_h = 0.5 * (h * scales[s] - 1.0);
      box[0] = centre - half_w;
      box[1] = centre - half_h;
      box[2] = centre + half_w;
      box[3] = centre + half_h;
    }
  }
  return true;
}

// Cells of the truncated grid along one side of the image.
FC_HD int grid_cells(float image_side, int stride, int map_side) {
  const double cells = static_cast<double>(image_side) / stride;
  if (!(cells > 0.0)) return 0;
  return cells < map_side ? static_cast<int>(cells) : map_side;
}

// One box per (y, x, anchor) of each image, and its key for sorting: 0 for boxes that take no part.
struct DecodeAnchors {
  const float *cls_prob, *bbox_pred, *im_info;
  Anchors anchors;
  int h, w, stride;
  double min_size;
  int64_t row;     // keys per image
  float* boxes;    // (N, h * w * A, 4)
  uint64_t* keys;  // (N, row)

  FC_HD void operator()(int64_t index) const {
    const int64_t image = index / row, area = int64_t{h} * w, count = anchors.count * area;
    const int64_t position = index % row;
    keys[index] = position < count ? decode(image, position, boxes + (image * count + position) * 4) : 0;
  }

  FC_HD uint64_t decode(int64_t image, int64_t position, float* out) const {
    const int64_t area = int64_t{h} * w, cell = position / anchors.count;
    const int a = static_cast<int>(position % anchors.count), y = static_cast<int>(cell / w);
    const int x = static_cast<int>(cell % w);
    const float* info = im_info + image * 3;
    if (y >= grid_cells(info[0], stride, h) || x >= grid_cells(info[1], stride, w)) return 0;
    const float score = cls_prob[((image * 2 + 1) * anchors.count + a) * area + cell];
    const float* d = bbox_pred + (image * anchors.count + a) * 4 * area + cell;
    const double *base = anchors.box[a], left = double(x) * stride, top = double(y) * stride;
    const Box anchor{base[0] + left, base[1] + top, base[2] + left, base[3] + top};
    const Box box = clip_box(decode_box(anchor, d[0], d[area], d[2 * area], d[3 * area]), info[0], info[1]);
    if (score != score || !(box.width() >= min_size && box.height() >= min_size)) return 0;
    store_box(box, out);
    return sort_key(score, static_cast<uint32_t>(position));
  }
};

// The best `top` boxes of each image in order, as NMS wants them. Missing ones become empty boxes: they come
// last, and neither suppress nor are suppressed.
struct GatherTop {
  const float *cls_prob, *boxes;
  const uint64_t* keys;
  int64_t count, area, row, top;
  int num_anchors;
  float* dets;  // (N, top, 5)

  FC_HD void operator()(int64_t index) const {
    const int64_t image = index / top;
    const uint64_t key = keys[image * row + index % top];
    float* det = dets + index * 5;
    det[0] = det[1] = det[4] = 0.0f;
    det[2] = det[3] = -1.0f;
    if (key == 0) return;
    const int64_t p = key_position(key), a = p % num_anchors, cell = p / num_anchors;
    for (int k = 0; k < 4; ++k) det[k] = boxes[(image * count + p) * 4 + k];
    det[4] = cls_prob[((image * 2 + 1) * num_anchors + a) * area + cell];
  }
};

// Writes the kept boxes of one image, then np.random.choice(kept, size=missing).
struct EmitRois {
  const float *dets, *im_info, *seed;
  const uint64_t* keys;
  const int32_t *keep, *num_keep;
  int64_t row, top;
  int post;
  RandomState* random;  // (N)
  float *rois, *score;

  FC_HD void operator()(int64_t image) const {
    const int32_t* kept = keep + image * post;
    int valid = 0;
    while (valid < num_keep[image] && keys[image * row + kept[valid]] != 0) ++valid;
    // Only where something is drawn: seeding fills 624 words.
    if (0 < valid && valid < post) random[image].seed(seed_from_float(seed[image]));
    for (int r = 0; r < post; ++r) {
      float* roi = rois + (image * post + r) * 5;
      roi[0] = static_cast<float>(image);
      if (valid == 0) {
        whole_image(im_info + image * 3, roi + 1);
        score[image * post + r] = 0.0f;
        continue;
      }
      const int32_t from = r < valid ? kept[r] : kept[random[image].interval(valid - 1)];
      const float* det = dets + (image * top + from) * 5;
      for (int k = 0; k < 4; ++k) roi[1 + k] = det[k];
      score[image * post + r] = det[4];
    }
  }

  FC_HD static void whole_image(const float* info, float* box) {
    box[0] = box[1] = 0.0f;
    box[2] = info[1] > 1.0f ? info[1] - 1.0f : 0.0f;
    box[3] = info[0] > 1.0f ? info[0] - 1.0f : 0.0f;
  }
};

// The scratch arrays of one call. NmsTag picks the machine whose NMS scratch follows.
template <class NmsTag>
struct ProposalScratch {
  int64_t count, row, top;
  float *boxes, *dets;
  uint64_t* keys;
  int32_t *keep, *num_keep;
  RandomState* random;

  ProposalScratch(Workspace* ws, int64_t n, int64_t num_anchors, int64_t area, int64_t pre, int64_t post)
      : count(num_anchors * area),
        row(sort_length(count)),
        top(std::min(pre, count)),
        boxes(ws->take<float>(n * count * 4)),
        dets(ws->take<float>(n * top * 5)),
        keys(ws->take<uint64_t>(n * row)),
        keep(ws->take<int32_t>(n * post)),
        num_keep(ws->take<int32_t>(n)),
        random(ws->take<RandomState>(n)) {}

  size_t bytes(Workspace ws, int64_t post) const {
    NmsScratch<NmsTag>(&ws, top, post);
    return ws.used();
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_PROPOSAL_PROPOSAL_H_
