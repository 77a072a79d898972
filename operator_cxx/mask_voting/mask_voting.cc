// fullconv_mask_voting: the last step of FCIS at test time (its section 4, "Inference").
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/mask_voting/mask_voting_cpu.h"
#include "operator_cxx/mask_voting/mask_voting_entries.h"

#define FULLCONV_TASK                                                                                  \
  fullconv::make_task(masks, boxes, scores, n, classes, mask_size, max_per_image, im_width, im_height, \
                      capacity, nms_threshold, merge_threshold, binary_threshold)

size_t fullconv_mask_voting_workspace(int n, int classes, int max_per_image, int capacity) {
  fullconv::Workspace ws(nullptr);
  const fullconv::VotingTask task =
      fullconv::make_task(nullptr, nullptr, nullptr, n, classes, 1, max_per_image, 1, 1, capacity, 0, 0, 0);
  const fullconv::VotingScratch reserve(task, &ws);
  static_cast<void>(reserve);
  return ws.used();
}

int fullconv_mask_voting_fwd_cpu(const float* masks, const float* boxes, const float* scores, float* dets,
                                 float* out_masks, float* count, FULLCONV_VOTING_SIZES,
                                 FULLCONV_VOTING_THRESHOLDS, void* workspace, void*) {
  fullconv::Workspace ws(workspace);
  return fullconv::vote_by_bits<fullconv::KernelRule>(FULLCONV_TASK, nullptr, dets, out_masks, count, &ws);
}

// The phases of the CUDA version run on the CPU, for the tests that compare the two.
extern "C" __attribute__((visibility("default"))) int fullconv_mask_voting_phases_cpu(
    const float* masks, const float* boxes, const float* scores, float* dets, float* out_masks, float* count,
    FULLCONV_VOTING_SIZES, FULLCONV_VOTING_THRESHOLDS, void* workspace, void*) {
  fullconv::Workspace ws(workspace);
  return fullconv::vote_by_phases(fullconv::CpuBackend(), FULLCONV_TASK, dets, out_masks, count, &ws);
}

// Either rule, with the order in which the rois of each class are visited: order (C - 1, n).
extern "C" __attribute__((visibility("default"))) int fullconv_mask_voting_ordered_cpu(
    const float* masks, const float* boxes, const float* scores, const int32_t* order, int opencv_rule,
    float* dets, float* out_masks, float* count, FULLCONV_VOTING_SIZES, FULLCONV_VOTING_THRESHOLDS,
    void* workspace) {
  fullconv::Workspace ws(workspace);
  const fullconv::VotingTask task = FULLCONV_TASK;
  if (opencv_rule)
    return fullconv::vote_by_bits<fullconv::OpenCvRule>(task, order, dets, out_masks, count, &ws);
  return fullconv::vote_by_bits<fullconv::KernelRule>(task, order, dets, out_masks, count, &ws);
}

namespace fullconv {
namespace {

struct MaskVoting {
  static constexpr const char* kName = "fullconv_mask_voting";
  static constexpr Gradient kGradient = Gradient::kZero;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : max_per_image(a.at_least("max_per_image", 1)),
          im_width(a.at_least("im_width", 1)),
          im_height(a.at_least("im_height", 1)),
          capacity(a.at_least("capacity", 1)),
          nms(a.real("nms_thresh", 0.3)),
          merge(a.real("merge_thresh", 0.5)),
          binary(a.has("binary_thresh") ? a.positive("binary_thresh") : 0.4) {}
    int max_per_image, im_width, im_height, capacity;
    double nms, merge, binary;
  };

  static Signature signature(const Attributes& a) {
    a.allow({"max_per_image", "im_width", "im_height", "capacity", "nms_thresh", "merge_thresh",
             "binary_thresh"});
    Attrs check(a);
    return {{"masks", "boxes", "scores"}, {"dets", "out_masks", "count"}};
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const unsigned capacity = Attrs(a).capacity;
    check_shape("masks", in[0], {0, 1, 0, 0});
    const unsigned n = in[0][0], size = in[0][2];
    check_shape("masks", in[0], {n, 1, size, size});
    check_shape("boxes", in[1], {n, 4});
    check_shape("scores", in[2], {n, 0});
    if (in[2][1] < 2) fail("input scores has shape ", describe(in[2]), ", expected background and a class");
    return {{capacity, 6}, {capacity, 1, size, size}, {1}};
  }

  static void forward(Call& call) {
    const Attrs a(call.attrs);
    const int n = call.in_dim(0, 0), size = call.in_dim(0, 2), classes = call.in_dim(2, 1);
    const size_t bytes = fullconv_mask_voting_workspace(n, classes, a.max_per_image, a.capacity);
    FULLCONV_RUN(call, fullconv_mask_voting_fwd, call.input(0), call.input(1), call.input(2), call.output(0),
                 call.output(1), call.output(2), n, classes, size, a.max_per_image, a.im_width, a.im_height,
                 a.capacity, a.nms, a.merge, a.binary, call.workspace(bytes));
  }
};

FULLCONV_REGISTER_OP(MaskVoting)

}  // namespace
}  // namespace fullconv
