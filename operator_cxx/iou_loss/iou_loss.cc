// `fullconv_iou_loss`, the regression loss of FCOS, for MXNet.
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/iou_loss/iou_loss_entries.h"

namespace fullconv {
namespace {

struct IouLossOp {
  static constexpr const char* kName = "fullconv_iou_loss";
  static constexpr Gradient kGradient = Gradient::kOwn;

  static int mode(const Attributes& a) {
    const std::string word = a.choice("loss_type", {"iou", "linear_iou", "giou"}, "iou");
    return word == "iou" ? kLogIou : (word == "linear_iou" ? kLinearIou : kGeneralisedIou);
  }

  static Signature signature(const Attributes& a) {
    a.allow({"loss_type"});
    mode(a);
    return {{"pred", "target", "weight"}, {"loss"}};
  }

  static Shapes infer_shape(const Attributes&, const Shapes& in) {
    const Shape& pred = in[0];
    if (pred.size() < 2 || pred.back() != 4) {
      fail("input pred has shape ", describe(pred), ", expected (...,4)");
    }
    const Shape rows(pred.begin(), pred.end() - 1);
    uint64_t count = 1;
    for (const unsigned size : rows) count *= size;
    if (count > 2147483647u) fail("input pred has shape ", describe(pred), ": too many rows");
    check_shape("target", in[1], pred);
    check_shape("weight", in[2], rows);
    return {rows};
  }

  static void forward(Call& call) {
    FULLCONV_RUN(call, fullconv_iou_loss_fwd, call.input(0), call.input(1), call.input(2), call.output(0),
                 static_cast<int>(call.out[0].size()), mode(call.attrs));
  }

  // Inputs: head gradient, pred, target, weight, loss.
  static void backward(Call& call) {
    FULLCONV_RUN(call, fullconv_iou_loss_bwd, call.input(0), call.input(1), call.input(2), call.input(3),
                 call.output(0), static_cast<int>(call.in[0].size()), mode(call.attrs));
    call.zero(1);
    call.zero(2);
  }
};

FULLCONV_REGISTER_OP(IouLossOp)

}  // namespace
}  // namespace fullconv
