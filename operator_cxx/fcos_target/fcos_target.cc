// `fullconv_fcos_target`, the target assignment of FCOS, for MXNet.
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/fcos_target/fcos_target_entries.h"

namespace fullconv {
namespace {

struct FcosTargetOp {
  static constexpr const char* kName = "fullconv_fcos_target";
  static constexpr Gradient kGradient = Gradient::kZero;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : strides(a.list("strides")),
          sizes(a.list("sizes_of_interest", {})),
          radius(a.real("center_sampling_radius", 0)),
          normalise(a.flag("norm_reg_targets", false)) {
      if (strides.size() > kFcosMaxLevels) {
        fail("attribute strides='", a.text("strides"), "' has more than ", kFcosMaxLevels, " levels");
      }
      for (const float stride : strides) {
        if (!(stride >= 1) || stride != std::floor(stride)) {
          fail("attribute strides='", a.text("strides"), "' must hold integers from 1 on");
        }
      }
      if (sizes.size() + 1 != strides.size()) {
        fail("attribute sizes_of_interest='", a.text("sizes_of_interest"),
             "' must have a number between each two of ", strides.size(), " levels");
      }
    }
    std::vector<float> strides, sizes;
    double radius;
    bool normalise;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"strides", "sizes_of_interest", "center_sampling_radius", "norm_reg_targets"});
    static const char* const kLevels[kFcosMaxLevels] = {
        "level0", "level1", "level2",  "level3",  "level4",  "level5",  "level6",  "level7",
        "level8", "level9", "level10", "level11", "level12", "level13", "level14", "level15"};
    Signature names{{"gt_boxes"}, {"labels", "regression", "centerness"}};
    names.inputs.insert(names.inputs.end(), kLevels, kLevels + Attrs(a).strides.size());
    return names;
  }

  static Shapes infer_shape(const Attributes&, const Shapes& in) {
    check_shape("gt_boxes", in[0], {0, 0, 5});
    const unsigned n = in[0][0];
    uint64_t locations = 0;
    for (size_t i = 1; i < in.size(); ++i) {
      check_shape(("level" + std::to_string(i - 1)).c_str(), in[i], {n, 0, 0, 0});
      locations += uint64_t{in[i][2]} * in[i][3];
    }
    // The sizes travel as float32, which holds no larger integers.
    if (locations > 1u << 24)
      fail("the levels have ", locations, " locations, at most 16777216 are supported");
    const auto count = static_cast<unsigned>(locations);
    return {{n, count}, {n, count, 4}, {n, count}};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    std::vector<float> levels;
    const size_t last = a.strides.size() - 1;
    for (size_t i = 0; i <= last; ++i) {
      // The original's ends: -1 and 1e8.
      const float least = i == 0 ? -1.f : a.sizes[i - 1], greatest = i == last ? 1e8f : a.sizes[i];
      const auto reach = static_cast<float>(a.strides[i] * a.radius);
      const auto height = static_cast<float>(call.in_dim(1 + i, 2)),
                 width = static_cast<float>(call.in_dim(1 + i, 3));
      levels.insert(levels.end(), {height, width, a.strides[i], least, greatest, reach});
    }
    FULLCONV_RUN(call, fullconv_fcos_target_fwd, call.input(0), levels.data(), call.output(0), call.output(1),
                 call.output(2), call.in_dim(0, 0), call.in_dim(0, 1), static_cast<int>(last + 1),
                 static_cast<int>(a.normalise));
  }
};

FULLCONV_REGISTER_OP(FcosTargetOp)

}  // namespace
}  // namespace fullconv
