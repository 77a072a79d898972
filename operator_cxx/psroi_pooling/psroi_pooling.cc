#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/psroi_pooling/psroi_pooling_cpu.h"
#include "operator_cxx/psroi_pooling/psroi_pooling_entries.h"

namespace fullconv {
namespace {

struct PsroiScratch {
  float* block;  // one block of channels of one image
  float* grads;  // backward only: the same block of the head gradient
  PsroiScratch(Workspace* space, const PsroiShape& s, bool backward)
      : block(space->take<float>(s.cells() * s.area() * kLanes)),
        grads(backward ? space->take<float>(int64_t{s.num_rois} * s.bins() * kLanes) : nullptr) {}
};

}  // namespace
}  // namespace fullconv

size_t fullconv_psroi_pooling_workspace(int dim, int group, int pooled, int height, int width, int num_rois,
                                        int backward) {
  fullconv::Workspace space(nullptr);
  const fullconv::PsroiShape s{1, dim, group, pooled, height, width, num_rois, 1.f};
  fullconv::PsroiScratch(&space, s, backward != 0);
  return space.used();
}

int fullconv_psroi_pooling_fwd_cpu(const float* data, const float* rois, float* out, int n, int dim,
                                   int group, int pooled, int height, int width, int num_rois, float scale,
                                   void* workspace, void*) {
  const fullconv::PsroiShape s{n, dim, group, pooled, height, width, num_rois, scale};
  fullconv::Workspace space(workspace);
  const fullconv::PsroiScratch scratch(&space, s, false);
  fullconv::psroi_forward(data, rois, out, s, scratch.block);
  return 0;
}

int fullconv_psroi_pooling_bwd_cpu(const float* grad_out, const float* rois, float* grad_data, int n, int dim,
                                   int group, int pooled, int height, int width, int num_rois, float scale,
                                   void* workspace, void*) {
  const fullconv::PsroiShape s{n, dim, group, pooled, height, width, num_rois, scale};
  fullconv::Workspace space(workspace);
  const fullconv::PsroiScratch scratch(&space, s, true);
  fullconv::psroi_backward(grad_out, rois, grad_data, s, scratch.block, scratch.grads);
  return 0;
}

namespace fullconv {
namespace {

struct PsroiPooling {
  static constexpr const char* kName = "fullconv_psroi_pooling";
  static constexpr Gradient kGradient = Gradient::kOwn;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : scale(static_cast<float>(a.positive("spatial_scale"))),
          dim(a.at_least("output_dim", 1)),
          pooled(a.at_least("pooled_size", 1)),
          group(a.at_least("group_size", 0, 0)) {
      if (group == 0) group = pooled;
      if (pooled > 4096) fail("attribute pooled_size='", pooled, "' must be at most 4096");
      if (group > 4096) fail("attribute group_size='", group, "' must be at most 4096");
    }
    float scale;
    int dim, pooled, group;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"spatial_scale", "output_dim", "pooled_size", "group_size"});
    Attrs{a};
    return {{"data", "rois"}, {"output"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Attrs attrs(a);
    const unsigned dim = attrs.dim, pooled = attrs.pooled, cells = attrs.group * attrs.group;
    check_shape("data", in[0], {0, 0, 0, 0});
    if (in[0][1] != uint64_t{dim} * cells) {
      fail("input data has shape ", describe(in[0]), ", expected ", uint64_t{dim} * cells,
           " channels: output_dim * group_size^2");
    }
    check_shape("rois", in[1], {0, 5});
    return {{in[1][0], dim, pooled, pooled}};
  }

  // `data` is the tensor (N, channels, H, W), `rois` (R, 5).
  static PsroiShape shape(const Call& call, const mxnet::ext::MXTensor& data,
                          const mxnet::ext::MXTensor& rois) {
    const Attrs a(call.attrs);
    return {static_cast<int>(data.shape[0]),
            a.dim,
            a.group,
            a.pooled,
            static_cast<int>(data.shape[2]),
            static_cast<int>(data.shape[3]),
            static_cast<int>(rois.shape[0]),
            a.scale};
  }

  static void* scratch(const Call& call, const PsroiShape& s, bool backward) {
    if (call.on_gpu) return nullptr;
    return call.workspace(
        fullconv_psroi_pooling_workspace(s.dim, s.group, s.pooled, s.height, s.width, s.num_rois, backward));
  }

  static void forward(Call& call) {
    const PsroiShape s = shape(call, call.in[0], call.in[1]);
    FULLCONV_RUN(call, fullconv_psroi_pooling_fwd, call.input(0), call.input(1), call.output(0), s.n, s.dim,
                 s.group, s.pooled, s.height, s.width, s.num_rois, s.scale, scratch(call, s, false));
  }

  // Inputs: head gradient, data, rois, output.
  static void backward(Call& call) {
    const PsroiShape s = shape(call, call.in[1], call.in[2]);
    FULLCONV_RUN(call, fullconv_psroi_pooling_bwd, call.input(0), call.input(2), call.output(0), s.n, s.dim,
                 s.group, s.pooled, s.height, s.width, s.num_rois, s.scale, scratch(call, s, true));
    call.zero(1);
  }
};

FULLCONV_REGISTER_OP(PsroiPooling)

}  // namespace
}  // namespace fullconv
