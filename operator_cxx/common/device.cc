#include "operator_cxx/common/device.h"

#include "mxnet/lib_api.h"

int fullconv_zero_cpu(float* data, size_t bytes, void*) { return fullconv::CpuBackend().zero(data, bytes); }

int fullconv_has_cuda() { return fullconv_zero_cuda != nullptr; }

// MXNet's first call into the library: `version` is 10901 for 1.9.1.
extern "C" __attribute__((visibility("default"))) mxnet::ext::MXReturnValue initialize(int version) {
  if (version >= 10900 && version < 11000) return mxnet::ext::MX_SUCCESS;
  MX_ERROR_MSG << "fullconv operators need MXNet 1.9.x, this is " << version;
  return mxnet::ext::MX_FAIL;
}
