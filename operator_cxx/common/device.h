// What the library says about itself and the device, and the few helpers every operator shares.
#ifndef OPERATOR_CXX_COMMON_DEVICE_H_
#define OPERATOR_CXX_COMMON_DEVICE_H_

#include <cstddef>
#include <string>

#include "operator_cxx/common/backend.h"

// Sets `bytes` bytes to zero.
FULLCONV_API(fullconv_zero, float* data, size_t bytes, void* stream);

// Text for a cudaError_t; absent where the library was built without nvcc.
extern "C" __attribute__((visibility("default"), weak)) const char* fullconv_cuda_error_string(int code);

// 1 where the CUDA kernels were compiled in.
extern "C" __attribute__((visibility("default"))) int fullconv_has_cuda();

namespace fullconv {

inline std::string describe_cuda_error(int code) {
  if (fullconv_cuda_error_string == nullptr) return "";
  return std::string(" (") + fullconv_cuda_error_string(code) + ")";
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_DEVICE_H_
