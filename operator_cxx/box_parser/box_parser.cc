// `fullconv_box_parser`, the operator that FCIS calls "BoxParser".
#include "operator_cxx/box_parser/box_parser_entries.h"
#include "operator_cxx/common/mxnet_glue.h"

namespace fullconv {
namespace {

struct BoxParser {
  static constexpr const char* kName = "fullconv_box_parser";
  static constexpr Gradient kGradient = Gradient::kZero;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : class_agnostic(a.flag("class_agnostic", true)), numbers(a.list("means", {0, 0, 0, 0})) {
      const std::vector<float> stds = a.list("stds", {0.2f, 0.2f, 0.5f, 0.5f});
      if (numbers.size() != 4) fail("attribute means='", a.text("means"), "' is not a list of 4 numbers");
      if (stds.size() != 4) fail("attribute stds='", a.text("stds"), "' is not a list of 4 numbers");
      numbers.insert(numbers.end(), stds.begin(), stds.end());
    }
    bool class_agnostic;
    std::vector<float> numbers;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"class_agnostic", "means", "stds"});
    Attrs{a};
    return {{"rois", "bbox_delta", "cls_prob", "im_info"}, {"rois"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const bool class_agnostic = Attrs(a).class_agnostic;
    check_shape("rois", in[0], {0, 5});
    const unsigned rois = in[0][0];
    check_shape("bbox_delta", in[1], {rois, 0});
    check_shape("cls_prob", in[2], {rois, 0});
    check_shape("im_info", in[3], {0, 3});
    if (in[2][1] < 2) fail("input cls_prob has shape ", describe(in[2]), ": needs background and a class");
    const unsigned groups = class_agnostic ? 2 : in[2][1];
    if (in[1][1] < 4 * groups) {
      fail("input bbox_delta has shape ", describe(in[1]), ", needs 4 columns for each of ", groups,
           " groups");
    }
    return {in[0]};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    FULLCONV_RUN(call, fullconv_box_parser_fwd, call.input(0), call.input(1), call.input(2), call.input(3),
                 call.output(0), call.in_dim(0, 0), call.in_dim(1, 1), call.in_dim(2, 1), call.in_dim(3, 0),
                 a.numbers.data(), static_cast<int>(a.class_agnostic));
  }
};

FULLCONV_REGISTER_OP(BoxParser)

}  // namespace
}  // namespace fullconv
