// Groups of threads that walk one list together: a thread block on CUDA, a single thread on the CPU.
#ifndef OPERATOR_CXX_NMS_COOPERATIVE_H_
#define OPERATOR_CXX_NMS_COOPERATIVE_H_

#include "operator_cxx/common/backend.h"

// Waits for all lanes of the group and makes their writes visible to each other.
#ifdef __CUDA_ARCH__
#define FC_LANE_BARRIER() __syncthreads()
#else
#define FC_LANE_BARRIER() ((void)0)
#endif

namespace fullconv {

// Calls body.run(group, lane, lanes) for each group and each of its lanes.
template <typename Body>
int for_each_group(const CpuBackend& backend, int64_t groups, const Body& body) {
  struct OneLane {
    const Body& body;
    void operator()(int64_t group) const { body.run(group, 0, 1); }
  };
  return backend.for_each(groups, OneLane{body}, 256);
}

#ifdef __CUDACC__
template <typename Body>
__global__ void group_kernel(Body body) {
  body.run(blockIdx.x, threadIdx.x, blockDim.x);
}

template <typename Body>
int for_each_group(const CudaBackend& backend, int64_t groups, const Body& body) {
  if (groups <= 0) return 0;
  group_kernel<<<static_cast<unsigned>(groups), 128, 0, backend.stream>>>(body);
  return static_cast<int>(cudaGetLastError());
}
#endif

}  // namespace fullconv

#endif  // OPERATOR_CXX_NMS_COOPERATIVE_H_
