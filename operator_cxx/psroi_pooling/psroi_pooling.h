// Position-sensitive roi pooling (R-FCN, NIPS 2016, section 3.2; FCIS, CVPR 2017, section 3.1).
//
// data (N, dim * group^2, H, W), rois (R, 5) rows of (image, x1, y1, x2, y2) in input image pixels, inclusive
// ends; out (R, dim, pooled, pooled). Output bin (ph, pw) of channel c is the mean of one input channel, the
// one that belongs to c and to the cell of the group x group grid that (ph, pw) lies in. The arithmetic is,
// rounding for rounding, the original's; a roi with a non-finite number or an image index outside [0, N)
// gives zeros.
#ifndef OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_H_
#define OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_H_

#include <cmath>

#include "operator_cxx/common/backend.h"

FULLCONV_API(fullconv_psroi_pooling_fwd, const float* data, const float* rois, float* out, int n, int dim,
             int group, int pooled, int height, int width, int num_rois, float scale, void* workspace,
             void* stream);
// Writes all of grad_data; rois have no gradient.
FULLCONV_API(fullconv_psroi_pooling_bwd, const float* grad_out, const float* rois, float* grad_data, int n,
             int dim, int group, int pooled, int height, int width, int num_rois, float scale,
             void* workspace, void* stream);
// The same, element by element as a GPU does it, to check the fast CPU path and the CUDA indexing.
FULLCONV_API(fullconv_psroi_pooling_direct_fwd, const float* data, const float* rois, float* out, int n,
             int dim, int group, int pooled, int height, int width, int num_rois, float scale, void* stream);
FULLCONV_API(fullconv_psroi_pooling_direct_bwd, const float* grad_out, const float* rois, float* grad_data,
             int n, int dim, int group, int pooled, int height, int width, int num_rois, float scale,
             void* stream);
// Bytes of scratch that the two CPU entries above need (the CUDA ones need none).
extern "C" __attribute__((visibility("default"))) size_t fullconv_psroi_pooling_workspace(
    int dim, int group, int pooled, int height, int width, int num_rois, int backward);

namespace fullconv {

struct PsroiShape {
  int n, dim, group, pooled, height, width, num_rois;
  float scale;
  FC_HD int64_t area() const { return int64_t{height} * width; }
  FC_HD int cells() const { return group * group; }
  FC_HD int bins() const { return pooled * pooled; }
};

// A half-open range of pixels along one axis.
struct Range {
  int begin, end;
};

// floor or ceil of a bin's edge, clamped to [0, size]; NaN counts as 0.
FC_HD int clamp_edge(float edge, int size) {
  return edge > 0.f ? (edge < static_cast<float>(size) ? static_cast<int>(edge) : size) : 0;
}

// One axis of a roi on the map: bin p covers [p, p + 1) * bin + start, rounded outwards, so bins overlap.
struct RoiAxis {
  float start, bin;
  int size;
  FC_HD RoiAxis(float low, float high, float scale, int pooled, int map_size) : size(map_size) {
    start = roundf(low) * scale;
    const float extent = (roundf(high) + 1.f) * scale - start;
    // Inverted and empty rois become a tenth of a pixel; the constant is a double in the original.
    bin = (static_cast<double>(extent) > 0.1 ? extent : static_cast<float>(0.1)) / static_cast<float>(pooled);
  }
  FC_HD Range range(int p) const {
    const float low = static_cast<float>(p) * bin + start;
    const float high = static_cast<float>(p + 1) * bin + start;
    return {clamp_edge(floorf(low), size), clamp_edge(ceilf(high), size)};
  }
};

// Index of the image a roi lies in, or -1 for a roi that cannot be used.
FC_HD int roi_image(const float* roi, int n) {
  for (int i = 0; i < 5; ++i) {
    // False for infinity and NaN.
    if (!(fabsf(roi[i]) <= 3.4e38f)) return -1;
  }
  // Cut off like int(roi[0]) in the original: -0.5 is image 0.
  return roi[0] > -1.f && roi[0] < static_cast<float>(n) ? static_cast<int>(roi[0]) : -1;
}

// Row (or column) of the group x group grid that bin p lies in.
FC_HD int group_cell(int p, int group, int pooled) {
  const int cell = static_cast<int>(floorf(static_cast<float>(p) * group / pooled));
  return cell < group ? cell : group - 1;
}

struct PsroiWindow {
  RoiAxis y, x;
  FC_HD PsroiWindow(const float* roi, const PsroiShape& s)
      : y(roi[2], roi[4], s.scale, s.pooled, s.height), x(roi[1], roi[3], s.scale, s.pooled, s.width) {}
};

// What one output element is the mean of: pixels rows x columns of the input plane `plane`.
struct PsroiBin {
  Range rows, columns;
  int64_t plane;  // offset of the plane in data
  bool empty;
  FC_HD PsroiBin(const PsroiWindow& window, int image, const PsroiShape& s, int channel, int ph, int pw)
      : rows(window.y.range(ph)), columns(window.x.range(pw)) {
    empty = image < 0 || rows.end <= rows.begin || columns.end <= columns.begin;
    const int cell = group_cell(ph, s.group, s.pooled) * s.group + group_cell(pw, s.group, s.pooled);
    plane = ((static_cast<int64_t>(image) * s.dim + channel) * s.cells() + cell) * s.area();
  }
  FC_HD PsroiBin(const float* rois, const PsroiShape& s, int64_t roi, int channel, int bin)
      : PsroiBin(PsroiWindow(rois + roi * 5, s), roi_image(rois + roi * 5, s.n), s, channel, bin / s.pooled,
                 bin % s.pooled) {}
  FC_HD float count() const {
    return static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
  }
  // Sum in raster order / count, 0 for an empty bin.
  FC_HD float mean(const float* data, int width) const {
    if (empty) return 0.f;
    float sum = 0.f;
    for (int y = rows.begin; y < rows.end; ++y) {
      for (int x = columns.begin; x < columns.end; ++x) sum += data[plane + y * width + x];
    }
    return sum / count();
  }
};

// Rows are (roi, channel) pairs, columns are bins.
struct PsroiDirectForward {
  const float* data;
  const float* rois;
  float* out;
  PsroiShape s;
  FC_HD void operator()(int64_t row, int64_t at) const {
    const PsroiBin bin(rois, s, row / s.dim, static_cast<int>(row % s.dim), static_cast<int>(at));
    out[row * s.bins() + at] = bin.mean(data, s.width);
  }
};

FC_HD void add_to(float* sum, float value) {
#ifdef __CUDA_ARCH__
  atomicAdd(sum, value);
#else
  *sum += value;
#endif
}

// The sum over rois is in no fixed order on a GPU (atomics, as in the original).
struct PsroiDirectBackward {
  const float* grad_out;
  const float* rois;
  float* grad_data;
  PsroiShape s;
  FC_HD void operator()(int64_t row, int64_t at) const {
    const PsroiBin bin(rois, s, row / s.dim, static_cast<int>(row % s.dim), static_cast<int>(at));
    if (bin.empty) return;
    const float share = grad_out[row * s.bins() + at] / bin.count();
    for (int y = bin.rows.begin; y < bin.rows.end; ++y) {
      for (int x = bin.columns.begin; x < bin.columns.end; ++x) {
        add_to(grad_data + bin.plane + y * s.width + x, share);
      }
    }
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_H_
