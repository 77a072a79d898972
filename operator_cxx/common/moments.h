// Sums over a row from which its mean and variance follow.
#ifndef OPERATOR_CXX_COMMON_MOMENTS_H_
#define OPERATOR_CXX_COMMON_MOMENTS_H_

#include "operator_cxx/common/backend.h"
#include "operator_cxx/common/rows.h"

namespace fullconv {

// Sums of x - first and of its square. `first`, the row's own first number, keeps the digits of data with a
// large mean: the variance can be no smaller than what that number itself contributes to it.
struct Moments {
  const float* data;
  int64_t area;
  struct Row {
    const float* x;
    double first;
    FC_HD void add(int64_t at, double* sum, double* squares) const {
      const double d = x[at] - first;
      *sum += d;
      *squares += d * d;
    }
  };
  FC_HD Row row(int64_t r) const { return {data + r * area, data[r * area]}; }
  // From the row's sums: its mean, and the sum of squared distances to that.
  FC_HD double mean(int64_t r, const Pair& sums) const {
    return data[r * area] + sums.first / static_cast<double>(area);
  }
  FC_HD double spread(const Pair& sums) const {
    const double inside = sums.second - sums.first * sums.first / static_cast<double>(area);
    return inside < 0 ? 0 : inside;
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_MOMENTS_H_
