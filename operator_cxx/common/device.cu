#include "operator_cxx/common/device.h"

int fullconv_zero_cuda(float* data, size_t bytes, void* stream) {
  return fullconv::CudaBackend(stream).zero(data, bytes);
}

const char* fullconv_cuda_error_string(int code) {
  return cudaGetErrorString(static_cast<cudaError_t>(code));
}
