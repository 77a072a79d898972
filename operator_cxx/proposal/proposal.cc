// `fullconv_proposal`, the operator that FCIS calls "proposal".
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/proposal/proposal_entries.h"

namespace {
struct AnyGpu;  // stands for CudaBackend, which g++ does not see
}

size_t fullconv_proposal_workspace(int n, int num_anchors, int h, int w, int pre_nms, int post_nms,
                                   int on_gpu) {
  fullconv::Workspace ws(nullptr);
  const int64_t area = int64_t{h} * w;
  const fullconv::ProposalScratch<AnyGpu> gpu(&ws, n, num_anchors, area, pre_nms, post_nms);
  if (on_gpu) return gpu.bytes(ws, post_nms);
  fullconv::Workspace cpu_ws(nullptr);
  const fullconv::ProposalScratch<fullconv::CpuBackend> cpu(&cpu_ws, n, num_anchors, area, pre_nms, post_nms);
  return cpu.bytes(cpu_ws, post_nms);
}

namespace fullconv {
namespace {

struct Proposal {
  static constexpr const char* kName = "fullconv_proposal";
  static constexpr Gradient kGradient = Gradient::kZero;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : stride(a.at_least("feature_stride", 1, 16)),
          base_size(a.at_least("base_size", 1, 16)),
          pre_nms(a.at_least("rpn_pre_nms_top_n", 1, 6000)),
          post_nms(a.at_least("rpn_post_nms_top_n", 1, 300)),
          threshold(a.real("threshold", 0.7)),
          min_size(a.real("rpn_min_size", 16)),
          scales(a.list("scales", {8, 16, 32})),
          ratios(a.list("ratios", {0.5f, 1, 2})) {
      for (const float ratio : ratios) {
        if (!(ratio > 0)) fail("attribute ratios='", a.text("ratios"), "' must be above 0");
      }
      if (num_anchors() > kMaxAnchors) {
        fail(scales.size(), " scales times ", ratios.size(), " ratios exceed ", kMaxAnchors, " anchors");
      }
    }
    int num_anchors() const { return static_cast<int>(scales.size() * ratios.size()); }
    int stride, base_size, pre_nms, post_nms;
    double threshold, min_size;
    std::vector<float> scales, ratios;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"feature_stride", "base_size", "rpn_pre_nms_top_n", "rpn_post_nms_top_n", "threshold",
             "rpn_min_size", "scales", "ratios"});
    Attrs{a};
    return {{"cls_prob", "bbox_pred", "im_info", "seed"}, {"rois", "score"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Attrs attrs(a);
    const unsigned anchors = attrs.num_anchors(), rows = in[0][0] * attrs.post_nms;
    check_shape("cls_prob", in[0], {0, 2 * anchors, 0, 0});
    check_shape("bbox_pred", in[1], {in[0][0], 4 * anchors, in[0][2], in[0][3]});
    check_shape("im_info", in[2], {in[0][0], 3});
    check_shape("seed", in[3], {in[0][0], 1});
    return {{rows, 5}, {rows, 1}};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    const int n = call.in_dim(0, 0), anchors = a.num_anchors(), h = call.in_dim(0, 2), w = call.in_dim(0, 3);
    void* workspace =
        call.workspace(fullconv_proposal_workspace(n, anchors, h, w, a.pre_nms, a.post_nms, call.on_gpu));
    FULLCONV_RUN(call, fullconv_proposal_fwd, call.input(0), call.input(1), call.input(2), call.input(3),
                 call.output(0), call.output(1), n, anchors, h, w, a.stride, a.base_size, a.scales.data(),
                 static_cast<int>(a.scales.size()), a.ratios.data(), static_cast<int>(a.ratios.size()),
                 a.pre_nms, a.post_nms, a.threshold, a.min_size, workspace);
  }
};

FULLCONV_REGISTER_OP(Proposal)

}  // namespace
}  // namespace fullconv
