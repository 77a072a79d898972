// `fullconv_group_norm`: group normalisation with an optional ReLU, for MXNet.
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/group_norm/group_norm_entries.h"

size_t fullconv_group_norm_workspace(int n, int channels, int groups) {
  fullconv::Workspace space(nullptr);
  fullconv::GroupNormScratch(&space, n, channels, groups);
  return space.used();
}

namespace fullconv {
namespace {

struct GroupNorm {
  static constexpr const char* kName = "fullconv_group_norm";
  static constexpr Gradient kGradient = Gradient::kOwn;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : groups(a.at_least("num_groups", 1)),
          eps(a.has("eps") ? a.positive("eps") : 1e-5),
          relu(a.choice("act", {"none", "relu"}, "none") == "relu") {}
    int groups;
    double eps;
    bool relu;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"num_groups", "eps", "act"});
    Attrs{a};
    return {{"data", "gamma", "beta"}, {"output"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Shape& data = in[0];
    if (data.size() < 2) fail("input data has shape ", describe(data), ", expected (N,C,...)");
    const unsigned channels = data[1], groups = Attrs(a).groups;
    if (channels % groups != 0) {
      fail("input data has shape ", describe(data), ": its ", channels,
           " channels are no multiple of num_groups=", groups);
    }
    uint64_t area = 1;
    for (size_t i = 2; i < data.size(); ++i) {
      area *= data[i];
      if (area > 2147483647u) fail("input data has shape ", describe(data), ": a channel is too large");
    }
    check_shape("gamma", in[1], {channels});
    check_shape("beta", in[2], {channels});
    return {data};
  }

  // Sizes of the tensor (N, C, ...) that the operator was called with.
  struct Sizes {
    explicit Sizes(const mxnet::ext::MXTensor& data)
        : n(static_cast<int>(data.shape[0])), channels(static_cast<int>(data.shape[1])), area(1) {
      for (size_t i = 2; i < data.shape.size(); ++i) area *= static_cast<int>(data.shape[i]);
    }
    int n, channels, area;
  };

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    const Sizes s(call.in[0]);
    FULLCONV_RUN(call, fullconv_group_norm_fwd, call.input(0), call.input(1), call.input(2), call.output(0),
                 s.n, s.channels, a.groups, s.area, a.eps, a.relu,
                 call.workspace(fullconv_group_norm_workspace(s.n, s.channels, a.groups)));
  }

  // Inputs: head gradient, data, gamma, beta, output.
  static void backward(Call& call) {
    const Attrs a(call.attrs);
    const Sizes s(call.in[1]);
    FULLCONV_RUN(call, fullconv_group_norm_bwd, call.input(0), call.input(1), call.input(2), call.input(3),
                 call.output(0), call.output(1), call.output(2), s.n, s.channels, a.groups, s.area, a.eps,
                 a.relu, call.workspace(fullconv_group_norm_workspace(s.n, s.channels, a.groups)));
  }
};

FULLCONV_REGISTER_OP(GroupNorm)

}  // namespace
}  // namespace fullconv
