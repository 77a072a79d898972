// The C entry points, compiled by deformable_conv.cc for the CPU and by deformable_conv.cu for CUDA.
#ifndef OPERATOR_CXX_DEFORMABLE_CONV_DEFORMABLE_CONV_ENTRIES_H_
#define OPERATOR_CXX_DEFORMABLE_CONV_DEFORMABLE_CONV_ENTRIES_H_

#include "operator_cxx/deformable_conv/layout.h"
#include "operator_cxx/deformable_conv/product.h"

namespace fullconv {

#ifndef __CUDACC__
// body(chunk, slot) for each chunk, on the CPU as many at a time as there are slots.
template <class Body>
int for_chunks(const CpuBackend&, int64_t chunks, int slots, const Body& body) {
#pragma omp parallel for schedule(static) num_threads(slots) if (slots > 1)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk, slots > 1 ? omp_get_thread_num() : 0);
  return 0;  // as each phase on the CPU does
}
#else
template <class Body>
int for_chunks(const CudaBackend&, int64_t chunks, int, const Body& body) {
  int failed = 0;
  for (int64_t chunk = 0; chunk < chunks && !failed; ++chunk) failed = body(chunk, 0);
  return failed;
}
#endif

// A part of one image that is being worked on.
struct Chunk {
  int64_t image, first, pixels;
  ChunkScratch scratch;
};

// One call: the work that forward and backward have in common.
template <class Backend>
struct DeformableConv {
  Backend backend;
  DeformableShape s;
  DeformableScratch<Backend> scratch;
  const float *data, *offset, *mask;

  // body(chunk), its taps found, for each chunk of an image.
  template <class Body>
  int for_each_chunk(int64_t image, const Body& body) const {
    const int64_t most = scratch.plan.pixels, chunks = (s.out_area() + most - 1) / most;
    const int failed = load(image);
    if (failed) return failed;
    return for_chunks(backend, chunks, scratch.plan.slots, [&](int64_t i, int slot) {
      const Chunk chunk{image, i * most, std::min(most, s.out_area() - i * most), scratch.slot(s, slot)};
      const int failed = find_taps(chunk);
      return failed ? failed : body(chunk);
    });
  }

  // The image with channels innermost, and the row of zeros.
  int load(int64_t image) const {
    const int64_t area = s.area(), channels = s.channels;
    // A tap outside of the image points to this row, so that sampling needs no branch.
    const int failed = backend.zero(scratch.pixels + area * channels, channels * sizeof(float));
    if (failed) return failed;
    return transpose(
        backend, {data + image * channels * area, area, scratch.pixels, channels, area, channels, nullptr});
  }

  int find_taps(const Chunk& chunk) const {
    const int64_t taps = s.all_taps(), planes = chunk.image * taps * s.out_area();
    const FindTaps body{offset + 2 * planes, mask == nullptr ? nullptr : mask + planes, s, chunk.first,
                        chunk.scratch.taps};
    return backend.for_each_2d(taps, chunk.pixels, body);
  }

  Samples samples(const Chunk& chunk) const { return {scratch.pixels, chunk.scratch.taps, s}; }

  int sample(const Chunk& chunk) const {
    return map_rows(backend, 0, chunk.pixels * s.taps() * s.runs(), s.run_length(),
                    SampleColumns{samples(chunk), chunk.scratch.columns});
  }

  // body(group) is each group's product.
  template <class Body>
  int multiply_groups(const Body& body) const {
    int failed = 0;
    for (int64_t group = 0; group < s.groups && !failed; ++group) failed = multiply(backend, body(group));
    return failed;
  }
};

template <class Backend>
int deformable_forward(const DeformableConv<Backend>& conv, const float* weight, const float* bias,
                       float* out) {
  const DeformableShape& s = conv.s;
  const int64_t rows = s.group_columns(), width = s.group_filters();
  const auto body = [&](const Chunk& chunk) {
    int failed = conv.sample(chunk);
    if (failed) return failed;
    failed = conv.multiply_groups([&](int64_t group) {
      return Product{chunk.scratch.columns + group * rows,
                     s.columns(),
                     conv.scratch.weight + group * rows * width,
                     width,
                     chunk.scratch.out + group * width,
                     s.filters,
                     chunk.pixels,
                     rows,
                     width,
                     false};
    });
    if (failed) return failed;
    float* to = out + chunk.image * s.filters * s.out_area() + chunk.first;
    return transpose(conv.backend,
                     {chunk.scratch.out, s.filters, to, s.out_area(), s.filters, chunk.pixels, bias});
  };
  int failed = conv.backend.for_each_2d(s.filters, rows, ArrangeWeight{weight, conv.scratch.weight, s, true});
  for (int64_t image = 0; image < s.n && !failed; ++image) failed = conv.for_each_chunk(image, body);
  return failed;
}

// What the backward pass writes.
struct DeformableGradients {
  float *data, *offset, *mask, *weight, *bias;
};

template <class Backend>
struct DeformableBackward {
  const DeformableConv<Backend>& conv;
  const float* grad_out;
  DeformableGradients grad;

  // The gradient of the columns, and from it those of offsets, mask and data.
  int to_inputs(const Chunk& chunk) const {
    const DeformableShape& s = conv.s;
    const int64_t rows = s.group_columns(), width = s.group_filters(), taps = s.all_taps();
    const float* from = grad_out + chunk.image * s.filters * s.out_area() + chunk.first;
    int failed = transpose(
        conv.backend, {from, s.out_area(), chunk.scratch.out, s.filters, chunk.pixels, s.filters, nullptr});
    if (failed) return failed;
    failed = conv.multiply_groups([&](int64_t group) {
      return Product{chunk.scratch.out + group * width,
                     s.filters,
                     conv.scratch.weight + group * width * rows,
                     rows,
                     chunk.scratch.columns + group * rows,
                     s.columns(),
                     chunk.pixels,
                     width,
                     rows,
                     false};
    });
    if (failed) return failed;
    const int64_t planes = chunk.image * taps * s.out_area();
    const TapGradients body{conv.samples(chunk), chunk.scratch.columns, grad.offset + 2 * planes,
                            grad.mask == nullptr ? nullptr : grad.mask + planes, chunk.first};
    failed = conv.backend.for_each_2d(chunk.pixels, taps, body, 64);
    if (failed) return failed;
    return scatter(conv.backend, {conv.samples(chunk), chunk.scratch.columns, chunk.scratch.grad_pixels},
                   chunk.pixels);
  }

  int to_weight(const Chunk& chunk) const {
    const DeformableShape& s = conv.s;
    const int64_t rows = s.group_columns(), width = s.group_filters();
    // Sampled here, behind `to_inputs`: until now the columns held their own gradient.
    const int failed = conv.sample(chunk);
    if (failed) return failed;
    return conv.multiply_groups([&](int64_t group) {
      return Product{grad_out + (chunk.image * s.filters + group * width) * s.out_area() + chunk.first,
                     s.out_area(),
                     chunk.scratch.columns + group * rows,
                     s.columns(),
                     chunk.scratch.grad_weight + group * width * rows,
                     rows,
                     width,
                     chunk.pixels,
                     rows,
                     true};
    });
  }

  int image(int64_t i) const {
    const DeformableShape& s = conv.s;
    const int slots = conv.scratch.plan.slots;
    const int64_t area = s.area(), channels = s.channels;
    float* pixels = conv.scratch.grad_pixels;
    int failed = zero_slots(pixels, s.pixels_size());
    if (failed) return failed;
    failed = conv.for_each_chunk(i, [&](const Chunk& chunk) {
      const int failed = to_inputs(chunk);
      return failed ? failed : to_weight(chunk);
    });
    if (!failed) failed = add_slots(conv.backend, pixels, slots, area + 1, channels);
    if (failed) return failed;
    return transpose(conv.backend,
                     {pixels, channels, grad.data + i * channels * area, area, channels, area, nullptr});
  }

  int zero_slots(float* data, int64_t size) const {
    const int slots = conv.scratch.plan.slots;
    return for_chunks(conv.backend, slots, slots, [&](int64_t slot, int) {
      return conv.backend.zero(data + slot * size, size * sizeof(float));
    });
  }

  int bias() const {
    const DeformableShape& s = conv.s;
    const int failed = sum_rows(conv.backend, 0, int64_t{s.n} * s.filters, s.out_area(),
                                PlaneSums{grad_out, s.out_area()}, conv.scratch.sums);
    if (failed) return failed;
    return conv.backend.for_each(s.filters, JoinPlaneSums{conv.scratch.sums, grad.bias, s.n, s.filters});
  }

  int run(const float* weight) const {
    const DeformableShape& s = conv.s;
    const int64_t rows = s.group_columns();
    const ArrangeWeight arrange{weight, conv.scratch.weight, s, false};
    const RestoreWeight restore{conv.scratch.grad_weight, grad.weight, s};
    int failed = zero_slots(conv.scratch.grad_weight, s.weight_size());
    if (!failed) failed = conv.backend.for_each_2d(s.filters, rows, arrange);
    for (int64_t i = 0; i < s.n && !failed; ++i) failed = image(i);
    if (!failed) {
      failed = add_slots(conv.backend, conv.scratch.grad_weight, conv.scratch.plan.slots, s.filters, rows);
    }
    if (!failed) failed = conv.backend.for_each_2d(s.filters, rows, restore);
    return failed || grad.bias == nullptr ? failed : bias();
  }
};

template <class Backend>
DeformableConv<Backend> deformable_conv(const Backend& backend, const DeformableShape& s, void* workspace,
                                        bool backward, const float* data, const float* offset,
                                        const float* mask) {
  Workspace ws(workspace);
  return {backend, s, DeformableScratch<Backend>(&ws, s, backward), data, offset, mask};
}

}  // namespace fullconv

int FC_ENTRY(fullconv_deformable_conv_fwd)(const float* data, const float* offset, const float* mask,
                                           const float* weight, const float* bias, float* out,
                                           const fullconv::DeformableShape* shape, void* workspace,
                                           void* stream) {
  const auto conv =
      fullconv::deformable_conv(FC_BACKEND(stream), *shape, workspace, false, data, offset, mask);
  return fullconv::deformable_forward(conv, weight, bias, out);
}

int FC_ENTRY(fullconv_deformable_conv_bwd)(const float* grad_out, const float* data, const float* offset,
                                           const float* mask, const float* weight, float* grad_data,
                                           float* grad_offset, float* grad_mask, float* grad_weight,
                                           float* grad_bias, const fullconv::DeformableShape* shape,
                                           void* workspace, void* stream) {
  using namespace fullconv;
  const auto backend = FC_BACKEND(stream);
  const auto conv = deformable_conv(backend, *shape, workspace, true, data, offset, mask);
  const DeformableGradients grad{grad_data, grad_offset, grad_mask, grad_weight, grad_bias};
  return DeformableBackward<std::decay_t<decltype(backend)>>{conv, grad_out, grad}.run(weight);
}

#endif  // OPERATOR_CXX_DEFORMABLE_CONV_DEFORMABLE_CONV_ENTRIES_H_
