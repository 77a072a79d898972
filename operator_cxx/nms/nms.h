// Greedy non-maximum suppression of boxes sorted by descending score, rule "suppress IoU > threshold" in
// float32 (the CUDA kernel of the originals: equality and NaN are kept).
//
// On a CPU each box is compared with those kept so far, which stops as soon as enough are kept. On a GPU all
// pairs are compared at once into a bit matrix, which one thread block then walks in score order.
#ifndef OPERATOR_CXX_NMS_NMS_H_
#define OPERATOR_CXX_NMS_NMS_H_

#include "operator_cxx/nms/cooperative.h"
#include "operator_cxx/nms/iou.h"
#include "operator_cxx/nms/sequential.h"

namespace fullconv {

constexpr int kNmsBits = 64;

inline int64_t nms_words(int64_t n) { return (n + kNmsBits - 1) / kNmsBits; }

FC_HD int lowest_bit(uint64_t bits) {  // bits != 0
#ifdef __CUDA_ARCH__
  return __ffsll(static_cast<long long>(bits)) - 1;
#else
  return __builtin_ctzll(bits);
#endif
}

// Word (i, w) of the matrix: bit b says that box i suppresses the later box 64 w + b.
struct NmsPairs {
  const float* dets;  // (n, 5)
  int64_t n, words;
  float threshold;
  uint64_t* matrix;  // (n, words)

  FC_HD void operator()(int64_t index) const {
    const int64_t i = index / words, first = index % words * kNmsBits;
    const float* a = dets + i * 5;
    const float a_area = detection_area(a);
    const int64_t last = first + kNmsBits < n ? first + kNmsBits : n;
    uint64_t bits = 0;
    for (int64_t j = first > i ? first : i + 1; j < last; ++j) {
      const float* b = dets + j * 5;
      const float iou =
          detection_iou(a[0], a[1], a[2], a[3], a_area, b[0], b[1], b[2], b[3], detection_area(b));
      if (SuppressAbove()(iou, threshold)) bits |= uint64_t(1) << (j - first);
    }
    matrix[index] = bits;
  }
};

// Walks the matrix in score order with `lanes` cooperating threads (one on a CPU). A lane that is late may
// read `removed` while another already writes row i into it; that only touches bits after i.
struct NmsScan {
  const uint64_t* matrix;
  int64_t n, words, max_keep;
  uint64_t* removed;  // (words), zero
  int32_t *keep, *num_keep;

  FC_HD void run(int64_t, int lane, int lanes) const {
    int64_t count = 0;
    for (int64_t w = 0; w < words && count < max_keep; ++w) {
      const int64_t left = n - w * kNmsBits;
      uint64_t open = left < kNmsBits ? (uint64_t(1) << left) - 1 : ~uint64_t(0);
      while (count < max_keep) {
        const uint64_t alive = open & ~static_cast<volatile uint64_t*>(removed)[w];
        if (alive == 0) break;
        const int bit = lowest_bit(alive);
        const int64_t i = w * kNmsBits + bit;
        open = bit == kNmsBits - 1 ? 0 : open & (~uint64_t(0) << (bit + 1));
        if (lane == 0) keep[count] = static_cast<int32_t>(i);
        ++count;
        for (int64_t v = w + lane; v < words; v += lanes) removed[v] |= matrix[i * words + v];
        FC_LANE_BARRIER();
      }
    }
    if (lane == 0) *num_keep = static_cast<int32_t>(count);
  }
};

// Scratch of greedy_nms; the constructor is also how callers reserve it (Workspace with a null base).
template <class Backend>
struct NmsScratch {
  uint64_t *matrix, *removed;
  NmsScratch(Workspace* ws, int64_t n, int64_t /* max_keep */)
      : matrix(ws->take<uint64_t>(n * nms_words(n))), removed(ws->take<uint64_t>(nms_words(n))) {}
};

template <>
struct NmsScratch<CpuBackend> {
  float* kept;
  NmsScratch(Workspace* ws, int64_t n, int64_t max_keep) : kept(ws->take<float>(5 * std::min(n, max_keep))) {}
};

// The matrix form for either backend; greedy_nms picks it on a GPU, tests run it on the CPU too.
template <class Backend>
int bit_matrix_nms(const Backend& backend, const float* dets, int64_t n, float threshold, int64_t max_keep,
                   int32_t* keep, int32_t* num_keep, uint64_t* matrix, uint64_t* removed) {
  const int64_t words = nms_words(n);
  int error = backend.zero(removed, words * sizeof(uint64_t));
  if (error == 0) error = backend.for_each(n * words, NmsPairs{dets, n, words, threshold, matrix});
  if (error == 0)
    error = for_each_group(backend, 1, NmsScan{matrix, n, words, max_keep, removed, keep, num_keep});
  return error;
}

// dets (n, 5): x1, y1, x2, y2, score, sorted by descending score; keep (max_keep): positions that stay, in
// order, entries from *num_keep on are not written; num_keep (1). All pointers live on the backend's machine.
// n == 0 or max_keep <= 0 gives *num_keep = 0. Boxes with NaN neither suppress nor are suppressed.
// Returns 0, or the backend's error code.
template <class Backend>
int greedy_nms(const Backend& backend, const float* dets, int64_t n, float threshold, int64_t max_keep,
               int32_t* keep, int32_t* num_keep, Workspace* ws) {
  if (n <= 0 || max_keep <= 0) return backend.zero(num_keep, sizeof(int32_t));
  const NmsScratch<Backend> scratch(ws, n, max_keep);
  return bit_matrix_nms(backend, dets, n, threshold, max_keep, keep, num_keep, scratch.matrix,
                        scratch.removed);
}

template <>
inline int greedy_nms<CpuBackend>(const CpuBackend&, const float* dets, int64_t n, float threshold,
                                  int64_t max_keep, int32_t* keep, int32_t* num_keep, Workspace* ws) {
  if (n <= 0 || max_keep <= 0) {
    *num_keep = 0;
    return 0;
  }
  const NmsScratch<CpuBackend> scratch(ws, n, max_keep);
  *num_keep = static_cast<int32_t>(nms_sequential(dets, 5, static_cast<const int64_t*>(nullptr), n, threshold,
                                                  max_keep, SuppressAbove(), keep, scratch.kept));
  return 0;
}

}  // namespace fullconv

#endif  // OPERATOR_CXX_NMS_NMS_H_
