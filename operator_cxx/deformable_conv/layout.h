// Changes of layout around the matrix products, and the addition that needs care when many do it at once.
#ifndef OPERATOR_CXX_DEFORMABLE_CONV_LAYOUT_H_
#define OPERATOR_CXX_DEFORMABLE_CONV_LAYOUT_H_

#include "operator_cxx/deformable_conv/deformable_conv.h"

namespace fullconv {

// to (rows, columns) is the transpose of from, plus a number per row of `to` unless `bias` is null.
struct Transpose {
  const float* from;
  int64_t from_stride;
  float* to;
  int64_t to_stride, rows, columns;
  const float* bias;
  FC_HD void operator()(int64_t row, int64_t column) const {
    const float value = from[column * from_stride + row];
    to[row * to_stride + column] = bias == nullptr ? value : value + bias[row];
  }
};

template <class Backend>
int transpose(const Backend& backend, const Transpose& t) {
  return backend.for_each_2d(t.rows, t.columns, t);
}

// In squares, so that each line of memory that is read is used up while it is in the cache.
template <>
inline int transpose<CpuBackend>(const CpuBackend&, const Transpose& t) {
  const int64_t side = 16, strips = (t.rows + side - 1) / side;
#pragma omp parallel for schedule(static) if (t.rows * t.columns > 100000)
  for (int64_t strip = 0; strip < strips; ++strip) {
    const int64_t last = std::min(t.rows, (strip + 1) * side);
    for (int64_t first_column = 0; first_column < t.columns; first_column += side) {
      const int64_t last_column = std::min(t.columns, first_column + side);
      for (int64_t row = strip * side; row < last; ++row) {
        for (int64_t column = first_column; column < last_column; ++column) t(row, column);
      }
    }
  }
  return 0;
}

// Filters (filters, channel of the group, tap) into the columns' order: (filters, tap, channel), or with
// `inner_first` (group, tap, channel, filter of the group), the right-hand side of the forward product.
struct ArrangeWeight {
  const float* weight;
  float* arranged;
  DeformableShape s;
  bool inner_first;
  FC_HD void operator()(int64_t filter, int64_t i) const {
    const int64_t channel = i / s.taps(), column = i % s.taps() * s.group_channels() + channel;
    const int64_t group = filter / s.group_filters(), rows = s.group_columns(), width = s.group_filters();
    const int64_t at =
        inner_first ? (group * rows + column) * width + filter % width : filter * rows + column;
    arranged[at] = weight[filter * rows + i];
  }
};

// Back from (filters, tap, channel).
struct RestoreWeight {
  const float* arranged;
  float* weight;
  DeformableShape s;
  FC_HD void operator()(int64_t filter, int64_t i) const {
    const int64_t column = i % s.taps() * s.group_channels() + i / s.taps();
    weight[filter * s.group_columns() + i] = arranged[filter * s.group_columns() + column];
  }
};

// Adds the slots of a gradient to the first of them.
struct AddSlot {
  float* to;
  const float* from;
  int64_t columns;
  FC_HD void operator()(int64_t row, int64_t column) const {
    to[row * columns + column] += from[row * columns + column];
  }
};

template <class Backend>
int add_slots(const Backend& backend, float* slots, int64_t count, int64_t rows, int64_t columns) {
  int failed = 0;
  for (int64_t i = 1; i < count && !failed; ++i) {
    failed = backend.for_each_2d(rows, columns, AddSlot{slots, slots + i * rows * columns, columns});
  }
  return failed;
}

// The sums that make the bias's gradient.
struct PlaneSums {
  const float* planes;
  int64_t area;
  struct Row {
    const float* plane;
    FC_HD void add(int64_t at, double* sum, double*) const { *sum += plane[at]; }
  };
  FC_HD Row row(int64_t r) const { return {planes + r * area}; }
};

struct JoinPlaneSums {
  const Pair* sums;
  float* grad_bias;
  int64_t n, filters;
  FC_HD void operator()(int64_t filter) const {
    double sum = 0;
    for (int64_t image = 0; image < n; ++image) sum += sums[image * filters + filter].first;
    grad_bias[filter] = static_cast<float>(sum);
  }
};

// By one thread: on the CPU every slot has a gradient of its own.
inline int scatter(const CpuBackend&, const Scatter& body, int64_t pixels) {
  const DeformableShape& s = body.samples.s;
  const int64_t length = s.run_length();
  for (int64_t r = 0; r < pixels * s.taps() * s.runs(); ++r) {
    const Scatter::Row row = body.row(r);
    // One corner after the other: those outside share a row.
    for (int64_t at = 0; at < length; ++at) row.a[at] += row.wa * row.g[at];
    for (int64_t at = 0; at < length; ++at) row.b[at] += row.wb * row.g[at];
    for (int64_t at = 0; at < length; ++at) row.c[at] += row.wc * row.g[at];
    for (int64_t at = 0; at < length; ++at) row.d[at] += row.wd * row.g[at];
  }
  return 0;
}

#ifdef __CUDACC__
// In no fixed order, as in the original.
struct AtomicScatter {
  Scatter body;
  __device__ void operator()(int64_t r, int64_t at) const {
    const Scatter::Row row = body.row(r);
    atomicAdd(row.a + at, row.wa * row.g[at]);
    atomicAdd(row.b + at, row.wb * row.g[at]);
    atomicAdd(row.c + at, row.wc * row.g[at]);
    atomicAdd(row.d + at, row.wd * row.g[at]);
  }
};

inline int scatter(const CudaBackend& backend, const Scatter& body, int64_t pixels) {
  const DeformableShape& s = body.samples.s;
  return backend.for_each_2d(pixels * s.taps() * s.runs(), s.run_length(), AtomicScatter{body});
}
#endif

}  // namespace fullconv

#endif  // OPERATOR_CXX_DEFORMABLE_CONV_LAYOUT_H_
