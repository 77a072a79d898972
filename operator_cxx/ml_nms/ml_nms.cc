// Multi-label suppression: no operator of MXNet's, as FCOS filters its results outside of the network.
#include "operator_cxx/ml_nms/ml_nms_entries.h"

namespace {

struct BitMatrix : fullconv::CpuBackend {};  // any backend but the CPU's has the scratch of the CUDA form

}  // namespace

size_t fullconv_ml_nms_workspace(int n) {
  fullconv::Workspace cpu(nullptr), gpu(nullptr);
  static_cast<void>(fullconv::MlNmsScratch<fullconv::CpuBackend>(&cpu, n));
  static_cast<void>(fullconv::MlNmsScratch<BitMatrix>(&gpu, n));
  return std::max(cpu.used(), gpu.used());
}

// The CUDA form on the CPU, for tests.
extern "C" __attribute__((visibility("default"))) int fullconv_ml_nms_in_matrix(
    const float* boxes, const float* scores, const float* labels, float* keep, int n, double threshold,
    void* workspace) {
  fullconv::Workspace ws(workspace);
  return fullconv::ml_nms_in_matrix(BitMatrix(), {boxes, scores, labels, n}, static_cast<float>(threshold),
                                    keep, fullconv::MlNmsScratch<BitMatrix>(&ws, n));
}
