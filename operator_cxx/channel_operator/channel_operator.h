// Maximum, pick and softmax over groups of channels (FCIS, CVPR 2017, section 3.1: joint inside/outside
// scores).
//
// data is (N, groups * depth, area): `groups` groups (classes) of `depth` consecutive channels. The behaviour
// is that of the ChannelOperator in the MXNet that FCIS was published with.
#ifndef OPERATOR_CXX_CHANNEL_OPERATOR_CHANNEL_OPERATOR_H_
#define OPERATOR_CXX_CHANNEL_OPERATOR_CHANNEL_OPERATOR_H_

#include <cfloat>

#include "operator_cxx/common/backend.h"
#include "operator_cxx/common/math.h"

// out (N, groups, area): maximum over each group's channels, at least -FLT_MAX.
FULLCONV_API(fullconv_group_max_fwd, const float* data, float* out, int n, int groups, int depth, int area,
             void* stream);
// grad_in gets the head gradient at the first maximal channel of each group, zero elsewhere.
FULLCONV_API(fullconv_group_max_bwd, const float* grad_out, const float* data, float* grad_in, int n,
             int groups, int depth, int area, void* stream);
// out (N, depth, area): one group per sample. by_score 0: pick (N) is the group; outside [0, groups) or NaN
// gives zeros. by_score 1: pick (N, groups) are scores, the group is the first best of 1 .. groups-1.
FULLCONV_API(fullconv_group_pick_fwd, const float* data, const float* pick, float* out, int n, int groups,
             int depth, int area, int by_score, void* stream);
FULLCONV_API(fullconv_group_pick_bwd, const float* grad_out, const float* pick, float* grad_in, int n,
             int groups, int depth, int area, int by_score, void* stream);
// out (N, groups * depth, area): softmax over each group's channels.
FULLCONV_API(fullconv_group_softmax_fwd, const float* data, float* out, int n, int groups, int depth,
             int area, void* stream);
FULLCONV_API(fullconv_group_softmax_bwd, const float* grad_out, const float* out, float* grad_in, int n,
             int groups, int depth, int area, void* stream);

namespace fullconv {

// Rows are (sample, group) pairs, columns are positions in the map.
struct GroupMaxForward {
  const float* data;
  float* out;
  int64_t depth, area;
  FC_HD void operator()(int64_t row, int64_t at) const {
    const float* in = data + row * depth * area + at;
    float best = -FLT_MAX;
    for (int64_t d = 0; d < depth; ++d) best = in[d * area] > best ? in[d * area] : best;
    out[row * area + at] = best;
  }
};

struct GroupMaxBackward {
  const float* grad_out;
  const float* data;
  float* grad_in;
  int64_t depth, area;
  FC_HD void operator()(int64_t row, int64_t at) const {
    const int64_t base = row * depth * area + at;
    float best = -FLT_MAX;
    int64_t winner = -1;  // strict '>': the first of equals wins, as in the forward pass
    for (int64_t d = 0; d < depth; ++d) {
      const float value = data[base + d * area];
      if (value > best) {
        best = value;
        winner = d;
      }
    }
    for (int64_t d = 0; d < depth; ++d)
      grad_in[base + d * area] = d == winner ? grad_out[row * area + at] : 0.f;
  }
};

// The group that a sample's pick stands for, or -1 for none.
FC_HD int64_t picked_group(const float* pick, int64_t sample, int64_t groups, bool by_score) {
  if (!by_score) {
    const float label = pick[sample];  // truncated like int(label), but defined for NaN and huge values
    return label > -1.f && label < static_cast<float>(groups) ? static_cast<int64_t>(label) : -1;
  }
  float best = -FLT_MAX;
  int64_t winner = -1;
  for (int64_t g = 1; g < groups; ++g) {  // 0 is the background
    const float score = pick[sample * groups + g];
    if (score > best) {
      best = score;
      winner = g;
    }
  }
  return winner;
}

// Rows are samples, columns are (channel within the group, position).
struct GroupPickForward {
  const float* data;
  const float* pick;
  float* out;
  int64_t groups, block;  // block = depth * area
  bool by_score;
  FC_HD void operator()(int64_t sample, int64_t at) const {
    const int64_t group = picked_group(pick, sample, groups, by_score);
    out[sample * block + at] = group < 0 ? 0.f : data[(sample * groups + group) * block + at];
  }
};

// Rows are (sample, group) pairs.
struct GroupPickBackward {
  const float* grad_out;
  const float* pick;
  float* grad_in;
  int64_t groups, block;
  bool by_score;
  FC_HD void operator()(int64_t row, int64_t at) const {
    const int64_t sample = row / groups;
    const bool mine = picked_group(pick, sample, groups, by_score) == row % groups;
    grad_in[row * block + at] = mine ? grad_out[sample * block + at] : 0.f;
  }
};

struct GroupSoftmaxForward {
  const float* data;
  float* out;
  int64_t depth, area;
  FC_HD void operator()(int64_t row, int64_t at) const {
    const int64_t base = row * depth * area + at;
    // Less the largest, so that no exponential overflows.
    float top = data[base];
    for (int64_t d = 1; d < depth; ++d) top = data[base + d * area] > top ? data[base + d * area] : top;
    float sum = 0.f;
    for (int64_t d = 0; d < depth; ++d) {
      const float power = exp_f32(data[base + d * area] - top);
      out[base + d * area] = power;
      sum += power;
    }
    for (int64_t d = 0; d < depth; ++d) out[base + d * area] /= sum;
  }
};

struct GroupSoftmaxBackward {
  const float* grad_out;
  const float* out;
  float* grad_in;
  int64_t depth, area;
  FC_HD void operator()(int64_t row, int64_t at) const {
    const int64_t base = row * depth * area + at;
    float dot = 0.f;
    for (int64_t d = 0; d < depth; ++d) dot += grad_out[base + d * area] * out[base + d * area];
    for (int64_t d = 0; d < depth; ++d) {
      grad_in[base + d * area] = out[base + d * area] * (grad_out[base + d * area] - dot);
    }
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_CHANNEL_OPERATOR_CHANNEL_OPERATOR_H_
