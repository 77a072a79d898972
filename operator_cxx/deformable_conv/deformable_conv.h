// Deformable convolution (Dai et al., ICCV 2017) and its modulated form (Zhu et al., CVPR 2019): every tap of
// the kernel looks where an offset sends it, and what it finds there is multiplied by a mask.
//
// The sampled numbers of some pixels ("a chunk") are laid out as one row of columns per pixel, and a matrix
// product with the filters does the rest. Channels are innermost everywhere: a sample is then four vectors of
// neighbouring numbers, weighted and added. Bodies here, the order of work in deformable_conv_entries.h.
#ifndef OPERATOR_CXX_DEFORMABLE_CONV_DEFORMABLE_CONV_H_
#define OPERATOR_CXX_DEFORMABLE_CONV_DEFORMABLE_CONV_H_

#include <cmath>

#include "operator_cxx/common/backend.h"
#include "operator_cxx/deformable_conv/scratch.h"

// data (n, channels, height, width), offset (n, 2 * deformable_groups * taps, out height, out width): per
// group and tap dy, dx; mask the same with one channel each, or null; weight (filters, channels / groups,
// kernel); bias (filters) or null; out (n, filters, out height, out width). `shape` is on the host also for
// CUDA.
FULLCONV_API(fullconv_deformable_conv_fwd, const float* data, const float* offset, const float* mask,
             const float* weight, const float* bias, float* out, const fullconv::DeformableShape* shape,
             void* workspace, void* stream);
// Writes all gradients; grad_mask and grad_bias may be null.
FULLCONV_API(fullconv_deformable_conv_bwd, const float* grad_out, const float* data, const float* offset,
             const float* mask, const float* weight, float* grad_data, float* grad_offset, float* grad_mask,
             float* grad_weight, float* grad_bias, const fullconv::DeformableShape* shape, void* workspace,
             void* stream);
// Bytes of scratch that either entry needs on either machine.
extern "C" __attribute__((visibility("default"))) size_t
fullconv_deformable_conv_workspace(const fullconv::DeformableShape* shape);

namespace fullconv {

// Finds the taps of the chunk's pixels in one image. Offsets of NaN or infinity lead outside.
struct FindTaps {
  const float *offset, *mask;  // of the image
  DeformableShape s;
  int64_t first;  // the chunk's first pixel
  Tap* taps;      // (pixel, deformable group and tap)

  FC_HD void operator()(int64_t tap, int64_t at) const {
    const int64_t pixel = first + at, area = s.out_area(), k = tap % s.taps();
    const float* dy = offset + 2 * tap * area + pixel;
    const auto row = pixel / s.out_width * s.stride_h - s.pad_h + k / s.kernel_w * s.dilate_h;
    const auto column = pixel % s.out_width * s.stride_w - s.pad_w + k % s.kernel_w * s.dilate_w;
    const float y = static_cast<float>(row) + dy[0], x = static_cast<float>(column) + dy[area];
    Tap& found = taps[at * s.deformable_groups * s.taps() + tap];
    found = {{s.area(), s.area(), s.area(), s.area()}, 0.f, 0.f, 1.f};
    if (mask != nullptr) found.mask = mask[tap * area + pixel];
    const auto height = static_cast<float>(s.height), width = static_cast<float>(s.width);
    if (!(y > -1.f && x > -1.f && y < height && x < width)) return;
    const auto top = static_cast<int32_t>(floorf(y)), left = static_cast<int32_t>(floorf(x));
    found.down = y - static_cast<float>(top);
    found.right = x - static_cast<float>(left);
    for (int corner = 0; corner < 4; ++corner) {
      const int32_t v = top + corner / 2, u = left + corner % 2;
      if (v >= 0 && u >= 0 && v < s.height && u < s.width) found.corner[corner] = v * s.width + u;
    }
  }
};

// A chunk's samples of one run of channels, those of one group and one deformable group. Row r is a pixel's
// tap and run.
struct Samples {
  const float* pixels;  // (area + 1, channels)
  const Tap* taps;
  DeformableShape s;

  struct Place {
    const Tap* tap;
    int64_t channel, column;
  };
  FC_HD Place place(int64_t r) const {
    const int64_t run = r % s.runs(), k = r / s.runs() % s.taps(), pixel = r / (s.runs() * s.taps());
    const int64_t channel = run * s.run_length(), group = channel / s.group_channels();
    const int64_t deformable = channel / (s.channels / s.deformable_groups);
    const int64_t column = (group * s.taps() + k) * s.group_channels() + channel - group * s.group_channels();
    return {taps + (pixel * s.deformable_groups + deformable) * s.taps() + k, channel,
            pixel * s.columns() + column};
  }
};

struct SampleColumns {
  Samples samples;
  float* columns;  // (chunk, group, tap, channel of the group)
  struct Row {
    const float *a, *b, *c, *d;
    float wa, wb, wc, wd;
    float* out;
    FC_HD void operator()(int64_t at) const { out[at] = wa * a[at] + wb * b[at] + (wc * c[at] + wd * d[at]); }
  };
  FC_HD Row row(int64_t r) const {
    const Samples::Place place = samples.place(r);
    const Tap& tap = *place.tap;
    const float* from = samples.pixels + place.channel;
    const int64_t channels = samples.s.channels;
    return {from + tap.corner[0] * channels, from + tap.corner[1] * channels, from + tap.corner[2] * channels,
            from + tap.corner[3] * channels, tap.mask * tap.weight(0),        tap.mask * tap.weight(1),
            tap.mask * tap.weight(2),        tap.mask * tap.weight(3),        columns + place.column};
  }
};

// The gradient of a tap's offset and mask. With g the gradient of its columns, everything follows from the
// four products g . corner, as the sample is linear in the corners.
struct TapGradients {
  Samples samples;
  const float* grad_columns;
  float *grad_offset, *grad_mask;  // of the image
  int64_t first;

  FC_HD void operator()(int64_t at, int64_t tap) const {
    const DeformableShape& s = samples.s;
    const Tap& t = samples.taps[at * s.deformable_groups * s.taps() + tap];
    const int64_t k = tap % s.taps(), runs = s.runs() / s.deformable_groups;
    float dot[4] = {0.f, 0.f, 0.f, 0.f};
    for (int64_t run = tap / s.taps() * runs, end = run + runs; run < end; ++run) {
      const Samples::Place place = samples.place((at * s.taps() + k) * s.runs() + run);
      const float* from = samples.pixels + place.channel;
      add_products(grad_columns + place.column, from + t.corner[0] * int64_t{s.channels},
                   from + t.corner[1] * int64_t{s.channels}, from + t.corner[2] * int64_t{s.channels},
                   from + t.corner[3] * int64_t{s.channels}, s.run_length(), dot);
    }
    const float left = dot[2] - dot[0], right = dot[3] - dot[1], above = dot[1] - dot[0],
                below = dot[3] - dot[2];
    float* out = grad_offset + 2 * tap * s.out_area() + first + at;
    out[0] = t.mask * (left + t.right * (right - left));
    out[s.out_area()] = t.mask * (above + t.down * (below - above));
    if (grad_mask == nullptr) return;
    float sample = 0.f;
    for (int corner = 0; corner < 4; ++corner) sample += t.weight(corner) * dot[corner];
    grad_mask[tap * s.out_area() + first + at] = sample;
  }

  FC_HD static void add_products(const float* g, const float* a, const float* b, const float* c,
                                 const float* d, int64_t length, float* dot) {
    float da = 0.f, db = 0.f, dc = 0.f, dd = 0.f;
#pragma omp simd reduction(+ : da, db, dc, dd)
    for (int64_t at = 0; at < length; ++at) {
      da += g[at] * a[at];
      db += g[at] * b[at];
      dc += g[at] * c[at];
      dd += g[at] * d[at];
    }
    dot[0] += da;
    dot[1] += db;
    dot[2] += dc;
    dot[3] += dd;
  }
};

// Gives the gradient of the columns to the corners that they were sampled from, channels [begin, end) of run
// of row r.
struct Scatter {
  Samples samples;
  const float* grad_columns;
  float* grad_pixels;  // (area + 1, channels)

  struct Row {
    const float* g;
    float *a, *b, *c, *d;
    float wa, wb, wc, wd;
  };
  FC_HD Row row(int64_t r) const {
    const Samples::Place place = samples.place(r);
    const Tap& tap = *place.tap;
    float* to = grad_pixels + place.channel;
    const int64_t channels = samples.s.channels;
    return {grad_columns + place.column,   to + tap.corner[0] * channels, to + tap.corner[1] * channels,
            to + tap.corner[2] * channels, to + tap.corner[3] * channels, tap.mask * tap.weight(0),
            tap.mask * tap.weight(1),      tap.mask * tap.weight(2),      tap.mask * tap.weight(3)};
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_DEFORMABLE_CONV_DEFORMABLE_CONV_H_
