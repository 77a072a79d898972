// One window of InstanceFCN in the image: where its pixels lie between the cells of its grid, and which of
// them are object.
//
// Pixel i of an axis lies at t = (i + 1/2) resized / side / stride on the map; it belongs to the windows with
// first <= t < first + size, and takes its value from the two cells around t - 1/2, or from the nearest one
// where one of them is off the map or the window. All in this order of operations, so that numpy gives the
// same bits.
#ifndef OPERATOR_CXX_INSTANCE_PROPOSALS_WINDOW_MASK_H_
#define OPERATOR_CXX_INSTANCE_PROPOSALS_WINDOW_MASK_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "operator_cxx/assembling/assembling.h"

namespace fullconv {

// Inclusive ends; empty where y2 < y1.
struct PixelBox {
  int32_t x1, y1, x2, y2;
  bool empty() const { return y2 < y1; }
};

// Where the pixels of one side of the image lie on a map.
struct AxisPlaces {
  int cells;
  std::vector<double> at;

  AxisPlaces(int side, double resized, int stride, int cells) : cells(cells), at(side) {
    for (int i = 0; i < side; ++i) at[i] = (i + 0.5) * (resized / side) / stride;
  }
};

// The part of an axis inside a window: pixels [begin, end) and for each of them two cells of the grid.
struct AxisTaps {
  int begin = 0, end = 0, first = 0, last = 0;  // first, last: cells of the grid that are on the map
  std::vector<int32_t> low, high;
  std::vector<float> along;

  void fit(const AxisPlaces& axis, int start, int size) {
    first = std::max(0, -start);
    last = std::min(size, axis.cells - start) - 1;
    const auto& at = axis.at;
    begin = static_cast<int>(std::lower_bound(at.begin(), at.end(), double(start)) - at.begin());
    end = static_cast<int>(std::lower_bound(at.begin(), at.end(), double(start) + size) - at.begin());
    const int count = end - begin;
    if (static_cast<int>(low.size()) < count) {
      low.resize(count);
      high.resize(count);
      along.resize(count);
    }
    const double least = start + first, most = start + last;
    for (int i = 0; i < count; ++i) {
      const double where = std::min(std::max(at[begin + i] - 0.5, least), most);
      const int cell = static_cast<int>(where);  // not negative: cells of a map
      low[i] = cell - start;
      high[i] = std::min(cell + 1 - start, last);
      along[i] = static_cast<float>(where - cell);
    }
  }
};

inline float between(float a, float b, float along) { return a + along * (b - a); }

// A window's probabilities and the search for its box. One per thread, used again for every window.
struct WindowMask {
  int size = 0;
  AxisTaps rows, columns;
  std::vector<float> grid;  // (size, size), 0 off the map

  // maps (group^2, H, W) probabilities.
  void assemble(const float* maps, const Assembling& a, const AxisPlaces& down, const AxisPlaces& across,
                int cy, int cx) {
    size = a.size;
    const int top = cy - size / 2, left = cx - size / 2;
    rows.fit(down, top, size);
    columns.fit(across, left, size);
    grid.assign(size * size, 0.f);
    line_.resize(size);
    for (int p = rows.first; p <= rows.last; ++p) {
      float* to = grid.data() + p * size;
      for (int q = columns.first; q <= columns.last; ++q) {
        to[q] = maps[a.plane(0, a.part[p], a.part[q]) + int64_t{top + p} * a.width + left + q];
      }
    }
  }

  // The box of all pixels whose value is at least `threshold`.
  PixelBox box(float threshold) {
    // A pixel's value lies between those of its cells, except for the rounding of the interpolation.
    const float least = threshold - 1e-5f;
    find_largest();
    PixelBox found{0, 0, -1, -1};
    int top = rows.begin, bottom = rows.end - 1;
    while (top <= bottom && !row_has(top, threshold, least)) ++top;
    if (top > bottom) return found;
    while (!row_has(bottom, threshold, least)) --bottom;
    int left = columns.begin, right = columns.end - 1;
    while (!column_has(left, top, bottom, threshold, least)) ++left;
    while (!column_has(right, top, bottom, threshold, least)) --right;
    return {left, top, right, bottom};
  }

  // mask[y - y1, x - x1] = 1 where the value is at least `threshold`.
  void paste(const PixelBox& box, float threshold, uint8_t* mask) {
    const int width = box.x2 - box.x1 + 1, first = box.x1 - columns.begin;
    const int32_t *low = columns.low.data() + first, *high = columns.high.data() + first;
    const float* along = columns.along.data() + first;
    for (int y = box.y1; y <= box.y2; ++y) {
      const float* line = interpolate_row(y);
      uint8_t* to = mask + int64_t{y - box.y1} * width;
      for (int x = 0; x < width; ++x) to[x] = between(line[low[x]], line[high[x]], along[x]) >= threshold;
    }
  }

 private:
  std::vector<float> line_, row_largest_, column_largest_;

  void find_largest() {
    row_largest_.assign(size, 0.f);
    column_largest_.assign(size, 0.f);
    for (int p = 0; p < size; ++p) {
      for (int q = 0; q < size; ++q) {
        const float value = grid[p * size + q];
        row_largest_[p] = std::max(row_largest_[p], value);
        column_largest_[q] = std::max(column_largest_[q], value);
      }
    }
  }

  const float* interpolate_row(int y) {
    const int i = y - rows.begin;
    const float *above = grid.data() + rows.low[i] * size, *below = grid.data() + rows.high[i] * size;
    const float along = rows.along[i];
    for (int q = 0; q < size; ++q) line_[q] = between(above[q], below[q], along);
    return line_.data();
  }

  bool row_has(int y, float threshold, float least) {
    const int i = y - rows.begin;
    if (std::max(row_largest_[rows.low[i]], row_largest_[rows.high[i]]) < least) return false;
    const float* line = interpolate_row(y);
    const int count = columns.end - columns.begin;
    const int32_t *low = columns.low.data(), *high = columns.high.data();
    const float* along = columns.along.data();
    int hit = 0;
    for (int x = 0; x < count; ++x) {
      hit |= between(line[low[x]], line[high[x]], along[x]) >= threshold;
    }
    return hit != 0;
  }

  bool column_has(int x, int top, int bottom, float threshold, float least) const {
    const int j = x - columns.begin;
    const int left = columns.low[j], right = columns.high[j];
    if (std::max(column_largest_[left], column_largest_[right]) < least) return false;
    const float across = columns.along[j];
    for (int y = top; y <= bottom; ++y) {
      const int i = y - rows.begin;
      const float *above = grid.data() + rows.low[i] * size, *below = grid.data() + rows.high[i] * size;
      const float down = rows.along[i];
      const float a = between(above[left], below[left], down), b = between(above[right], below[right], down);
      if (between(a, b, across) >= threshold) return true;
    }
    return false;
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_INSTANCE_PROPOSALS_WINDOW_MASK_H_
