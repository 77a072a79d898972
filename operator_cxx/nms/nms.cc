// Greedy suppression of boxes in any order by the rule of the originals' CUDA kernel, behind a C interface.
// The operators that suppress boxes use the kernels of nms.h, so MXNet needs no operator for it.
#include <algorithm>

#include "operator_cxx/nms/nms_entries.h"

extern "C" __attribute__((visibility("default"))) size_t fullconv_nms_workspace(int n, int max_keep) {
  struct BitMatrix {};  // any backend but the CPU's has the scratch of the CUDA form
  return std::max(fullconv::nms_workspace<fullconv::CpuBackend>(n, max_keep),
                  fullconv::nms_workspace<BitMatrix>(n, max_keep));
}
