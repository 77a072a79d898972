// Batch normalisation (Ioffe & Szegedy, ICML 2015) in three steps, so that the batch may lie on several
// devices.
//
// Each device sums up its part (moments), one joins the parts (statistics, and the running averages with
// them), and each normalises its part by what was joined. data (n, channels, area). A part's moments are
// three rows of one number per channel: how many numbers it has, their mean, and their biased variance; parts
// weigh as much as they have numbers. Sums are in double, and their order does not depend on the number of
// threads.
#ifndef OPERATOR_CXX_BATCH_NORM_BATCH_NORM_H_
#define OPERATOR_CXX_BATCH_NORM_BATCH_NORM_H_

#include <cmath>

#include "operator_cxx/common/backend.h"
#include "operator_cxx/common/moments.h"
#include "operator_cxx/common/rows.h"

// moments (3, channels).
FULLCONV_API(fullconv_batch_moments_fwd, const float* data, float* moments, int n, int channels, int area,
             void* workspace, void* stream);
FULLCONV_API(fullconv_batch_moments_bwd, const float* grad_moments, const float* data, const float* moments,
             float* grad_data, int n, int channels, int area, void* stream);
// parts (count, 3, channels), statistics (2, channels): mean and biased variance. The running averages become
// momentum * average + (1 - momentum) * new, new being the mean and, as in PyTorch, the unbiased variance.
FULLCONV_API(fullconv_batch_statistics_fwd, const float* parts, float* running_mean, float* running_var,
             float* statistics, int count, int channels, double momentum, void* stream);
FULLCONV_API(fullconv_batch_statistics_bwd, const float* grad_statistics, const float* parts,
             const float* statistics, float* grad_parts, int count, int channels, void* stream);
// out = (data - mean) / sqrt(variance + eps) * gamma + beta.
FULLCONV_API(fullconv_batch_normalize_fwd, const float* data, const float* statistics, const float* gamma,
             const float* beta, float* out, int n, int channels, int area, double eps, void* stream);
FULLCONV_API(fullconv_batch_normalize_bwd, const float* grad_out, const float* data, const float* statistics,
             const float* gamma, float* grad_data, float* grad_statistics, float* grad_gamma,
             float* grad_beta, int n, int channels, int area, double eps, void* workspace, void* stream);
// Bytes of scratch that moments_fwd and normalize_bwd need.
extern "C" __attribute__((visibility("default"))) size_t fullconv_batch_norm_workspace(int n, int channels);

namespace fullconv {

struct BatchShape {
  int64_t n, channels, area;
  FC_HD int64_t rows() const { return n * channels; }
  FC_HD double per_channel() const { return static_cast<double>(n * area); }
};

inline Pair* batch_norm_sums(Workspace* space, int64_t n, int64_t channels) {
  return space->take<Pair>(n * channels);
}

// Joins the rows of a channel (Chan et al., 1979).
struct ChannelMoments {
  Moments rows;
  const Pair* sums;
  float* moments;
  BatchShape s;
  FC_HD void operator()(int64_t channel) const {
    double mean = 0, spread = 0;
    for (int64_t row = channel; row < s.rows(); row += s.channels) mean += rows.mean(row, sums[row]);
    mean /= static_cast<double>(s.n);
    for (int64_t row = channel; row < s.rows(); row += s.channels) {
      const double off = rows.mean(row, sums[row]) - mean;
      spread += rows.spread(sums[row]) + static_cast<double>(s.area) * off * off;
    }
    moments[channel] = static_cast<float>(s.per_channel());
    moments[s.channels + channel] = static_cast<float>(mean);
    moments[2 * s.channels + channel] = static_cast<float>(spread / s.per_channel());
  }
};

// A line per channel.
struct ChannelLine {
  float centre, scale, offset;
  FC_HD float operator()(float x) const { return (x - centre) * scale + offset; }
};

// The numbers of an image's channel through that channel's line.
struct LineRow {
  const float* x;
  float* out;
  ChannelLine line;
  FC_HD void operator()(int64_t at) const { out[at] = line(x[at]); }
};

// Gradient of the mean, 1 / n each, and of the variance, 2 (x - mean) / n.
struct MomentsGradient {
  const float *grad, *data, *moments;
  float* grad_data;
  BatchShape s;
  FC_HD LineRow row(int64_t r) const {
    const int64_t c = r % s.channels;
    const double share = 1 / s.per_channel();
    return {data + r * s.area,
            grad_data + r * s.area,
            {moments[s.channels + c], static_cast<float>(2 * share * grad[2 * s.channels + c]),
             static_cast<float>(share * grad[s.channels + c])}};
  }
};

struct JoinParts {
  const float* parts;
  float *running_mean, *running_var, *statistics;
  int64_t count, channels;
  double momentum;
  FC_HD double at(int64_t part, int64_t row, int64_t channel) const {
    return parts[(3 * part + row) * channels + channel];
  }
  FC_HD void operator()(int64_t c) const {
    double total = 0, mean = 0, spread = 0;
    for (int64_t part = 0; part < count; ++part) {
      total += at(part, 0, c);
      mean += at(part, 0, c) * at(part, 1, c);
    }
    mean /= total;
    for (int64_t part = 0; part < count; ++part) {
      const double off = at(part, 1, c) - mean;
      spread += at(part, 0, c) * (at(part, 2, c) + off * off);
    }
    statistics[c] = static_cast<float>(mean);
    statistics[channels + c] = static_cast<float>(spread / total);
    // A single number has no unbiased variance; its own is 0.
    const double unbiased = total > 1 ? spread / (total - 1) : 0;
    running_mean[c] = static_cast<float>(momentum * running_mean[c] + (1 - momentum) * mean);
    running_var[c] = static_cast<float>(momentum * running_var[c] + (1 - momentum) * unbiased);
  }
};

// With share = numbers of the part / all numbers: d mean / d mean_part = d variance / d variance_part =
// share, d variance / d mean_part = 2 share (mean_part - mean). Numbers have no gradient.
struct PartsGradient {
  const float *grad, *parts, *statistics;
  float* grad_parts;
  int64_t count, channels;
  FC_HD void operator()(int64_t c) const {
    double total = 0;
    for (int64_t part = 0; part < count; ++part) total += parts[3 * part * channels + c];
    for (int64_t part = 0; part < count; ++part) {
      const float* row = parts + 3 * part * channels + c;
      float* out = grad_parts + 3 * part * channels + c;
      const double share = row[0] / total, off = static_cast<double>(row[channels]) - statistics[c];
      out[0] = 0;
      out[channels] = static_cast<float>(share * (grad[c] + 2 * off * grad[channels + c]));
      out[2 * channels] = static_cast<float>(share * grad[channels + c]);
    }
  }
};

// What the channels of a batch are normalised by.
struct BatchScale {
  const float *statistics, *gamma;
  int64_t channels;
  double eps;
  FC_HD float mean(int64_t c) const { return statistics[c]; }
  FC_HD double inverse(int64_t c) const { return 1 / sqrt(statistics[channels + c] + eps); }
  FC_HD float scale(int64_t c) const { return static_cast<float>(gamma[c] * inverse(c)); }
};

struct BatchNormalize {
  const float *data, *beta;
  float* out;
  BatchScale by;
  int64_t area;
  FC_HD LineRow row(int64_t r) const {
    const int64_t c = r % by.channels;
    return {data + r * area, out + r * area, {by.mean(c), by.scale(c), beta[c]}};
  }
};

// Sums of the head gradient g and of g (x - mean).
struct BatchGradientSums {
  const float *grad_out, *data;
  BatchScale by;
  int64_t area;
  struct Row {
    const float *g, *x;
    float mean;
    FC_HD void add(int64_t at, double* sum, double* product) const {
      *sum += g[at];
      *product += static_cast<double>(g[at]) * (x[at] - mean);
    }
  };
  FC_HD Row row(int64_t r) const { return {grad_out + r * area, data + r * area, by.mean(r % by.channels)}; }
};

struct BatchParameterGradients {
  const Pair* sums;
  BatchScale by;
  float *grad_statistics, *grad_gamma, *grad_beta;
  int64_t n;
  FC_HD void operator()(int64_t c) const {
    double sum = 0, product = 0;
    for (int64_t image = 0; image < n; ++image) {
      sum += sums[image * by.channels + c].first;
      product += sums[image * by.channels + c].second;
    }
    const double inverse = by.inverse(c);
    grad_gamma[c] = static_cast<float>(product * inverse);
    grad_beta[c] = static_cast<float>(sum);
    grad_statistics[c] = static_cast<float>(-by.gamma[c] * inverse * sum);
    grad_statistics[by.channels + c] =
        static_cast<float>(-0.5 * by.gamma[c] * inverse * inverse * inverse * product);
  }
};

struct BatchDataGradient {
  const float* grad_out;
  float* grad_data;
  BatchScale by;
  int64_t area;
  struct Row {
    const float* g;
    float* out;
    float scale;
    FC_HD void operator()(int64_t at) const { out[at] = g[at] * scale; }
  };
  FC_HD Row row(int64_t r) const {
    return {grad_out + r * area, grad_data + r * area, by.scale(r % by.channels)};
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_BATCH_NORM_BATCH_NORM_H_
