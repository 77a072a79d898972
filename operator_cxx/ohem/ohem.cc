// `fullconv_box_annotator_ohem`, the operator that FCIS calls "BoxAnnotatorOHEM".
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/ohem/ohem_entries.h"

size_t fullconv_ohem_workspace(int num_rois, int num_images) {
  fullconv::Workspace ws(nullptr);
  fullconv::OhemScratch(&ws, num_rois, num_images);
  return ws.used();
}

namespace fullconv {
namespace {

struct BoxAnnotatorOhem {
  static constexpr const char* kName = "fullconv_box_annotator_ohem";
  static constexpr Gradient kGradient = Gradient::kZero;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : roi_per_img(a.at_least("roi_per_img", 1, 128)),
          num_images(a.at_least("num_images", 1, 1)),
          loss_weight(a.list("loss_weight", {1, 10, 1})) {
      if (loss_weight.size() != 3) {
        fail("attribute loss_weight='", a.text("loss_weight"),
             "' is not a list of 3 numbers (class, mask, box)");
      }
    }
    int roi_per_img, num_images;
    std::vector<float> loss_weight;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"roi_per_img", "num_images", "loss_weight"});
    Attrs{a};
    return {{"cls_score", "seg_pred", "bbox_pred", "labels", "mask_targets", "bbox_targets", "bbox_weights"},
            {"labels_ohem", "mask_targets_ohem", "bbox_weights_ohem"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const unsigned images = Attrs(a).num_images;
    check_shape("cls_score", in[0], {0, 0});
    const unsigned rois = in[0][0];
    if (rois % images != 0) {
      fail("input cls_score has shape ", describe(in[0]), ": rows are no multiple of num_images=", images);
    }
    check_shape("seg_pred", in[1], {rois, 2, 0, 0});
    check_shape("bbox_pred", in[2], {rois, 0});
    uint64_t count = 1;
    for (const unsigned size : in[3]) count *= size;
    if (count != rois) fail("input labels has shape ", describe(in[3]), ", expected ", rois, " elements");
    check_shape("mask_targets", in[4], {rois, 1, in[1][2], in[1][3]});
    check_shape("bbox_targets", in[5], in[2]);
    check_shape("bbox_weights", in[6], in[2]);
    return {in[3], in[4], in[6]};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    const int rois = call.in_dim(0, 0), area = call.in_dim(1, 2) * call.in_dim(1, 3);
    const auto weight = [&](int i) { return static_cast<double>(a.loss_weight[i]); };
    FULLCONV_RUN(call, fullconv_ohem_fwd, call.input(0), call.input(1), call.input(2), call.input(3),
                 call.input(4), call.input(5), call.input(6), call.output(0), call.output(1), call.output(2),
                 rois, a.num_images, call.in_dim(0, 1), area, call.in_dim(2, 1), a.roi_per_img, weight(0),
                 weight(1), weight(2), call.workspace(fullconv_ohem_workspace(rois, a.num_images)));
  }
};

FULLCONV_REGISTER_OP(BoxAnnotatorOhem)

}  // namespace
}  // namespace fullconv
