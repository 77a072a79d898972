// The CPU's way: channels innermost.
//
// Neighbouring output channels are means over the same pixels of different planes. So a block of kLanes
// channels is first laid out as [cell][pixel][lane]; then every bin is a few vector additions, in the order
// in which a loop over one channel adds, so that the sums are the same to the last bit. Only one block is
// laid out at a time: it stays in the cache, and the scratch does not grow with the number of channels.
#ifndef OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_CPU_H_
#define OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_CPU_H_

#include <algorithm>

#include "operator_cxx/psroi_pooling/psroi_pooling.h"

namespace fullconv {

constexpr int kLanes = 16;

// to[column][lane] = from[lane * stride + column] for `lanes` of kWidth lanes, the others become zero; `to`
// has kLanes floats per column.
template <int kWidth = kLanes>
inline void lanes_inside(const float* from, int64_t stride, int lanes, int64_t columns, float* to) {
  int64_t at = 0;
  if (lanes == kWidth) {
    for (; at + kWidth <= columns; at += kWidth) {
      for (int i = 0; i < kWidth; ++i) {
        for (int lane = 0; lane < kWidth; ++lane) to[(at + i) * kLanes + lane] = from[lane * stride + at + i];
      }
    }
  }
  for (; at < columns; ++at) {
    for (int lane = 0; lane < kWidth; ++lane) {
      to[at * kLanes + lane] = lane < lanes ? from[lane * stride + at] : 0.f;
    }
  }
}

// The inverse: to[lane * stride + column] = from[column][lane] for `lanes` rows.
inline void lanes_outside(const float* from, int64_t stride, int lanes, int64_t columns, float* to) {
  for (int lane = 0; lane < lanes; ++lane) {
    for (int64_t at = 0; at < columns; ++at) to[lane * stride + at] = from[at * kLanes + lane];
  }
}

// Mean over a bin's pixels, added up in raster order, for one block of channels; zero for an empty bin.
inline void mean_of_bin(const float* plane, int width, Range rows, Range columns, float* mean) {
  float total[kLanes] = {};
  for (int y = rows.begin; y < rows.end; ++y) {
    const float* pixel = plane + (int64_t{y} * width + columns.begin) * kLanes;
    for (int x = columns.begin; x < columns.end; ++x, pixel += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) total[lane] += pixel[lane];
    }
  }
  const int count = std::max(1, (rows.end - rows.begin) * (columns.end - columns.begin));
  for (int lane = 0; lane < kLanes; ++lane) mean[lane] = total[lane] / static_cast<float>(count);
}

// The planes of one block of channels that a row of bins (its first cell) is taken from.
inline const float* cell_planes(const float* block, const PsroiShape& s, int ph) {
  return block + int64_t{group_cell(ph, s.group, s.pooled)} * s.group * s.area() * kLanes;
}

// One roi, one block of channels: means of all bins, into out[lane][bin].
inline void pool_roi(const float* block, const float* roi, const PsroiShape& s, int lanes, float* out) {
  const PsroiWindow window(roi, s);
  float row_of_bins[kLanes * kLanes];
  for (int ph = 0; ph < s.pooled; ++ph) {
    const Range rows = window.y.range(ph);
    const float* cells = cell_planes(block, s, ph);
    for (int first = 0; first < s.pooled; first += kLanes) {
      const int last = std::min(s.pooled, first + kLanes);
      for (int pw = first; pw < last; ++pw) {
        const float* plane = cells + group_cell(pw, s.group, s.pooled) * s.area() * kLanes;
        mean_of_bin(plane, s.width, rows, window.x.range(pw), row_of_bins + (pw - first) * kLanes);
      }
      lanes_outside(row_of_bins, s.bins(), lanes, last - first, out + ph * s.pooled + first);
    }
  }
}

// Lays out one block of channels of one image; to be called by all threads of a parallel region.
inline void lay_out_block(const float* image, const PsroiShape& s, int first, int lanes, float* block) {
#pragma omp for schedule(static)
  for (int cell = 0; cell < s.cells(); ++cell) {
    const float* from = image + (int64_t{first} * s.cells() + cell) * s.area();
    lanes_inside(from, s.cells() * s.area(), lanes, s.area(), block + cell * s.area() * kLanes);
  }
}

inline void psroi_forward(const float* data, const float* rois, float* out, const PsroiShape& s,
                          float* block) {
  const int64_t image_size = int64_t{s.dim} * s.cells() * s.area();
#pragma omp parallel
  for (int image = -1; image < s.n; ++image) {  // -1: rois without an image
    for (int first = 0; first < s.dim; first += kLanes) {
      const int lanes = std::min(kLanes, s.dim - first);
      if (image >= 0) lay_out_block(data + image * image_size, s, first, lanes, block);
#pragma omp for schedule(dynamic, 4)
      for (int r = 0; r < s.num_rois; ++r) {
        if (roi_image(rois + int64_t{r} * 5, s.n) != image) continue;
        float* to = out + (int64_t{r} * s.dim + first) * s.bins();
        if (image < 0) {
          std::fill(to, to + int64_t{lanes} * s.bins(), 0.f);
        } else {
          pool_roi(block, rois + int64_t{r} * 5, s, lanes, to);
        }
      }
    }
  }
}

// Adds one roi's gradients to one cell of the grid: grads is [bin][lane], plane is [pixel][lane].
inline void spread_roi(const float* grads, const float* roi, const PsroiShape& s, int cell, float* plane) {
  const PsroiWindow window(roi, s);
  for (int ph = 0; ph < s.pooled; ++ph) {
    if (group_cell(ph, s.group, s.pooled) != cell / s.group) continue;
    const Range rows = window.y.range(ph);
    for (int pw = 0; pw < s.pooled; ++pw) {
      if (group_cell(pw, s.group, s.pooled) != cell % s.group) continue;
      const Range columns = window.x.range(pw);
      const int count = (rows.end - rows.begin) * (columns.end - columns.begin);
      float share[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        share[lane] = grads[(ph * s.pooled + pw) * kLanes + lane] / static_cast<float>(count);
      }
      for (int y = rows.begin; y < rows.end; ++y) {
        float* pixel = plane + (int64_t{y} * s.width + columns.begin) * kLanes;
        for (int x = columns.begin; x < columns.end; ++x, pixel += kLanes) {
          for (int lane = 0; lane < kLanes; ++lane) pixel[lane] += share[lane];
        }
      }
    }
  }
}

// Each cell's planes belong to one thread, which goes through rois and bins in ascending order: the sums are
// those of a sequential loop, whatever the number of threads.
inline void psroi_backward(const float* grad_out, const float* rois, float* grad_data, const PsroiShape& s,
                           float* block, float* grads) {
  const int64_t image_size = int64_t{s.dim} * s.cells() * s.area();
  const int64_t roi_size = int64_t{s.bins()} * kLanes;
#pragma omp parallel
  for (int first = 0; first < s.dim; first += kLanes) {
    const int lanes = std::min(kLanes, s.dim - first);
#pragma omp for schedule(static)
    for (int r = 0; r < s.num_rois; ++r) {
      const float* from = grad_out + (int64_t{r} * s.dim + first) * s.bins();
      lanes_inside(from, s.bins(), lanes, s.bins(), grads + r * roi_size);
    }
    for (int image = 0; image < s.n; ++image) {
#pragma omp for schedule(dynamic)
      for (int cell = 0; cell < s.cells(); ++cell) {
        float* plane = block + cell * s.area() * kLanes;
        std::fill(plane, plane + s.area() * kLanes, 0.f);
        for (int r = 0; r < s.num_rois; ++r) {
          const float* roi = rois + int64_t{r} * 5;
          if (roi_image(roi, s.n) == image) spread_roi(grads + r * roi_size, roi, s, cell, plane);
        }
        float* to = grad_data + image * image_size + (int64_t{first} * s.cells() + cell) * s.area();
        lanes_outside(plane, s.cells() * s.area(), lanes, s.area(), to);
      }
    }
  }
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_PSROI_POOLING_PSROI_POOLING_CPU_H_
