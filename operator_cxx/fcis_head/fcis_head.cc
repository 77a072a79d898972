#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/fcis_head/fcis_head_cpu.h"
#include "operator_cxx/fcis_head/fcis_head_entries.h"

size_t fullconv_fcis_head_workspace(int classes, int num_reg, int group, int pooled, int height, int width,
                                    int num_rois) {
  const int64_t block = int64_t{group} * group * height * width * fullconv::kLanes;
  const int64_t sums = int64_t{num_rois} * std::max(classes, num_reg) * pooled;
  return sizeof(float) * static_cast<size_t>(std::max(block, sums));
}

int fullconv_fcis_head_cpu(const float* cls_seg, const float* bbox, const float* rois, float* cls_prob,
                           float* bbox_pred, float* seg_pred, int n, int classes, int num_reg, int group,
                           int pooled, int height, int width, int num_rois, float scale, void* workspace,
                           void*) {
  const fullconv::HeadShape head{classes, num_reg, {n, 0, group, pooled, height, width, num_rois, scale}};
  fullconv::head_forward(cls_seg, bbox, rois, {cls_prob, bbox_pred, seg_pred}, head,
                         static_cast<float*>(workspace));
  return 0;
}

namespace fullconv {
namespace {

struct FcisHead {
  static constexpr const char* kName = "fullconv_fcis_head";
  static constexpr Gradient kGradient = Gradient::kNone;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : scale(static_cast<float>(a.positive("spatial_scale"))),
          classes(a.at_least("num_classes", 2)),
          num_reg(a.at_least("num_reg", 1, 8)),
          pooled(a.at_least("pooled_size", 1)),
          group(a.at_least("group_size", 0, 0)) {
      if (group == 0) group = pooled;
      if (pooled > 4096) fail("attribute pooled_size='", pooled, "' must be at most 4096");
      if (group > 4096) fail("attribute group_size='", group, "' must be at most 4096");
    }
    float scale;
    int classes, num_reg, pooled, group;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"spatial_scale", "num_classes", "num_reg", "pooled_size", "group_size"});
    Attrs{a};
    return {{"cls_seg", "bbox", "rois"}, {"cls_prob", "bbox_pred", "seg_pred"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Attrs attrs(a);
    const unsigned cells = attrs.group * attrs.group, classes = attrs.classes, pooled = attrs.pooled;
    const unsigned num_reg = attrs.num_reg;
    check_shape("cls_seg", in[0], {0, 2 * classes * cells, 0, 0});
    check_shape("bbox", in[1], {in[0][0], num_reg * cells, in[0][2], in[0][3]});
    check_shape("rois", in[2], {0, 5});
    const unsigned num_rois = in[2][0];
    return {{num_rois, classes}, {num_rois, num_reg}, {num_rois, 2, pooled, pooled}};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    const int height = call.in_dim(0, 2), width = call.in_dim(0, 3), num_rois = call.in_dim(2, 0);
    void* scratch = call.workspace(
        fullconv_fcis_head_workspace(a.classes, a.num_reg, a.group, a.pooled, height, width, num_rois));
    FULLCONV_RUN(call, fullconv_fcis_head, call.input(0), call.input(1), call.input(2), call.output(0),
                 call.output(1), call.output(2), call.in_dim(0, 0), a.classes, a.num_reg, a.group, a.pooled,
                 height, width, num_rois, a.scale, scratch);
  }
};

FULLCONV_REGISTER_OP(FcisHead)

}  // namespace
}  // namespace fullconv
