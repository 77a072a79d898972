// `fullconv_assemble`, the assembling module of InstanceFCN, for MXNet.
#include "operator_cxx/assembling/assembling_entries.h"
#include "operator_cxx/common/mxnet_glue.h"

namespace fullconv {
namespace {

struct AssembleOp {
  static constexpr const char* kName = "fullconv_assemble";
  static constexpr Gradient kGradient = Gradient::kOwn;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : group(a.at_least("group_size", 1)),
          size(a.at_least("window_size", 1)),
          rule(a.choice("rule", {"centre", "floor"}, "centre") == "centre" ? 0 : 1),
          dense(a.flag("dense", false)) {
      if (size > kMaxWindow || size % 2 == 0) {
        fail("attribute window_size='", size, "' must be odd, to have a centre, and at most ", kMaxWindow);
      }
      if (group > size) fail("attribute group_size='", group, "' must be at most window_size, ", size);
    }
    int group, size, rule;
    bool dense;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"group_size", "window_size", "rule", "dense"});
    if (Attrs(a).dense) return {{"score_maps"}, {"output", "valid"}};
    return {{"score_maps", "windows"}, {"output", "valid"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Attrs attrs(a);
    check_shape("score_maps", in[0], {0, 0, 0, 0});
    const unsigned size = attrs.size, parts = attrs.group * attrs.group;
    if (in[0][1] != parts) {
      fail("input score_maps has shape ", describe(in[0]), ", expected ", parts, " channels: group_size^2");
    }
    uint64_t count = uint64_t{in[0][0]} * in[0][2] * in[0][3];
    if (!attrs.dense) {
      check_shape("windows", in[1], {0, 3});
      count = in[1][0];
    }
    if (count > 2147483647u) fail("score_maps ", describe(in[0]), " have too many windows: ", count);
    const Shape shape{static_cast<unsigned>(count), size, size};
    return {shape, shape};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    FULLCONV_RUN(call, fullconv_assemble_fwd, call.input(0), a.dense ? nullptr : call.input(1),
                 call.output(0), call.output(1), call.in_dim(0, 0), a.group, a.size, a.rule,
                 call.in_dim(0, 2), call.in_dim(0, 3), call.out_dim(0, 0));
  }

  // Inputs: head gradients of output and valid, score_maps, windows (not if dense), output, valid.
  static void backward(Call& call) {
    const Attrs a(call.attrs);
    FULLCONV_RUN(call, fullconv_assemble_bwd, call.input(0), a.dense ? nullptr : call.input(3),
                 call.output(0), call.in_dim(2, 0), a.group, a.size, a.rule, call.in_dim(2, 2),
                 call.in_dim(2, 3), call.in_dim(0, 0));
    if (!a.dense) call.zero(1);
  }
};

FULLCONV_REGISTER_OP(AssembleOp)

}  // namespace
}  // namespace fullconv
