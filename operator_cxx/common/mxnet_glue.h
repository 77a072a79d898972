// Registration of an operator with MXNet 1.9.1 (lib_api.h), for .cc files only: lib_api.h does not go
// through nvcc. An operator is a struct of static members:
//
// clang-format off
//   struct Example {
//     static constexpr const char* kName = "fullconv_example";
//     static constexpr Gradient kGradient = Gradient::kOwn;              // or kZero: inputs get zeros; kNone: an error
//     static Signature signature(const Attributes& a);                   // checks attributes; names of inputs, outputs
//     static Shapes infer_shape(const Attributes& a, const Shapes& in);  // checks shapes; shapes of outputs
//     static std::vector<int> states();                                  // optional: inputs that forward changes, which
//                                                                        // MXNet calls auxiliary; see Call::state
//     static void forward(Call& call);
//     static void backward(Call& call);                                  // kOwn only; call.in: head gradients, inputs,
//   };                                                                   // outputs; call.out: a gradient per input
//   FULLCONV_REGISTER_OP(Example)
// clang-format on
//
// All tensors are float32. Any of the functions may throw fullconv::Error (fail(...)): it becomes an
// MXNetError that starts with the operator's name.
#ifndef OPERATOR_CXX_COMMON_MXNET_GLUE_H_
#define OPERATOR_CXX_COMMON_MXNET_GLUE_H_

#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "mxnet/lib_api.h"
#include "operator_cxx/common/attributes.h"
#include "operator_cxx/common/backend.h"
#include "operator_cxx/common/device.h"

namespace fullconv {

using Shape = std::vector<unsigned int>;
using Shapes = std::vector<Shape>;
enum class Gradient { kOwn, kZero, kNone };

struct Signature {
  std::vector<const char*> inputs;
  std::vector<const char*> outputs;
};

inline std::string describe(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + ")";
}

// Checks a shape against a pattern in which 0 stands for any size:
// check_shape("rois", in[1], {0, 5}) -> "input rois has shape (300,4), expected (*,5)".
inline void check_shape(const char* input, const Shape& shape, const Shape& pattern) {
  bool fits = shape.size() == pattern.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = pattern[i] == 0 || pattern[i] == shape[i];
  if (fits) return;
  std::string expected = "(";
  for (size_t i = 0; i < pattern.size(); ++i) {
    expected += (i ? "," : "") + (pattern[i] == 0 ? std::string("*") : std::to_string(pattern[i]));
  }
  fail("input ", input, " has shape ", describe(shape), ", expected ", expected, ")");
}

// One forward or backward call: attributes, tensors, and where to run.
class Call {
 public:
  Call(const Attributes& attributes, std::vector<mxnet::ext::MXTensor>* inputs,
       std::vector<mxnet::ext::MXTensor>* outputs, const mxnet::ext::OpResource& resource, bool gpu)
      : attrs(attributes), in(*inputs), out(*outputs), on_gpu(gpu), resource_(resource) {}

  const float* input(size_t i) const { return static_cast<const float*>(in[i].data_ptr); }
  // An input that is named in the operator's states.
  float* state(size_t i) const { return static_cast<float*>(in[i].data_ptr); }
  float* output(size_t i) const { return static_cast<float*>(out[i].data_ptr); }
  int in_dim(size_t tensor, size_t axis) const { return static_cast<int>(in[tensor].shape[axis]); }
  int out_dim(size_t tensor, size_t axis) const { return static_cast<int>(out[tensor].shape[axis]); }
  void* stream() const { return on_gpu ? resource_.get_cuda_stream() : nullptr; }

  // MXNet's temporary space. One block per call: a second request would hand out the same memory.
  void* workspace(size_t bytes) const {
    if (bytes == 0) return nullptr;
    // MXNet's allocators take an int.
    if (bytes > 2147483647u)
      fail("needs ", bytes >> 20, " MiB of scratch memory, MXNet gives at most 2047 MiB");
    const int size = static_cast<int>(bytes);
    void* block = on_gpu ? resource_.alloc_gpu(size) : resource_.alloc_cpu(size);
    if (block == nullptr) fail("could not allocate ", bytes >> 20, " MiB of scratch memory");
    return block;
  }

  // Runs the entry point for this call's device; use it through FULLCONV_RUN. A kernel's non-zero return
  // code becomes an error.
  template <typename Entry, typename... Args>
  void run(const char* entry_name, Entry* on_cpu, Entry* on_cuda, Args... args) const {
    if (on_gpu && on_cuda == nullptr) {
      fail("this library was built without CUDA; install nvcc and run `sh init.sh`, or use mx.cpu()");
    }
    const int code = on_gpu ? on_cuda(args..., stream()) : on_cpu(args..., nullptr);
    if (code != 0) fail(entry_name, " returned error ", code, on_gpu ? describe_cuda_error(code) : "");
  }

  void zero(size_t output_index) const {
    float* data = output(output_index);
    const size_t bytes = out[output_index].size() * sizeof(float);
    if (!on_gpu) {
      std::memset(data, 0, bytes);
      return;
    }
    run("fullconv_zero", &fullconv_zero_cpu, &fullconv_zero_cuda, data, bytes);
  }

  const Attributes& attrs;
  const std::vector<mxnet::ext::MXTensor>& in;
  const std::vector<mxnet::ext::MXTensor>& out;
  const bool on_gpu;

 private:
  const mxnet::ext::OpResource& resource_;
};

// FULLCONV_RUN(call, fullconv_example_fwd, data, out, n, workspace): the stream is appended.
#define FULLCONV_RUN(call, entry, ...) (call).run(#entry, &entry##_cpu, &entry##_cuda, __VA_ARGS__)

// Turns exceptions into MXNet's error messages: none may leave the library.
template <typename Body>
mxnet::ext::MXReturnValue guarded(const char* op, const Body& body) {
  std::string what;
  try {
    body();
    return mxnet::ext::MX_SUCCESS;
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
    what = "unknown error";
  }
  // The message list is shared by all of MXNet's worker threads.
  static std::mutex lock;
  const std::lock_guard<std::mutex> hold(lock);
  MX_ERROR_MSG << op << ": " << what;
  return mxnet::ext::MX_FAIL;
}

template <typename Op, typename = void>
struct HasStates : std::false_type {};
template <typename Op>
struct HasStates<Op, decltype(static_cast<void>(Op::states()))> : std::true_type {};

template <typename Op>
struct Registration {
  using Map = std::unordered_map<std::string, std::string>;
  using Tensors = std::vector<mxnet::ext::MXTensor>;
  using Result = mxnet::ext::MXReturnValue;

  static Result parse(const Map& map, int* num_inputs, int* num_outputs) {
    return guarded(Op::kName, [&] {
      const Signature signature = Op::signature(Attributes(map));
      *num_inputs = static_cast<int>(signature.inputs.size());
      *num_outputs = static_cast<int>(signature.outputs.size());
    });
  }

  static Result infer_type(const Map& map, std::vector<int>* in, std::vector<int>* out) {
    return guarded(Op::kName, [&] {
      const Signature signature = Op::signature(Attributes(map));
      for (size_t i = 0; i < in->size(); ++i) {
        const int type = (*in)[i];
        // Both mean "not known yet".
        if (type != -1 && type != mxnet::ext::kUNSET && type != mxnet::ext::kFloat32) {
          fail("input ", signature.inputs[i], " is not float32 (MXNet type code ", type, ")");
        }
        (*in)[i] = mxnet::ext::kFloat32;
      }
      for (int& type : *out) type = mxnet::ext::kFloat32;
    });
  }

  // MXNet asks before all inputs are known, too; an unknown shape has no sizes. Then the outputs stay
  // unknown.
  static Result infer_shape(const Map& map, Shapes* in, Shapes* out) {
    return guarded(Op::kName, [&] {
      for (const Shape& shape : *in) {
        if (shape.empty()) return;
        for (const unsigned int size : shape) {
          if (size == 0 || size > 2147483647u) return;
        }
      }
      *out = Op::infer_shape(Attributes(map), *in);
    });
  }

  template <bool kGpu>
  static Result forward(const Map& map, Tensors* in, Tensors* out, const mxnet::ext::OpResource& resource) {
    return guarded(Op::kName, [&] {
      const Attributes attributes(map);
      Call call(attributes, in, out, resource, kGpu);
      Op::forward(call);
    });
  }

  template <bool kGpu>
  static Result backward(const Map& map, Tensors* in, Tensors* out, const mxnet::ext::OpResource& resource) {
    return guarded(Op::kName, [&] {
      const Attributes attributes(map);
      Call call(attributes, in, out, resource, kGpu);
      if constexpr (Op::kGradient == Gradient::kOwn) {
        Op::backward(call);
      } else if constexpr (Op::kGradient == Gradient::kNone) {
        fail("has no gradient, it is for inference only");
      } else {
        for (size_t i = 0; i < out->size(); ++i) call.zero(i);
      }
    });
  }

  // MXNet knows how an argument is stored but asks the operator how a state is: dense, like everything here.
  static Result infer_storage(const Map&, std::vector<int>* in, std::vector<int>* out) {
    for (int& type : *in) type = mxnet::ext::kDefaultStorage;
    for (int& type : *out) type = mxnet::ext::kDefaultStorage;
    return mxnet::ext::MX_SUCCESS;
  }

  static Result mutate_inputs(const Map&, std::vector<int>* indices) {
    if constexpr (HasStates<Op>::value) *indices = Op::states();
    return mxnet::ext::MX_SUCCESS;
  }

  Registration() {
    mxnet::ext::CustomOp& op = mxnet::ext::Registry<mxnet::ext::CustomOp>::get()->add(Op::kName);
    if (HasStates<Op>::value) op.setMutateInputs(mutate_inputs).setInferSType(infer_storage);
    op.setForward(forward<false>, "cpu")
        .setForward(forward<true>, "gpu")
        .setBackward(backward<false>, "cpu")
        .setBackward(backward<true>, "gpu")
        .setParseAttrs(parse)
        .setInferType(infer_type)
        .setInferShape(infer_shape);
  }
};

#define FULLCONV_REGISTER_OP(Op) static const ::fullconv::Registration<Op> registration_of_##Op;

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_MXNET_GLUE_H_
