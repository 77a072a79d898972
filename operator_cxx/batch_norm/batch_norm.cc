// `fullconv_batch_moments`, `fullconv_batch_statistics` and `fullconv_batch_normalize`, for MXNet.
#include "operator_cxx/batch_norm/batch_norm_entries.h"
#include "operator_cxx/common/mxnet_glue.h"

size_t fullconv_batch_norm_workspace(int n, int channels) {
  fullconv::Workspace space(nullptr);
  fullconv::batch_norm_sums(&space, n, channels);
  return space.used();
}

namespace fullconv {
namespace {

// Of data (N, C, ...).
struct Sizes {
  explicit Sizes(const mxnet::ext::MXTensor& data)
      : n(static_cast<int>(data.shape[0])), channels(static_cast<int>(data.shape[1])), area(1) {
    for (size_t i = 2; i < data.shape.size(); ++i) area *= static_cast<int>(data.shape[i]);
  }
  int n, channels, area;
};

void check_data(const Shape& data) {
  if (data.size() < 2) fail("input data has shape ", describe(data), ", expected (N,C,...)");
  uint64_t area = 1;
  for (size_t i = 2; i < data.size(); ++i) {
    area *= data[i];
    if (area > 2147483647u) fail("input data has shape ", describe(data), ": a channel is too large");
  }
}

struct BatchMomentsOp {
  static constexpr const char* kName = "fullconv_batch_moments";
  static constexpr Gradient kGradient = Gradient::kOwn;

  static Signature signature(const Attributes& a) {
    a.allow({});
    return {{"data"}, {"moments"}};
  }

  static Shapes infer_shape(const Attributes&, const Shapes& in) {
    check_data(in[0]);
    return {{1, 3, in[0][1]}};
  }

  static void forward(Call& call) {
    const Sizes s(call.in[0]);
    FULLCONV_RUN(call, fullconv_batch_moments_fwd, call.input(0), call.output(0), s.n, s.channels, s.area,
                 call.workspace(fullconv_batch_norm_workspace(s.n, s.channels)));
  }

  // Inputs: head gradient, data, moments.
  static void backward(Call& call) {
    const Sizes s(call.in[1]);
    FULLCONV_RUN(call, fullconv_batch_moments_bwd, call.input(0), call.input(1), call.input(2),
                 call.output(0), s.n, s.channels, s.area);
  }
};

struct BatchStatisticsOp {
  static constexpr const char* kName = "fullconv_batch_statistics";
  static constexpr Gradient kGradient = Gradient::kOwn;

  static double momentum(const Attributes& a) {
    const double momentum = a.real("momentum", 0.9);
    if (momentum < 0 || momentum > 1) {
      fail("attribute momentum='", a.text("momentum"), "' must be between 0 and 1");
    }
    return momentum;
  }

  static Signature signature(const Attributes& a) {
    a.allow({"momentum"});
    momentum(a);
    return {{"parts", "running_mean", "running_var"}, {"statistics"}};
  }

  static std::vector<int> states() { return {1, 2}; }

  static Shapes infer_shape(const Attributes&, const Shapes& in) {
    check_shape("parts", in[0], {0, 3, 0});
    check_shape("running_mean", in[1], {in[0][2]});
    check_shape("running_var", in[2], {in[0][2]});
    return {{2, in[0][2]}};
  }

  static void forward(Call& call) {
    FULLCONV_RUN(call, fullconv_batch_statistics_fwd, call.input(0), call.state(1), call.state(2),
                 call.output(0), call.in_dim(0, 0), call.in_dim(0, 2), momentum(call.attrs));
  }

  // Inputs: head gradient, parts, running averages, statistics.
  static void backward(Call& call) {
    FULLCONV_RUN(call, fullconv_batch_statistics_bwd, call.input(0), call.input(1), call.input(4),
                 call.output(0), call.in_dim(1, 0), call.in_dim(1, 2));
    call.zero(1);
    call.zero(2);
  }
};

struct BatchNormalizeOp {
  static constexpr const char* kName = "fullconv_batch_normalize";
  static constexpr Gradient kGradient = Gradient::kOwn;

  // 0 is for statistics of a file, which are not measured here.
  static double eps(const Attributes& a) {
    const double eps = a.real("eps", 1e-5);
    if (eps < 0) fail("attribute eps='", a.text("eps"), "' must not be below 0");
    return eps;
  }

  static Signature signature(const Attributes& a) {
    a.allow({"eps"});
    eps(a);
    return {{"data", "statistics", "gamma", "beta"}, {"output"}};
  }

  static Shapes infer_shape(const Attributes&, const Shapes& in) {
    check_data(in[0]);
    check_shape("statistics", in[1], {2, in[0][1]});
    check_shape("gamma", in[2], {in[0][1]});
    check_shape("beta", in[3], {in[0][1]});
    return {in[0]};
  }

  static void forward(Call& call) {
    const Sizes s(call.in[0]);
    FULLCONV_RUN(call, fullconv_batch_normalize_fwd, call.input(0), call.input(1), call.input(2),
                 call.input(3), call.output(0), s.n, s.channels, s.area, eps(call.attrs));
  }

  // Inputs: head gradient, data, statistics, gamma, beta, output.
  static void backward(Call& call) {
    const Sizes s(call.in[1]);
    FULLCONV_RUN(call, fullconv_batch_normalize_bwd, call.input(0), call.input(1), call.input(2),
                 call.input(3), call.output(0), call.output(1), call.output(2), call.output(3), s.n,
                 s.channels, s.area, eps(call.attrs),
                 call.workspace(fullconv_batch_norm_workspace(s.n, s.channels)));
  }
};

FULLCONV_REGISTER_OP(BatchMomentsOp)
FULLCONV_REGISTER_OP(BatchStatisticsOp)
FULLCONV_REGISTER_OP(BatchNormalizeOp)

}  // namespace
}  // namespace fullconv
