// Group normalisation (Wu & He, ECCV 2018, equations 1 to 7), with an optional ReLU behind it.
//
// data (N, channels, area), gamma and beta (channels). The channels form `groups` groups of consecutive ones;
// each (image, group) has one mean and one biased variance: out = (data - mean) / sqrt(variance + eps) *
// gamma
// + beta. A row is one channel of one image. All sums are in double, each row's as one thread (or one block
// of threads) adds it, so that results do not depend on the number of threads.
#ifndef OPERATOR_CXX_GROUP_NORM_GROUP_NORM_H_
#define OPERATOR_CXX_GROUP_NORM_GROUP_NORM_H_

#include <cfloat>
#include <cmath>

#include "operator_cxx/common/backend.h"
#include "operator_cxx/common/moments.h"
#include "operator_cxx/common/rows.h"

FULLCONV_API(fullconv_group_norm_fwd, const float* data, const float* gamma, const float* beta, float* out,
             int n, int channels, int groups, int area, double eps, int relu, void* workspace, void* stream);
// Writes all of the three gradients; the statistics and the ReLU's mask are computed again.
FULLCONV_API(fullconv_group_norm_bwd, const float* grad_out, const float* data, const float* gamma,
             const float* beta, float* grad_data, float* grad_gamma, float* grad_beta, int n, int channels,
             int groups, int area, double eps, int relu, void* workspace, void* stream);
// Bytes of scratch that either entry needs.
extern "C" __attribute__((visibility("default"))) size_t fullconv_group_norm_workspace(int n, int channels,
                                                                                       int groups);

namespace fullconv {

struct GroupNormShape {
  int64_t n, channels, groups, area;
  double eps;
  bool relu;
  FC_HD int64_t rows() const { return n * channels; }
  FC_HD int64_t rows_per_group() const { return channels / groups; }
  FC_HD double group_size() const { return static_cast<double>(rows_per_group() * area); }
};

// What a row's numbers go through. The mean is split: `centre` is the float next to it, and what is missing
// is in `bias`. So a large mean costs no digits.
struct Normaliser {
  float centre, scale, bias;
  FC_HD float operator()(float x) const { return (x - centre) * scale + bias; }
};

// The gradient of a row's data: grad * (head gradient) + deviation * (x - centre) + constant.
struct GradientRow {
  float grad, deviation, constant;
};

struct GroupStatistics {
  double mean, inverse_deviation;
};

struct GroupNormScratch {
  Pair* sums;  // one per row
  Normaliser* normalisers;
  GradientRow* gradients;
  GroupStatistics* statistics;  // one per image and group
  GroupNormScratch(Workspace* space, int64_t n, int64_t channels, int64_t groups)
      : sums(space->take<Pair>(n * channels)),
        normalisers(space->take<Normaliser>(n * channels)),
        gradients(space->take<GradientRow>(n * channels)),
        statistics(space->take<GroupStatistics>(n * groups)) {}
};

// The ReLU closes below this: with none, never. A threshold instead of a choice keeps the loops free of
// branches.
FC_HD float threshold(const GroupNormShape& s) { return s.relu ? FLT_MIN : -HUGE_VALF; }

// 0 where the ReLU is closed, else 1, also for NaN.
FC_HD float gate(float value, float threshold) { return value < threshold ? 0.f : 1.f; }

// Joins the moments of a group's rows (Chan et al., 1979) and prepares the rows.
struct JoinMoments {
  Moments moments;
  const float* gamma;
  const float* beta;
  GroupNormScratch scratch;
  GroupNormShape s;
  int64_t first_group;
  FC_HD double row_mean(int64_t row) const { return moments.mean(row, scratch.sums[row]); }
  FC_HD void operator()(int64_t i) const {
    const int64_t group = first_group + i, count = s.rows_per_group(), begin = group * count;
    double mean = 0, spread = 0;
    for (int64_t row = begin; row < begin + count; ++row) mean += row_mean(row);
    mean /= static_cast<double>(count);
    for (int64_t row = begin; row < begin + count; ++row) {
      const double from_mean = row_mean(row) - mean, area = static_cast<double>(s.area);
      spread += moments.spread(scratch.sums[row]) + area * from_mean * from_mean;
    }
    const double inverse = 1.0 / sqrt(spread / s.group_size() + s.eps);
    scratch.statistics[group] = {mean, inverse};
    for (int64_t row = begin; row < begin + count; ++row) {
      const double scale = gamma[row % s.channels] * inverse;
      const float centre = static_cast<float>(mean);
      scratch.normalisers[row] = {centre, static_cast<float>(scale),
                                  static_cast<float>(beta[row % s.channels] - (mean - centre) * scale)};
    }
  }
};

struct Normalise {
  const float* data;
  float* out;
  const Normaliser* normalisers;
  int64_t area;
  float threshold;
  struct Row {
    const float* x;
    float* out;
    Normaliser normaliser;
    float threshold;
    FC_HD void operator()(int64_t at) const {
      const float value = normaliser(x[at]);
      out[at] = value < threshold ? 0.f : value;
    }
  };
  FC_HD Row row(int64_t r) const { return {data + r * area, out + r * area, normalisers[r], threshold}; }
};

// One row of the head gradient, as it comes out of the ReLU.
struct HeadGradient {
  const float* x;
  const float* grad_out;
  Normaliser normaliser;
  float threshold;
  FC_HD float operator()(int64_t at) const { return grad_out[at] * gate(normaliser(x[at]), threshold); }
};

struct HeadGradients {
  const float* data;
  const float* grad_out;
  const Normaliser* normalisers;
  int64_t area;
  float threshold;
  FC_HD HeadGradient row(int64_t r) const {
    return {data + r * area, grad_out + r * area, normalisers[r], threshold};
  }
};

// Sums of the head gradient g and of g * (x - centre).
struct GradientSums {
  HeadGradients heads;
  struct Row {
    HeadGradient head;
    FC_HD void add(int64_t at, double* sum, double* product) const {
      const double g = head(at);
      *sum += g;
      *product += g * static_cast<double>(head.x[at] - head.normaliser.centre);
    }
  };
  FC_HD Row row(int64_t r) const { return {heads.row(r)}; }
};

// Turns a row's second sum into that of g * (normalised x), and derives the coefficients of equation 7's
// gradient: (gamma g - mean(gamma g) - xhat mean(gamma g xhat)) / deviation.
struct JoinGradients {
  const float* gamma;
  GroupNormScratch scratch;
  GroupNormShape s;
  int64_t first_group;
  FC_HD void operator()(int64_t i) const {
    const int64_t group = first_group + i, count = s.rows_per_group(), begin = group * count;
    const double inverse = scratch.statistics[group].inverse_deviation;
    const double rest = scratch.statistics[group].mean - scratch.normalisers[begin].centre;
    double mean = 0, product = 0;
    for (int64_t row = begin; row < begin + count; ++row) {
      Pair& sum = scratch.sums[row];
      sum.second = (sum.second - rest * sum.first) * inverse;
      mean += gamma[row % s.channels] * sum.first;
      product += gamma[row % s.channels] * sum.second;
    }
    mean /= s.group_size();
    product /= s.group_size();
    const double deviation = -inverse * inverse * product, constant = -inverse * mean - deviation * rest;
    for (int64_t row = begin; row < begin + count; ++row) {
      scratch.gradients[row] = {scratch.normalisers[row].scale, static_cast<float>(deviation),
                                static_cast<float>(constant)};
    }
  }
};

struct DataGradient {
  HeadGradients heads;
  const GradientRow* gradients;
  float* grad_data;
  struct Row {
    HeadGradient head;
    GradientRow gradient;
    float* out;
    FC_HD void operator()(int64_t at) const {
      const float from_mean = head.x[at] - head.normaliser.centre;
      out[at] = gradient.grad * head(at) + (gradient.deviation * from_mean + gradient.constant);
    }
  };
  FC_HD Row row(int64_t r) const { return {heads.row(r), gradients[r], grad_data + r * heads.area}; }
};

struct ParameterGradients {
  const Pair* sums;
  float* grad_gamma;
  float* grad_beta;
  GroupNormShape s;
  FC_HD void operator()(int64_t channel) const {
    double gamma = 0, beta = 0;
    for (int64_t image = 0; image < s.n; ++image) {
      gamma += sums[image * s.channels + channel].second;
      beta += sums[image * s.channels + channel].first;
    }
    grad_gamma[channel] = static_cast<float>(gamma);
    grad_beta[channel] = static_cast<float>(beta);
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_GROUP_NORM_GROUP_NORM_H_
