// InstanceFCN's last steps at test time (ECCV 2016, section 3.3), behind a C interface that
// lib/mask/instance_proposals.py calls: assembling, pasting and suppression of windows in falling order of
// score, until enough of them stay. No mask is pasted for its box alone, and none of windows after the last
// that stays.
#include <cstring>

#include "operator_cxx/instance_proposals/window_mask.h"
#include "operator_cxx/nms/sequential.h"

namespace fullconv {
namespace {

// One scale of the image: its maps and where the image's pixels lie on them.
struct Scale {
  const float* maps;  // (group^2, H, W) probabilities
  Assembling a;
  AxisPlaces down, across;
};

struct Pyramid {
  std::vector<Scale> scales;
  std::vector<int64_t> first;  // number of the first window of each scale

  // maps: of one scale after the other. shapes (scales, 2): H, W. sizes (scales, 2): of the resized image.
  Pyramid(const float* maps, const int32_t* shapes, const double* sizes, int num_scales, int group, int size,
          int rule, int stride, int im_height, int im_width) {
    int64_t windows = 0;
    for (int s = 0; s < num_scales; ++s) {
      const int height = shapes[2 * s], width = shapes[2 * s + 1];
      const Assembling a(1, group, size, rule, height, width, 0);
      scales.push_back({maps, a, AxisPlaces(im_height, sizes[2 * s], stride, height),
                        AxisPlaces(im_width, sizes[2 * s + 1], stride, width)});
      first.push_back(windows);
      windows += a.area();
      maps += int64_t{group} * group * a.area();
    }
  }

  void assemble(int64_t window, WindowMask* mask) const {
    size_t s = scales.size() - 1;
    while (window < first[s]) --s;
    const Scale& scale = scales[s];
    const int64_t at = window - first[s];
    mask->assemble(scale.maps, scale.a, scale.down, scale.across, static_cast<int>(at / scale.a.width),
                   static_cast<int>(at % scale.a.width));
  }
};

// Boxes of windows order[begin .. begin + count).
void find_boxes(const Pyramid& pyramid, const int64_t* order, int64_t count, float threshold,
                PixelBox* boxes) {
#pragma omp parallel
  {
    WindowMask mask;
#pragma omp for schedule(dynamic, 16)
    for (int64_t i = 0; i < count; ++i) {
      pyramid.assemble(order[i], &mask);
      boxes[i] = mask.box(threshold);
    }
  }
}

}  // namespace
}  // namespace fullconv

#define FULLCONV_PYRAMID_PARAMETERS                                                                   \
  const float *maps, const int32_t *shapes, const double *sizes, int num_scales, int group, int size, \
      int rule, int stride, int im_height, int im_width
#define FULLCONV_PYRAMID \
  fullconv::Pyramid(maps, shapes, sizes, num_scales, group, size, rule, stride, im_height, im_width)

// Visits windows order[0 .. count) and writes those that stay to kept (most), their boxes to boxes (most, 4)
// and their number to *number.
extern "C" __attribute__((visibility("default"))) int fullconv_instance_boxes_cpu(
    FULLCONV_PYRAMID_PARAMETERS, const int64_t* order, int64_t count, float threshold, double nms_threshold,
    int64_t most, int64_t* kept, int32_t* boxes, int64_t* number) {
  const fullconv::Pyramid pyramid = FULLCONV_PYRAMID;
  // As many at once as keep the threads busy and are few after the last that stays.
  const int64_t block = 512;
  std::vector<fullconv::PixelBox> found(std::min(block, count));
  std::vector<double> storage(5 * most);
  fullconv::KeptBoxes<double> suppressing(storage.data(), most);
  int64_t stay = 0;
  for (int64_t begin = 0; begin < count && stay < most; begin += block) {
    const int64_t end = std::min(count, begin + block);
    fullconv::find_boxes(pyramid, order + begin, end - begin, threshold, found.data());
    for (int64_t i = begin; i < end && stay < most; ++i) {
      const fullconv::PixelBox& box = found[i - begin];
      if (box.empty()) continue;
      const double det[4] = {double(box.x1), double(box.y1), double(box.x2), double(box.y2)};
      if (suppressing.suppress(det, stay, nms_threshold, fullconv::SuppressAbove())) continue;
      suppressing.put(stay, det);
      kept[stay] = order[i];
      std::memcpy(boxes + 4 * stay, &box, sizeof box);
      ++stay;
    }
  }
  *number = stay;
  return 0;
}

// Masks of `count` windows inside their boxes (count, 4), one after the other in `masks`, that of window i
// from offsets[i] on; grids (count, size, size): their probabilities, 0 off the map.
extern "C" __attribute__((visibility("default"))) int fullconv_instance_masks_cpu(
    FULLCONV_PYRAMID_PARAMETERS, const int64_t* windows, const int32_t* boxes, const int64_t* offsets,
    int64_t count, float threshold, uint8_t* masks, float* grids) {
  const fullconv::Pyramid pyramid = FULLCONV_PYRAMID;
#pragma omp parallel
  {
    fullconv::WindowMask mask;
#pragma omp for schedule(dynamic, 16)
    for (int64_t i = 0; i < count; ++i) {
      pyramid.assemble(windows[i], &mask);
      const int32_t* box = boxes + 4 * i;
      mask.paste({box[0], box[1], box[2], box[3]}, threshold, masks + offsets[i]);
      std::memcpy(grids + i * size * size, mask.grid.data(), sizeof(float) * size * size);
    }
  }
  return 0;
}
