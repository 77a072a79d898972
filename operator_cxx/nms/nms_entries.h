// The C entry point, compiled by nms.cc for the CPU and by nms.cu for CUDA.
#ifndef OPERATOR_CXX_NMS_NMS_ENTRIES_H_
#define OPERATOR_CXX_NMS_NMS_ENTRIES_H_

#include "operator_cxx/common/sort.h"
#include "operator_cxx/nms/nms.h"

namespace fullconv {

struct DetectionKeys {
  const float* dets;
  int64_t n;
  uint64_t* keys;
  FC_HD void operator()(int64_t i) const {
    keys[i] = i < n ? sort_key(dets[i * 5 + 4], static_cast<uint32_t>(i)) : 0;
  }
};

struct GatherDetections {
  const float* dets;
  const uint64_t* keys;
  float* sorted;
  FC_HD void operator()(int64_t i) const {
    for (int k = 0; k < 5; ++k) sorted[i * 5 + k] = dets[int64_t{key_position(keys[i])} * 5 + k];
  }
};

// Positions among the sorted boxes become rows of the input; -1 behind the last.
struct WriteKept {
  const uint64_t* keys;
  const int32_t *kept, *num_kept;
  float *keep, *count;
  FC_HD void operator()(int64_t i) const {
    // Rows as floats, exact below 2^24, because everything that passes here is float32.
    keep[i] = i < *num_kept ? static_cast<float>(key_position(keys[kept[i]])) : -1.0f;
    if (i == 0) *count = static_cast<float>(*num_kept);
  }
};

template <class Backend>
struct NmsOpScratch {
  int64_t length;
  uint64_t* keys;
  float* sorted;
  int32_t *kept, *num_kept;
  NmsOpScratch(Workspace* ws, int64_t n, int64_t max_keep)
      : length(sort_length(n)),
        keys(ws->take<uint64_t>(length)),
        sorted(ws->take<float>(n * 5)),
        kept(ws->take<int32_t>(max_keep)),
        num_kept(ws->take<int32_t>(1)) {}
};

template <class Backend>
int sorted_nms(const Backend& backend, const float* dets, float* keep, float* count, int64_t n,
               int64_t max_keep, float threshold, Workspace* ws) {
  const NmsOpScratch<Backend> s(ws, n, max_keep);
  int error = backend.for_each(s.length, DetectionKeys{dets, n, s.keys});
  if (error == 0) error = sort_rows(backend, s.keys, 1, s.length, n);
  if (error == 0) error = backend.for_each(n, GatherDetections{dets, s.keys, s.sorted});
  if (error == 0) error = greedy_nms(backend, s.sorted, n, threshold, max_keep, s.kept, s.num_kept, ws);
  if (error == 0) error = backend.for_each(max_keep, WriteKept{s.keys, s.kept, s.num_kept, keep, count});
  return error;
}

template <class Backend>
size_t nms_workspace(int64_t n, int64_t max_keep) {
  Workspace ws(nullptr);
  const NmsOpScratch<Backend> op(&ws, n, max_keep);
  const NmsScratch<Backend> suppression(&ws, n, max_keep);
  static_cast<void>(op);
  static_cast<void>(suppression);
  return ws.used();
}

}  // namespace fullconv

FULLCONV_API(fullconv_nms_fwd, const float* dets, float* keep, float* count, int n, int max_keep,
             double threshold, void* workspace, void* stream);

int FC_ENTRY(fullconv_nms_fwd)(const float* dets, float* keep, float* count, int n, int max_keep,
                               double threshold, void* workspace, void* stream) {
  fullconv::Workspace ws(workspace);
  return fullconv::sorted_nms(FC_BACKEND(stream), dets, keep, count, n, max_keep,
                              static_cast<float>(threshold), &ws);
}

#endif  // OPERATOR_CXX_NMS_NMS_ENTRIES_H_
