// A C entry point to both sorting methods, so that the one made for the GPU is tested on the CPU as well.
#include "operator_cxx/common/sort.h"

// order (top): positions of the largest scores (n), in order. `keys` holds the next power of two of n values.
extern "C" __attribute__((visibility("default"))) int fullconv_sort_scores(const float* scores, int n,
                                                                           int top, int bitonic,
                                                                           uint64_t* keys, int32_t* order) {
  const int64_t length = fullconv::sort_length(n);
  for (int64_t i = 0; i < length; ++i) keys[i] = i < n ? fullconv::sort_key(scores[i], i) : 0;
  const fullconv::CpuBackend cpu;
  const int error = bitonic ? fullconv::bitonic_sort_rows(cpu, keys, 1, length)
                            : fullconv::sort_rows(cpu, keys, 1, length, top);
  for (int i = 0; i < top; ++i) order[i] = static_cast<int32_t>(fullconv::key_position(keys[i]));
  return error;
}
