// One algorithm, two machines.
//
// Every operator is written once, as a sequence of `backend.for_each(n, body)` phases over plain
// pointers. `body` is a struct with `FC_HD void operator()(int64_t i) const`, so that the same source is
// compiled by g++ (OpenMP loop) and by nvcc (grid-stride kernel on the caller's stream), and what the CPU
// tests prove about the indexing holds for the CUDA build too.
#ifndef OPERATOR_CXX_COMMON_BACKEND_H_
#define OPERATOR_CXX_COMMON_BACKEND_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define FC_HD __host__ __device__ inline
#else
#define FC_HD inline
#endif

namespace fullconv {

// Scratch memory handed out from one block in 256-byte steps. With a null base it only adds up sizes, so the
// code that takes the pieces is also the code that knows how much is needed.
class Workspace {
 public:
  explicit Workspace(void* base) : base_(static_cast<char*>(base)) {}
  template <typename T>
  T* take(int64_t count) {
    const size_t at = used_;
    // 256 bytes are what CUDA aligns its own allocations to, and a multiple of the cache line.
    used_ += (static_cast<size_t>(count) * sizeof(T) + 255) / 256 * 256;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  size_t used() const { return used_; }

 private:
  char* base_;
  size_t used_ = 0;
};

// Runs each phase as an OpenMP loop. `grain` is the least number of items worth a thread.
struct CpuBackend {
  template <typename Body>
  int for_each(int64_t n, const Body& body, int64_t grain = 1024) const {
#pragma omp parallel for schedule(static) if (n > grain)
    for (int64_t i = 0; i < n; ++i) body(i);
    return 0;
  }
  // body(row, column) for rows x columns items; the inner loop is free of divisions and can be vectorised.
  template <typename Body>
  int for_each_2d(int64_t rows, int64_t columns, const Body& body, int64_t grain = 4096) const {
#pragma omp parallel for schedule(static) if (rows * columns > grain)
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) body(r, c);
    }
    return 0;
  }
  int zero(void* data, size_t bytes) const {
    if (bytes != 0) std::memset(data, 0, bytes);
    return 0;
  }
};

#ifdef __CUDACC__
template <typename Body>
__global__ void for_each_kernel(int64_t n, Body body) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) body(i);
}

template <typename Body>
struct FlatBody {
  Body body;
  int64_t columns;
  __device__ void operator()(int64_t i) const { body(i / columns, i % columns); }
};

// Runs each phase as a kernel on the caller's stream; returns the launch's cudaError_t (0 is success).
struct CudaBackend {
  cudaStream_t stream;
  explicit CudaBackend(void* s) : stream(static_cast<cudaStream_t>(s)) {}
  template <typename Body>
  int for_each(int64_t n, const Body& body, int64_t = 0) const {
    if (n <= 0) return 0;
    const int threads = 256;
    // The kernel strides over the rest, so a launch of this size serves any n.
    const int64_t blocks = std::min<int64_t>((n + threads - 1) / threads, 65535);
    for_each_kernel<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(n, body);
    return static_cast<int>(cudaGetLastError());
  }
  template <typename Body>
  int for_each_2d(int64_t rows, int64_t columns, const Body& body, int64_t = 0) const {
    return for_each(rows * columns, FlatBody<Body>{body, columns});
  }
  int zero(void* data, size_t bytes) const {
    if (bytes == 0) return 0;
    return static_cast<int>(cudaMemsetAsync(data, 0, bytes, stream));
  }
};
#endif

}  // namespace fullconv

// Declares `name_cpu` and `name_cuda` with one signature. The CUDA symbol is weak: where nvcc was absent it
// stays null, and the glue reports "built without CUDA" instead of failing to load.
#define FULLCONV_API(name, ...)                                                  \
  extern "C" __attribute__((visibility("default"))) int name##_cpu(__VA_ARGS__); \
  extern "C" __attribute__((visibility("default"), weak)) int name##_cuda(__VA_ARGS__)

// For entry points that are the same on both machines: defined once in <op>_entries.h as
// `int FC_ENTRY(name)(..., void* stream) { return FC_BACKEND(stream).for_each(...); }`, which <op>.cc and
// <op>.cu include.
#ifdef __CUDACC__
#define FC_ENTRY(name) name##_cuda
#define FC_BACKEND(stream) ::fullconv::CudaBackend(stream)
#else
#define FC_ENTRY(name) name##_cpu
#define FC_BACKEND(stream) (static_cast<void>(stream), ::fullconv::CpuBackend())
#endif

#endif  // OPERATOR_CXX_COMMON_BACKEND_H_
