// Assembling of instance-sensitive score maps (InstanceFCN, ECCV 2016, section 3.1).
//
// maps (n, group^2, H, W), channel row * group + column of the part. windows (R, 3) rows of (image, cy, cx)
// in map pixels, centres of windows of size x size pixels; null means all n * H * W of them, row by row. out,
// valid (R, size, size): every pixel is copied from the map of the part of the window it lies in. A pixel
// beyond the map is 0 with valid 0, as are all of a window whose image is not in [0, n): padding.
#ifndef OPERATOR_CXX_ASSEMBLING_ASSEMBLING_H_
#define OPERATOR_CXX_ASSEMBLING_ASSEMBLING_H_

#include <cmath>

#include "operator_cxx/common/backend.h"
#include "operator_cxx/common/rows.h"

// rule 0 cuts the window where a part's border is nearest ("centre"), 1 rounds the borders up ("floor").
FULLCONV_API(fullconv_assemble_fwd, const float* maps, const float* windows, float* out, float* valid, int n,
             int group, int size, int rule, int height, int width, int num_windows, void* stream);
// Writes all of grad_maps; windows have no gradient.
FULLCONV_API(fullconv_assemble_bwd, const float* grad_out, const float* windows, float* grad_maps, int n,
             int group, int size, int rule, int height, int width, int num_windows, void* stream);

namespace fullconv {

constexpr int kMaxWindow = 255;

struct Assembling {
  int n, group, size, height, width, num_windows;
  unsigned char part[kMaxWindow];  // along one axis: which part a pixel of the window belongs to

  Assembling(int n, int group, int size, int rule, int height, int width, int num_windows)
      : n(n), group(group), size(size), height(height), width(width), num_windows(num_windows), part() {
    for (int p = 0; p < size; ++p) {
      const int at = rule == 0 ? (2 * p + 1) * group / (2 * size) : p * group / size;
      part[p] = static_cast<unsigned char>(at);
    }
  }
  FC_HD int64_t area() const { return int64_t{height} * width; }
  FC_HD int64_t plane(int image, int row, int column) const {
    return ((int64_t{image} * group + row) * group + column) * area();
  }
};

// Where a window lies: its first row and column on the map, and image -1 for padding.
struct WindowPlace {
  int image, top, left;

  FC_HD WindowPlace(const float* windows, const Assembling& a, int64_t r) : image(-1), top(0), left(0) {
    const int half = a.size / 2;
    if (windows == nullptr) {
      image = static_cast<int>(r / a.area());
      top = static_cast<int>(r % a.area() / a.width) - half;
      left = static_cast<int>(r % a.area() % a.width) - half;
      return;
    }
    const float* row = windows + r * 3;
    const float far = 16777216.f;  // beyond it float32 has no odd numbers, and an int might overflow; NaN too
    if (!(row[0] >= 0.f && row[0] < static_cast<float>(a.n))) return;
    if (!(fabsf(row[1]) <= far && fabsf(row[2]) <= far)) return;
    image = static_cast<int>(row[0]);
    top = static_cast<int>(floorf(row[1])) - half;
    left = static_cast<int>(floorf(row[2])) - half;
  }
};

// One row of one window.
struct AssembleRow {
  const Assembling* a;
  const float* source;  // pixel `left` of the part's first map; null where the row is beyond the map
  int64_t step;         // between the maps of neighbouring parts
  int left;
  float *out, *valid;

  FC_HD void operator()(int64_t q) const {
    const int64_t x = left + q;
    const bool inside = source != nullptr && x >= 0 && x < a->width;
    out[q] = inside ? source[a->part[q] * step + q] : 0.f;
    valid[q] = inside ? 1.f : 0.f;
  }
};

// Rows are (window, row of it) pairs.
struct AssembleForward {
  const float *maps, *windows;
  float *out, *valid;
  Assembling a;

  FC_HD AssembleRow row(int64_t i) const {
    const WindowPlace at(windows, a, i / a.size);
    const int p = static_cast<int>(i % a.size), y = at.top + p;
    const bool inside = at.image >= 0 && y >= 0 && y < a.height;
    const float* source =
        inside ? maps + a.plane(at.image, a.part[p], 0) + int64_t{y} * a.width + at.left : nullptr;
    return {&a, source, a.area(), at.left, out + i * a.size, valid + i * a.size};
  }
};

// What the windows give back to one map: no other map gets from the same pixels, so maps are independent.
struct AssembleBackwardMap {
  const float *grad_out, *windows;
  float* grad_maps;
  Assembling a;

  FC_HD void operator()(int64_t map) const {
    const int column = static_cast<int>(map % a.group), row = static_cast<int>(map / a.group % a.group);
    const int image = static_cast<int>(map / a.group / a.group);
    float* to = grad_maps + map * a.area();
    int first = 0, end = a.size;
    while (first < end && a.part[first] != column) ++first;
    while (end > first && a.part[end - 1] != column) --end;
    for (int64_t r = 0; r < a.num_windows; ++r) {
      const WindowPlace at(windows, a, r);
      if (at.image != image) continue;
      const int low = at.left + first < 0 ? -at.left : first;
      const int high = at.left + end > a.width ? a.width - at.left : end;
      for (int p = 0; p < a.size; ++p) {
        const int y = at.top + p;
        if (a.part[p] != row || y < 0 || y >= a.height) continue;
        const float* from = grad_out + (r * a.size + p) * a.size;
        float* line = to + int64_t{y} * a.width + at.left;
        for (int q = low; q < high; ++q) line[q] += from[q];
      }
    }
  }
};

#ifdef __CUDACC__
// A GPU has too few maps to keep it busy: a thread per pixel of a window, whose sums are in no fixed order.
struct AssembleBackwardPixel {
  const float *grad_out, *windows;
  float* grad_maps;
  Assembling a;

  __device__ void operator()(int64_t row, int64_t q) const {
    const WindowPlace at(windows, a, row / a.size);
    const int p = static_cast<int>(row % a.size), y = at.top + p;
    const int64_t x = at.left + q;
    if (at.image < 0 || y < 0 || y >= a.height || x < 0 || x >= a.width) return;
    atomicAdd(grad_maps + a.plane(at.image, a.part[p], a.part[q]) + int64_t{y} * a.width + x,
              grad_out[row * a.size + q]);
  }
};
#endif

}  // namespace fullconv

#endif  // OPERATOR_CXX_ASSEMBLING_ASSEMBLING_H_
