// `fullconv_sigmoid_focal_loss`, the classification loss of FCOS, for MXNet.
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/sigmoid_focal_loss/sigmoid_focal_loss_entries.h"

namespace fullconv {
namespace {

struct SigmoidFocalLoss {
  static constexpr const char* kName = "fullconv_sigmoid_focal_loss";
  static constexpr Gradient kGradient = Gradient::kOwn;

  struct Attrs {
    explicit Attrs(const Attributes& a) : alpha(a.real("alpha", 0.25)), gamma(a.real("gamma", 2.0)) {
      if (alpha < 0 || alpha > 1) fail("attribute alpha='", a.text("alpha"), "' must be between 0 and 1");
      if (gamma < 0) fail("attribute gamma='", a.text("gamma"), "' must not be below 0");
    }
    double alpha, gamma;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"alpha", "gamma"});
    Attrs{a};
    return {{"logits", "labels"}, {"loss"}};
  }

  static Shapes infer_shape(const Attributes&, const Shapes& in) {
    if (in[0].size() < 2) fail("input logits has shape ", describe(in[0]), ", expected (N,C,...)");
    Shape places = in[0];
    places.erase(places.begin() + 1);
    check_shape("labels", in[1], places);
    return {in[0]};
  }

  static int area(const mxnet::ext::MXTensor& logits) {
    int64_t product = 1;
    for (size_t i = 2; i < logits.shape.size(); ++i) product *= logits.shape[i];
    if (product > 2147483647) fail("input logits has ", product, " places in one image, too many");
    return static_cast<int>(product);
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    FULLCONV_RUN(call, fullconv_sigmoid_focal_loss_fwd, call.input(0), call.input(1), call.output(0),
                 call.in_dim(0, 0), call.in_dim(0, 1), area(call.in[0]), a.alpha, a.gamma);
  }

  // Inputs: head gradient, logits, labels, loss.
  static void backward(Call& call) {
    const Attrs a(call.attrs);
    FULLCONV_RUN(call, fullconv_sigmoid_focal_loss_bwd, call.input(0), call.input(1), call.input(2),
                 call.output(0), call.in_dim(1, 0), call.in_dim(1, 1), area(call.in[1]), a.alpha, a.gamma);
    call.zero(1);
  }
};

FULLCONV_REGISTER_OP(SigmoidFocalLoss)

}  // namespace
}  // namespace fullconv
