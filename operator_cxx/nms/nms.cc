// fullconv_nms: greedy suppression of boxes in any order, with the rule of the originals' CUDA kernel.
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/nms/nms_entries.h"

extern "C" __attribute__((visibility("default"))) size_t fullconv_nms_workspace(int n, int max_keep) {
  struct BitMatrix {};  // any backend but the CPU's has the scratch of the CUDA form
  return std::max(fullconv::nms_workspace<fullconv::CpuBackend>(n, max_keep),
                  fullconv::nms_workspace<BitMatrix>(n, max_keep));
}

namespace fullconv {
namespace {

struct Nms {
  static constexpr const char* kName = "fullconv_nms";
  static constexpr Gradient kGradient = Gradient::kZero;

  static Signature signature(const Attributes& a) {
    a.allow({"threshold", "max_keep"});
    a.real("threshold");
    a.at_least("max_keep", 1);
    return {{"dets"}, {"keep", "count"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    check_shape("dets", in[0], {0, 5});
    // Indices are returned as float32, which holds no larger integers.
    if (in[0][0] > 1u << 24) fail("input dets has ", in[0][0], " boxes, at most 16777216 are supported");
    return {{static_cast<unsigned>(a.at_least("max_keep", 1))}, {1}};
  }

  static void forward(Call& call) {
    const int n = call.in_dim(0, 0), max_keep = call.out_dim(0, 0);
    const size_t bytes =
        call.on_gpu ? fullconv_nms_workspace(n, max_keep) : nms_workspace<CpuBackend>(n, max_keep);
    FULLCONV_RUN(call, fullconv_nms_fwd, call.input(0), call.output(0), call.output(1), n, max_keep,
                 call.attrs.real("threshold"), call.workspace(bytes));
  }
};

FULLCONV_REGISTER_OP(Nms)

}  // namespace
}  // namespace fullconv
