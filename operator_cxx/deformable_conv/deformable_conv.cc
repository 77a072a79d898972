// `fullconv_deformable_conv`, plain and modulated, for MXNet.
#include "operator_cxx/common/mxnet_glue.h"
#include "operator_cxx/deformable_conv/deformable_conv_entries.h"

// The larger of both machines' needs, of either pass.
size_t fullconv_deformable_conv_workspace(const fullconv::DeformableShape* shape) {
  struct Gpu {};  // any backend but the CPU's has the scratch of the CUDA form
  fullconv::Workspace cpu(nullptr), gpu(nullptr);
  fullconv::DeformableScratch<fullconv::CpuBackend>(&cpu, *shape, true);
  fullconv::DeformableScratch<Gpu>(&gpu, *shape, true);
  fullconv::Workspace forward(nullptr);
  fullconv::DeformableScratch<fullconv::CpuBackend>(&forward, *shape, false);
  return std::max({forward.used(), cpu.used(), gpu.used()});
}

// Both forms of the matrix product on the CPU, for tests: c (rows, columns) += a (rows, inner) b (inner,
// columns), or = without `add`.
extern "C" __attribute__((visibility("default"))) int fullconv_product(const float* a, const float* b,
                                                                       float* c, int rows, int inner,
                                                                       int columns, int add, int in_tiles) {
  const fullconv::Product p{a, inner, b, columns, c, columns, rows, inner, columns, add != 0};
  const fullconv::CpuBackend cpu;
  return in_tiles ? fullconv::multiply_in_tiles(cpu, p) : fullconv::multiply(cpu, p);
}

namespace fullconv {
namespace {

struct DeformableConvOp {
  static constexpr const char* kName = "fullconv_deformable_conv";
  static constexpr Gradient kGradient = Gradient::kOwn;

  struct Attrs {
    explicit Attrs(const Attributes& a)
        : modulated(a.flag("modulated", false)), bias(!a.flag("no_bias", false)), shape{} {
      shape.filters = a.at_least("num_filter", 1);
      shape.groups = a.at_least("num_group", 1, 1);
      shape.deformable_groups = a.at_least("num_deformable_group", 1, 1);
      pair(a, "kernel", {}, 1, &shape.kernel_h, &shape.kernel_w);
      pair(a, "stride", {1, 1}, 1, &shape.stride_h, &shape.stride_w);
      pair(a, "pad", {0, 0}, 0, &shape.pad_h, &shape.pad_w);
      pair(a, "dilate", {1, 1}, 1, &shape.dilate_h, &shape.dilate_w);
      if (shape.filters % shape.groups != 0) {
        fail("attribute num_filter='", shape.filters, "' is no multiple of num_group=", shape.groups);
      }
    }
    bool modulated, bias;
    DeformableShape shape;  // what the attributes tell of it

   private:
    static void pair(const Attributes& a, const char* key, const std::vector<float>& otherwise, float low,
                     int32_t* high_axis, int32_t* wide_axis) {
      const std::vector<float> sizes = otherwise.empty() ? a.list(key) : a.list(key, otherwise);
      bool fits = sizes.size() == 2;
      for (const float size : sizes) fits = fits && size >= low && size <= 4096 && size == std::floor(size);
      if (!fits) fail("attribute ", key, "='", a.text(key), "' is not two integers from ", low, " on");
      *high_axis = static_cast<int32_t>(sizes[0]);
      *wide_axis = static_cast<int32_t>(sizes[1]);
    }
  };

  static Signature signature(const Attributes& a) {
    a.allow({"kernel", "stride", "pad", "dilate", "num_filter", "num_group", "num_deformable_group",
             "no_bias", "modulated"});
    const Attrs attrs(a);
    Signature names{{"data", "offset"}, {"output"}};
    if (attrs.modulated) names.inputs.push_back("mask");
    names.inputs.push_back("weight");
    if (attrs.bias) names.inputs.push_back("bias");
    return names;
  }

  template <class Sizes>
  static DeformableShape shape_of(const Attrs& attrs, const Sizes& data) {
    DeformableShape s = attrs.shape;
    s.n = static_cast<int32_t>(data[0]);
    s.channels = static_cast<int32_t>(data[1]);
    s.height = static_cast<int32_t>(data[2]);
    s.width = static_cast<int32_t>(data[3]);
    s.out_height = (s.height + 2 * s.pad_h - s.dilate_h * (s.kernel_h - 1) - 1) / s.stride_h + 1;
    s.out_width = (s.width + 2 * s.pad_w - s.dilate_w * (s.kernel_w - 1) - 1) / s.stride_w + 1;
    return s;
  }

  static void check_data(const Attrs& attrs, const Shape& data) {
    check_shape("data", data, {0, 0, 0, 0});
    const DeformableShape& a = attrs.shape;
    if (data[1] % a.groups != 0 || data[1] % a.deformable_groups != 0) {
      fail("input data has shape ", describe(data), ": its channels are no multiple of num_group=", a.groups,
           " and num_deformable_group=", a.deformable_groups);
    }
    const int64_t needed_h = int64_t{a.dilate_h} * (a.kernel_h - 1) + 1 - 2 * a.pad_h;
    const int64_t needed_w = int64_t{a.dilate_w} * (a.kernel_w - 1) + 1 - 2 * a.pad_w;
    if (needed_h > data[2] || needed_w > data[3]) {
      fail("input data has shape ", describe(data), ": smaller than the kernel");
    }
    if (uint64_t{data[2]} * data[3] >= 2147483647u) {
      fail("input data has shape ", describe(data), ": a plane is too large");
    }
  }

  static Shapes infer_shape(const Attributes& a, const Shapes& in) {
    const Attrs attrs(a);
    check_data(attrs, in[0]);
    const DeformableShape s = shape_of(attrs, in[0]);
    const auto n = static_cast<unsigned>(s.n), filters = static_cast<unsigned>(s.filters);
    const auto height = static_cast<unsigned>(s.out_height), width = static_cast<unsigned>(s.out_width);
    const auto taps = static_cast<unsigned>(s.deformable_groups * s.taps());
    size_t next = 1;
    check_shape("offset", in[next++], {n, 2 * taps, height, width});
    if (attrs.modulated) check_shape("mask", in[next++], {n, taps, height, width});
    check_shape("weight", in[next++],
                {filters, static_cast<unsigned>(s.group_channels()), static_cast<unsigned>(s.kernel_h),
                 static_cast<unsigned>(s.kernel_w)});
    if (attrs.bias) check_shape("bias", in[next++], {filters});
    return {{n, filters, height, width}};
  }

  static void* workspace(const Call& call, const DeformableShape& s, bool backward) {
    Workspace cpu(nullptr);
    DeformableScratch<CpuBackend>(&cpu, s, backward);
    return call.workspace(call.on_gpu ? fullconv_deformable_conv_workspace(&s) : cpu.used());
  }

  static void forward(Call& call) {
    const Attrs attrs(call.attrs);
    const DeformableShape s = shape_of(attrs, call.in[0].shape);
    const size_t weight = attrs.modulated ? 3 : 2;
    const float* mask = attrs.modulated ? call.input(2) : nullptr;
    const float* bias = attrs.bias ? call.input(weight + 1) : nullptr;
    FULLCONV_RUN(call, fullconv_deformable_conv_fwd, call.input(0), call.input(1), mask, call.input(weight),
                 bias, call.output(0), &s, workspace(call, s, false));
  }

  // Inputs: head gradient, data, offset, mask, weight, bias, output.
  static void backward(Call& call) {
    const Attrs attrs(call.attrs);
    const DeformableShape s = shape_of(attrs, call.in[1].shape);
    const size_t weight = attrs.modulated ? 3 : 2;
    const float* mask = attrs.modulated ? call.input(3) : nullptr;
    float* grad_mask = attrs.modulated ? call.output(2) : nullptr;
    float* grad_bias = attrs.bias ? call.output(weight + 1) : nullptr;
    FULLCONV_RUN(call, fullconv_deformable_conv_bwd, call.input(0), call.input(1), call.input(2), mask,
                 call.input(weight + 1), call.output(0), call.output(1), grad_mask, call.output(weight),
                 grad_bias, &s, workspace(call, s, true));
  }
};

FULLCONV_REGISTER_OP(DeformableConvOp)

}  // namespace
}  // namespace fullconv
