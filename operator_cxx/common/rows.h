// Loops over rows of equal length: two sums per row, or a value per element.
//
// `Rows` is a struct whose `row(r)` gathers, by value, what all elements of row r share; the row's own
// function then takes the element's position. A plain loop over it can be vectorised, as nothing in it is
// read again.
#ifndef OPERATOR_CXX_COMMON_ROWS_H_
#define OPERATOR_CXX_COMMON_ROWS_H_

#include "operator_cxx/common/backend.h"

#ifndef __CUDACC__
#include <omp.h>
#endif

namespace fullconv {

struct Pair {
  double first, second;
};

// The least number of elements worth a second thread: fewer take less than a millisecond in all, and on a
// busy machine a thread may wait several for its turn.
constexpr int64_t kRowsGrain = 500000;

// One row's sums in kSumLanes interleaved parts, which fill the vector registers, then added up pairwise.
constexpr int kSumLanes = 16;

template <class Row>
inline Pair sum_row(const Row& row, int64_t length) {
  double first[kSumLanes] = {}, second[kSumLanes] = {};
  int64_t at = 0;
  for (; at + kSumLanes <= length; at += kSumLanes) {
#pragma omp simd
    for (int lane = 0; lane < kSumLanes; ++lane) row.add(at + lane, first + lane, second + lane);
  }
  for (int lane = 0; at + lane < length; ++lane) row.add(at + lane, first + lane, second + lane);
  for (int half = kSumLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) {
      first[lane] += first[lane + half];
      second[lane] += second[lane + half];
    }
  }
  return {first[0], second[0]};
}

// sums[r] for the `count` rows from `begin` on.
template <class Rows>
int sum_rows(const CpuBackend&, int64_t begin, int64_t count, int64_t length, const Rows& rows, Pair* sums) {
#pragma omp parallel for schedule(static) if (count * length > kRowsGrain)
  for (int64_t r = begin; r < begin + count; ++r) sums[r] = sum_row(rows.row(r), length);
  return 0;
}

// rows.row(r)(at) for every element of the `count` rows from `begin` on.
template <class Rows>
int map_rows(const CpuBackend&, int64_t begin, int64_t count, int64_t length, const Rows& rows) {
#pragma omp parallel for schedule(static) if (count * length > kRowsGrain)
  for (int64_t r = begin; r < begin + count; ++r) {
    const auto row = rows.row(r);
#pragma omp simd
    for (int64_t at = 0; at < length; ++at) row(at);
  }
  return 0;
}

#ifndef __CUDACC__
// body(first, count) for parts of `blocks` blocks. On the CPU each block is a part, which then goes through
// all its phases while it is in the cache. Where there are fewer blocks than threads they come one after the
// other, and the loops above use the threads (inside a parallel region they do not).
template <class Body>
int for_blocks(const CpuBackend&, int64_t blocks, int64_t elements, const Body& body) {
#pragma omp parallel for schedule(static) if (elements > kRowsGrain && blocks >= omp_get_max_threads())
  for (int64_t block = 0; block < blocks; ++block) body(block, 1);
  return 0;  // as each phase on the CPU does
}
#endif

#ifdef __CUDACC__
constexpr int kSumThreads = 256;

// One block of threads per row.
template <class Rows>
__global__ void sum_rows_kernel(int64_t begin, int64_t length, Rows rows, Pair* sums) {
  __shared__ double first[kSumThreads], second[kSumThreads];
  const int me = threadIdx.x;
  const auto row = rows.row(begin + blockIdx.x);
  double a = 0, b = 0;
  for (int64_t at = me; at < length; at += kSumThreads) row.add(at, &a, &b);
  first[me] = a;
  second[me] = b;
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (me < half) {
      first[me] += first[me + half];
      second[me] += second[me + half];
    }
  }
  if (me == 0) sums[begin + blockIdx.x] = {first[0], second[0]};
}

template <class Rows>
int sum_rows(const CudaBackend& backend, int64_t begin, int64_t count, int64_t length, const Rows& rows,
             Pair* sums) {
  const unsigned blocks = static_cast<unsigned>(count);
  sum_rows_kernel<<<blocks, kSumThreads, 0, backend.stream>>>(begin, length, rows, sums);
  return static_cast<int>(cudaGetLastError());
}

template <class Rows>
struct RowElement {
  Rows rows;
  int64_t begin;
  __device__ void operator()(int64_t row, int64_t at) const { rows.row(begin + row)(at); }
};

template <class Rows>
int map_rows(const CudaBackend& backend, int64_t begin, int64_t count, int64_t length, const Rows& rows) {
  return backend.for_each_2d(count, length, RowElement<Rows>{rows, begin});
}

// All blocks at once.
template <class Body>
int for_blocks(const CudaBackend&, int64_t blocks, int64_t, const Body& body) {
  return body(0, blocks);
}
#endif

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_ROWS_H_
