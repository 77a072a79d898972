// The CPU's matrix product. The BLAS inside of MXNet's wheel knows no processor from after 2020 and then runs
// code for the Pentium 4; this runs in the vector registers that the library is compiled for.
//
// As in Goto & van de Geijn (ACM TOMS, 2008): a panel of b that fits into the first-level cache is copied to
// be contiguous, and tiles of c that fit into the registers are accumulated over it.
#ifndef OPERATOR_CXX_DEFORMABLE_CONV_PRODUCT_CPU_H_
#define OPERATOR_CXX_DEFORMABLE_CONV_PRODUCT_CPU_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#endif

namespace fullconv {

// Lanes of a vector and vectors in a row of a tile: with kTileRows rows they leave registers for one row of b
// and one number of a (of 32 registers, or of 16).
#if defined(__AVX512F__)
constexpr int kVectorLanes = 16, kTileVectors = 4;
using Vector = __m512;
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kVectorLanes = 8, kTileVectors = 2;
using Vector = __m256;
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
#else
constexpr int kVectorLanes = 4, kTileVectors = 2;
typedef float Vector __attribute__((vector_size(16)));
inline Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
#endif

constexpr int kTileRows = 6, kPanelColumns = kVectorLanes * kTileVectors;
constexpr int kPanelInner = 96;            // 24 KiB of b at 64 columns
constexpr int kTaskRows = 40 * kTileRows;  // rows that one copy of a panel serves, at most

// A tile's numbers into `tile` (kTileRows, kPanelColumns): rows a[i] (inner) times the panel (inner,
// kPanelColumns), of which the first kVectors vectors are used.
template <int kVectors>
inline void multiply_tile(const float* const* a, const float* panel, int64_t inner, float* tile) {
  Vector sum[kTileRows][kVectors] = {};
  for (int64_t r = 0; r < inner; ++r, panel += kPanelColumns) {
    Vector b[kVectors];
    std::memcpy(b, panel, sizeof b);
#pragma GCC unroll 6
    for (int i = 0; i < kTileRows; ++i) {
      const Vector value = a[i][r] - Vector{};  // in every lane
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[i][v] = multiply_add(value, b[v], sum[i][v]);
    }
  }
  for (int i = 0; i < kTileRows; ++i) std::memcpy(tile + i * kPanelColumns, sum[i], sizeof sum[i]);
}

inline void multiply_tile(int vectors, const float* const* a, const float* panel, int64_t inner,
                          float* tile) {
  static_assert(kTileVectors <= 4, "a case for each number of vectors");
  switch (vectors) {
    case 1:
      return multiply_tile<1>(a, panel, inner, tile);
    case 2:
      return multiply_tile<2>(a, panel, inner, tile);
    case 3:
      return multiply_tile<std::min(3, kTileVectors)>(a, panel, inner, tile);
    default:
      return multiply_tile<kTileVectors>(a, panel, inner, tile);
  }
}

// Rows [first, last) of one panel of c: all of `inner`, a part that fits the cache at a time.
template <class Product>
void multiply_panel(const Product& p, int64_t first, int64_t last, int64_t column) {
  alignas(64) float panel[kPanelInner * kPanelColumns];
  alignas(64) float tile[kTileRows * kPanelColumns];
  const int width = static_cast<int>(std::min<int64_t>(kPanelColumns, p.columns - column));
  const int vectors = (width + kVectorLanes - 1) / kVectorLanes;
  std::fill(panel, panel + kPanelInner * kPanelColumns, 0.f);
  for (int64_t begin = 0; begin < p.inner; begin += kPanelInner) {
    const int64_t inner = std::min<int64_t>(kPanelInner, p.inner - begin);
    for (int64_t r = 0; r < inner; ++r) {
      std::memcpy(panel + r * kPanelColumns, p.b + (begin + r) * p.b_stride + column, width * sizeof(float));
    }
    const bool add = p.add || begin > 0;
    for (int64_t row = first; row < last; row += kTileRows) {
      const float* a[kTileRows];  // rows that are not there are read as the last one, and not written
      for (int i = 0; i < kTileRows; ++i) a[i] = p.a + std::min(row + i, last - 1) * p.a_stride + begin;
      multiply_tile(vectors, a, panel, inner, tile);
      for (int i = 0; i < kTileRows && row + i < last; ++i) {
        float* c = p.c + (row + i) * p.c_stride + column;
        const float* sums = tile + i * kPanelColumns;
        for (int j = 0; j < width; ++j) c[j] = add ? c[j] + sums[j] : sums[j];
      }
    }
  }
}

template <class Product>
void multiply_in_panels(const Product& p) {
  const int64_t across = (p.columns + kPanelColumns - 1) / kPanelColumns;
  const int64_t down = (p.rows + kTaskRows - 1) / kTaskRows;
  const int64_t tiles = (p.rows + kTileRows - 1) / kTileRows, height = (tiles + down - 1) / down * kTileRows;
#pragma omp parallel for schedule(static) if (p.rows * p.columns * p.inner > 1000000)
  for (int64_t task = 0; task < across * down; ++task) {
    const int64_t first = task / across * height;
    multiply_panel(p, first, std::min(first + height, p.rows), task % across * kPanelColumns);
  }
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_DEFORMABLE_CONV_PRODUCT_CPU_H_
