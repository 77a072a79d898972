// `fullconv_proposal_annotator`, the operator that FCIS calls "proposal_annotator".
#include <array>

#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/proposal_annotator/proposal_annotator_entries.h"

size_t fullconv_proposal_annotator_workspace(int n, int rois_each, int gt_each, int batch_images,
                                             int batch_rois) {
  fullconv::Workspace ws(nullptr);
  const int64_t rows = fullconv::annotator_rows(rois_each, gt_each, batch_images, batch_rois);
  fullconv::AnnotatorScratch(&ws, n, int64_t{rois_each} + gt_each, gt_each, rows);
  return ws.used();
}

namespace fullconv {
namespace {

struct ProposalAnnotator {
  static constexpr const char* kName = "fullconv_proposal_annotator";
  static constexpr Gradient kGradient = Gradient::kZero;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : batch_images(a.at_least("batch_images", 1, 1)),
          batch_rois(a.at_least("batch_rois", -1, 128)),
          mask_size(a.at_least("mask_size", 1, 21)),
          num_reg_classes(a.at_least("num_reg_classes", 2, 2)),
          fg_fraction(a.real("fg_fraction", 0.25)),
          fg_thresh(a.real("fg_thresh", 0.5)),
          bg_thresh_hi(a.real("bg_thresh_hi", 0.5)),
          bg_thresh_lo(a.real("bg_thresh_lo", 0)),
          binary_thresh(a.real("binary_thresh", 0.4)),
          normalize(a.flag("normalize", true)),
          gap_select_from_all(a.flag("gap_select_from_all", false)),
          ignore_gap(a.flag("ignore_gap", false)) {
      four(a, "bbox_means", "0,0,0,0", bbox_numbers.data());
      four(a, "bbox_stds", "0.2,0.2,0.5,0.5", bbox_numbers.data() + 4);
      four(a, "bbox_weights", "1,1,1,1", bbox_numbers.data() + 8);
      if (batch_rois != -1 && batch_rois < batch_images) {
        fail("attribute batch_rois='", batch_rois, "' must be -1 or at least batch_images=", batch_images);
      }
      if (!(fg_fraction >= 0 && fg_fraction <= 1)) {
        fail("attribute fg_fraction='", fg_fraction, "' must be within 0 and 1");
      }
      for (int k = 4; k < 8; ++k) {
        if (!(bbox_numbers[k] > 0)) fail("attribute bbox_stds='", a.text("bbox_stds"), "' must be above 0");
      }
    }

    // Four numbers in full precision: Attributes::list would round 0.2 to float32.
    static void four(const Attributes& a, const char* key, const char* otherwise, double* numbers) {
      const std::string value = a.text(key, otherwise);
      std::string words = value;
      for (char& c : words) c = std::strchr("[](),", c) ? ' ' : c;
      std::istringstream stream(words);
      std::string rest;
      stream >> numbers[0] >> numbers[1] >> numbers[2] >> numbers[3];
      if (stream.fail() || stream >> rest)
        fail("attribute ", key, "='", value, "' is not a list of 4 numbers");
    }

    int batch_images, batch_rois, mask_size, num_reg_classes;
    double fg_fraction, fg_thresh, bg_thresh_hi, bg_thresh_lo, binary_thresh;
    bool normalize, gap_select_from_all, ignore_gap;
    std::array<double, 12> bbox_numbers;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"batch_images", "batch_rois", "mask_size", "num_reg_classes", "fg_fraction", "fg_thresh",
             "bg_thresh_hi", "bg_thresh_lo", "binary_thresh", "normalize", "gap_select_from_all",
             "ignore_gap", "bbox_means", "bbox_stds", "bbox_weights"});
    Attrs{a};
    return {{"rois", "gt_boxes", "gt_masks", "seed"},
            {"rois", "label", "bbox_target", "bbox_weight", "mask_target"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Attrs attrs(a);
    check_shape("gt_boxes", in[1], {0, 0, 5});
    const unsigned n = in[1][0], gt_each = in[1][1];
    check_shape("rois", in[0], {0, 5});
    if (in[0][0] % n != 0) {
      fail("input rois has shape ", describe(in[0]), ": no multiple of the ", n, " images of gt_boxes");
    }
    check_shape("gt_masks", in[2], {n, gt_each, 0, 0});
    check_shape("seed", in[3], {n, 1});
    const unsigned rows = n * annotator_rows(in[0][0] / n, gt_each, attrs.batch_images, attrs.batch_rois);
    const unsigned width = 4 * attrs.num_reg_classes, size = attrs.mask_size;
    return {{rows, 5}, {rows}, {rows, width}, {rows, width}, {rows, 1, size, size}};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    const int n = call.in_dim(1, 0), gt_each = call.in_dim(1, 1), rois_each = call.in_dim(0, 0) / n;
    void* workspace = call.workspace(
        fullconv_proposal_annotator_workspace(n, rois_each, gt_each, a.batch_images, a.batch_rois));
    FULLCONV_RUN(call, fullconv_proposal_annotator_fwd, call.input(0), call.input(1), call.input(2),
                 call.input(3), call.output(0), call.output(1), call.output(2), call.output(3),
                 call.output(4), n, rois_each, gt_each, call.in_dim(2, 2), call.in_dim(2, 3), a.batch_images,
                 a.batch_rois, a.fg_fraction, a.fg_thresh, a.bg_thresh_hi, a.bg_thresh_lo,
                 a.bbox_numbers.data(), static_cast<int>(a.normalize),
                 static_cast<int>(a.gap_select_from_all), static_cast<int>(a.ignore_gap), a.binary_thresh,
                 a.mask_size, a.num_reg_classes, workspace);
  }
};

FULLCONV_REGISTER_OP(ProposalAnnotator)

}  // namespace
}  // namespace fullconv
