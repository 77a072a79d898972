// Sizes of a deformable convolution, and the scratch memory that follows from them.
#ifndef OPERATOR_CXX_DEFORMABLE_CONV_SCRATCH_H_
#define OPERATOR_CXX_DEFORMABLE_CONV_SCRATCH_H_

#include "operator_cxx/common/backend.h"
#include "operator_cxx/common/rows.h"

namespace fullconv {

// In this order from Python, too.
struct DeformableShape {
  int32_t n, channels, height, width;
  int32_t filters, groups, deformable_groups;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilate_h, dilate_w;
  int32_t out_height, out_width;

  FC_HD int32_t area() const { return height * width; }
  FC_HD int64_t out_area() const { return int64_t{out_height} * out_width; }
  FC_HD int64_t taps() const { return int64_t{kernel_h} * kernel_w; }
  FC_HD int64_t columns() const { return channels * taps(); }
  FC_HD int64_t group_channels() const { return channels / groups; }
  FC_HD int64_t group_filters() const { return filters / groups; }
  FC_HD int64_t group_columns() const { return group_channels() * taps(); }

  FC_HD int64_t all_taps() const { return deformable_groups * taps(); }
  FC_HD int64_t weight_size() const { return filters * group_columns(); }
  FC_HD int64_t pixels_size() const { return (int64_t{area()} + 1) * channels; }

  // Channels in a row that share group and deformable group.
  FC_HD int64_t run_length() const {
    int64_t a = group_channels(), b = channels / deformable_groups;
    while (b != 0) {
      const int64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  }
  FC_HD int64_t runs() const { return channels / run_length(); }
};

// Where one tap of one pixel looks: four corners around it, as positions in the image, and how far it is
// below and right of the first. A corner outside is position `area`, where a row of zeros stands, so that
// nobody has to ask.
struct Tap {
  int32_t corner[4];
  float down, right, mask;
  FC_HD float weight(int i) const { return (i / 2 ? down : 1.f - down) * (i % 2 ? right : 1.f - right); }
};

// How a call is cut up: pixels worked on at a time, and how many of these chunks are worked on at once, each
// in a slot of scratch memory.
struct Chunks {
  int64_t pixels;
  int slots;
};

// A GPU takes what a quarter of a gigabyte holds at once.
template <class Backend>
Chunks plan_chunks(const DeformableShape& s, bool /* backward */) {
  const int64_t floats = int64_t{1} << 26;
  return {std::min(s.out_area(), std::max<int64_t>(1, floats / s.columns())), 1};
}

#ifndef __CUDACC__
// On the CPU each thread works on chunks of its own, whose columns stay in its second-level cache: threads
// that share the work on one chunk would wait for each other a hundred times. The price are gradients of data
// and weight per slot, which are added up at the end; they may take a quarter of a gigabyte, too.
template <>
inline Chunks plan_chunks<CpuBackend>(const DeformableShape& s, bool backward) {
  const int64_t threads = omp_get_max_threads(), floats = int64_t{1} << 19, most = int64_t{1} << 26;
  const int64_t in_cache = std::max<int64_t>(24, floats / s.columns());
  const int64_t pixels =
      std::min({s.out_area(), in_cache, std::max<int64_t>(24, s.out_area() / threads + 1)});
  const int64_t gradients = backward ? s.pixels_size() + s.weight_size() : 1;
  const int64_t chunks = (s.out_area() + pixels - 1) / pixels;
  return {pixels, static_cast<int>(std::min({threads, chunks, std::max<int64_t>(1, most / gradients)}))};
}
#endif

// What one chunk is worked on in.
struct ChunkScratch {
  Tap* taps;
  float* columns;                    // (pixels, columns), or their gradient
  float* out;                        // (pixels, filters), or its gradient
  float *grad_pixels, *grad_weight;  // what this slot's chunks add to the gradients
};

template <class Backend>
struct DeformableScratch {
  Chunks plan;
  float* pixels;  // (area + 1, channels): one image's data, channels innermost; the last row is zero
  float* weight;  // filters in the columns' order
  Pair* sums;     // (n, filters)
  Tap* taps;      // of all slots, as the following
  float *columns, *out, *grad_pixels, *grad_weight;

  DeformableScratch(Workspace* ws, const DeformableShape& s, bool backward)
      : plan(plan_chunks<Backend>(s, backward)),
        pixels(ws->take<float>(s.pixels_size())),
        weight(ws->take<float>(s.weight_size())),
        sums(ws->take<Pair>(backward ? int64_t{s.n} * s.filters : 0)),
        taps(ws->take<Tap>(plan.slots * plan.pixels * s.all_taps())),
        columns(ws->take<float>(plan.slots * plan.pixels * s.columns())),
        out(ws->take<float>(plan.slots * plan.pixels * s.filters)),
        grad_pixels(ws->take<float>(backward ? plan.slots * s.pixels_size() : 0)),
        grad_weight(ws->take<float>(backward ? plan.slots * s.weight_size() : 0)) {}

  ChunkScratch slot(const DeformableShape& s, int i) const {
    const int64_t first = i * plan.pixels;
    return {taps + first * s.all_taps(), columns + first * s.columns(), out + first * s.filters,
            grad_pixels + i * s.pixels_size(), grad_weight + i * s.weight_size()};
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_DEFORMABLE_CONV_SCRATCH_H_
