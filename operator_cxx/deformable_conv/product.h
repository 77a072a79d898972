// Matrix products: what is left of a convolution once its columns are sampled.
#ifndef OPERATOR_CXX_DEFORMABLE_CONV_PRODUCT_H_
#define OPERATOR_CXX_DEFORMABLE_CONV_PRODUCT_H_

#include <cmath>

#include "operator_cxx/common/backend.h"

#ifndef __CUDACC__
#include "operator_cxx/deformable_conv/product_cpu.h"
#endif

namespace fullconv {

// c (rows, columns) = a (rows, inner) b (inner, columns), or c += that. `*_stride` is from row to row.
struct Product {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  int64_t rows, inner, columns;
  bool add;
};

// The GPU's way: a thread computes a tile of 8 rows and 4 columns in registers, so that 12 numbers read serve
// 32 multiplications. Its columns lie kWarp apart: what the threads of a warp read together are neighbours,
// and of `a` they all read the same number.
struct ProductTile {
  static constexpr int kRows = 8, kColumns = 4, kWarp = 32;
  Product p;

  FC_HD int64_t warps_across() const { return (p.columns + kWarp * kColumns - 1) / (kWarp * kColumns); }
  FC_HD int64_t tiles() const { return (p.rows + kRows - 1) / kRows * warps_across() * kWarp; }

  FC_HD void operator()(int64_t i) const {
    const int64_t warp = i / kWarp, first_row = warp / warps_across() * kRows;
    const int64_t first_column = warp % warps_across() * kWarp * kColumns + i % kWarp;
    // Rows and columns that are not there are read as the last ones, and not written.
    int64_t row[kRows], column[kColumns];
    for (int y = 0; y < kRows; ++y) row[y] = least(first_row + y, p.rows - 1) * p.a_stride;
    for (int x = 0; x < kColumns; ++x) column[x] = least(first_column + x * kWarp, p.columns - 1);
    float sum[kRows][kColumns] = {};
    for (int64_t r = 0; r < p.inner; ++r) {
      const float* b = p.b + r * p.b_stride;
      const float b0 = b[column[0]], b1 = b[column[1]], b2 = b[column[2]], b3 = b[column[3]];
      for (int y = 0; y < kRows; ++y) {
        const float a = p.a[row[y] + r];
        sum[y][0] = fmaf(a, b0, sum[y][0]);
        sum[y][1] = fmaf(a, b1, sum[y][1]);
        sum[y][2] = fmaf(a, b2, sum[y][2]);
        sum[y][3] = fmaf(a, b3, sum[y][3]);
      }
    }
    for (int y = 0; y < kRows && first_row + y < p.rows; ++y) {
      for (int x = 0; x < kColumns; ++x) {
        if (first_column + x * kWarp >= p.columns) continue;
        float* c = p.c + (first_row + y) * p.c_stride + first_column + x * kWarp;
        *c = p.add ? *c + sum[y][x] : sum[y][x];
      }
    }
  }

 private:
  FC_HD static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
};

template <class Backend>
int multiply_in_tiles(const Backend& backend, const Product& p) {
  const ProductTile tile{p};
  return backend.for_each(tile.tiles(), tile, 1);
}

template <class Backend>
int multiply(const Backend& backend, const Product& p) {
  return multiply_in_tiles(backend, p);
}

#ifndef __CUDACC__
template <>
inline int multiply<CpuBackend>(const CpuBackend&, const Product& p) {
  multiply_in_panels(p);
  return 0;
}
#endif

}  // namespace fullconv

#endif  // OPERATOR_CXX_DEFORMABLE_CONV_PRODUCT_H_
