// A C entry point to the random stream, so that it can be compared with numpy.
#include "operator_cxx/common/numpy_random.h"

// np.random.seed(seed), then np.random.choice(sizes[i], size=draws[i], replace=...) for i < calls; with
// replacement draws any number, without at most sizes[i]. The results follow each other in `out`; `scratch`
// holds max(sizes) values.
extern "C" __attribute__((visibility("default"))) void fullconv_random_choice(uint32_t seed,
                                                                              const int32_t* sizes,
                                                                              const int32_t* draws, int calls,
                                                                              int replace, int32_t* scratch,
                                                                              int32_t* out) {
  fullconv::RandomState random;
  random.seed(seed);
  for (int call = 0; call < calls; ++call) {
    const int32_t size = sizes[call];
    for (int32_t i = 0; i < size && !replace; ++i) scratch[i] = i;
    if (!replace) random.shuffle(scratch, size);
    for (int32_t i = 0; i < draws[call]; ++i) {
      *out++ = replace ? static_cast<int32_t>(random.interval(size - 1)) : scratch[i];
    }
  }
}
