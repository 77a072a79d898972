// `_contrib_ChannelOperator`, registered under the name and with the attributes of the operator that FCIS
// added to its MXNet. Unlike there, Group_Softmax and Score_Pick have a gradient too, and a label outside
// the groups writes nothing out of bounds.
#include "operator_cxx/channel_operator/channel_operator_entries.h"
#include "operator_cxx/common/mxnet_glue.h"

namespace fullconv {
namespace {

struct ChannelOperator {
  static constexpr const char* kName = "_contrib_ChannelOperator";
  static constexpr Gradient kGradient = Gradient::kOwn;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : type(a.choice("op_type", {"Group_Max", "Group_Pick", "Group_Softmax"}, "")),
          groups(a.at_least("group", 1)),
          by_score(a.choice("pick_type", {"Label_Pick", "Score_Pick"}, "Label_Pick") == "Score_Pick") {}
    std::string type;
    int groups;
    bool by_score;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"op_type", "group", "pick_type"});
    if (Attrs(a).type == "Group_Pick") return {{"data", "pick_idx"}, {"output"}};
    return {{"data"}, {"output"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Attrs attrs(a);
    const unsigned groups = attrs.groups;
    check_shape("data", in[0], {0, 0, 0, 0});
    Shape out = in[0];
    if (out[1] % groups != 0)
      fail("input data has shape ", describe(out), ": channels are no multiple of group=", groups);
    if (attrs.type == "Group_Max") out[1] = groups;
    if (attrs.type == "Group_Pick") {
      out[1] /= groups;
      check_pick(in[1], out[0], attrs.by_score ? groups : 1);
    }
    return {out};
  }

  // (N), (N,1), (N,1,1,1) for labels; (N,groups), (N,groups,1,1) for scores.
  static void check_pick(const Shape& pick, unsigned samples, unsigned per_sample) {
    uint64_t rest = 1;
    for (size_t i = 1; i < pick.size(); ++i) rest *= pick[i];
    if (pick[0] == samples && rest == per_sample) return;
    fail("input pick_idx has shape ", describe(pick), ", expected (", samples, ",", per_sample, ",1,1)");
  }

  // Sizes of the tensor (N, groups * depth, H, W) that is input `i` or output `i` of a call.
  struct Sizes {
    Sizes(const mxnet::ext::MXTensor& data, int groups)
        : n(static_cast<int>(data.shape[0])),
          depth(static_cast<int>(data.shape[1]) / groups),
          area(static_cast<int>(data.shape[2] * data.shape[3])) {}
    int n, depth, area;
  };

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    const Sizes s(call.in[0], a.groups);
    const float* data = call.input(0);
    float* out = call.output(0);
    if (a.type == "Group_Max") {
      FULLCONV_RUN(call, fullconv_group_max_fwd, data, out, s.n, a.groups, s.depth, s.area);
    } else if (a.type == "Group_Pick") {
      FULLCONV_RUN(call, fullconv_group_pick_fwd, data, call.input(1), out, s.n, a.groups, s.depth, s.area,
                   a.by_score);
    } else {
      FULLCONV_RUN(call, fullconv_group_softmax_fwd, data, out, s.n, a.groups, s.depth, s.area);
    }
  }

  // Inputs: head gradient, the forward inputs, the forward output.
  static void backward(Call& call) {
    const Attrs a(call.attrs);
    const Sizes s(call.out[0], a.groups);
    const float* grad = call.input(0);
    float* grad_in = call.output(0);
    if (a.type == "Group_Max") {
      FULLCONV_RUN(call, fullconv_group_max_bwd, grad, call.input(1), grad_in, s.n, a.groups, s.depth,
                   s.area);
    } else if (a.type == "Group_Pick") {
      FULLCONV_RUN(call, fullconv_group_pick_bwd, grad, call.input(2), grad_in, s.n, a.groups, s.depth,
                   s.area, a.by_score);
      call.zero(1);
    } else {
      FULLCONV_RUN(call, fullconv_group_softmax_bwd, grad, call.input(2), grad_in, s.n, a.groups, s.depth,
                   s.area);
    }
  }
};

FULLCONV_REGISTER_OP(ChannelOperator)

}  // namespace
}  // namespace fullconv
