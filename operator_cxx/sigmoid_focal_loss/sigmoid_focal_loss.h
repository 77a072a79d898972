// Focal loss on sigmoids (Lin et al., ICCV 2017, equation 5), one binary problem per class.
//
// With z = x where the class is the label's and z = -x elsewhere, q = sigmoid(-z) is how wrong the score is
// and l = log(1 + exp(-z)) its cross entropy: the loss is weight * q^gamma * l. Both follow from exp(-|z|),
// which cannot overflow, and q^gamma is exp(-gamma * log(1 + exp(z))), so nothing is lost at large scores.
#ifndef OPERATOR_CXX_SIGMOID_FOCAL_LOSS_SIGMOID_FOCAL_LOSS_H_
#define OPERATOR_CXX_SIGMOID_FOCAL_LOSS_SIGMOID_FOCAL_LOSS_H_

#include "operator_cxx/common/math.h"
#include "operator_cxx/common/rows.h"

// logits and loss (N, classes, area), labels (N, area): 0 the background, 1 .. classes, below 0 (or NaN)
// ignored.
FULLCONV_API(fullconv_sigmoid_focal_loss_fwd, const float* logits, const float* labels, float* loss, int n,
             int classes, int area, double alpha, double gamma, void* stream);
FULLCONV_API(fullconv_sigmoid_focal_loss_bwd, const float* grad_loss, const float* logits,
             const float* labels, float* grad_logits, int n, int classes, int area, double alpha,
             double gamma, void* stream);

namespace fullconv {

// What loss and gradient are made of, for one class at one place.
struct FocalTerm {
  float sign, weight, focus, wrong, entropy;
};

// One class of one image: `label` is the class's number among labels.
struct FocalRow {
  const float *logits, *labels;
  float label, alpha, gamma;

  FC_HD FocalTerm operator()(int64_t at) const {
    const bool positive = labels[at] == label;
    const float sign = positive ? 1.f : -1.f, z = sign * logits[at];
    const float small = exp_f32(-fabsf(z)), log_term = log1p_unit(small);
    const float wrong = (z > 0.f ? small : 1.f) / (1.f + small);
    const float entropy = log_term + (z > 0.f ? 0.f : -z);
    // The original takes the logarithm of a positive's probability no lower than at FLT_MIN.
    const float most = positive ? 87.33654475f : INFINITY;
    const float weight = positive ? alpha : 1.f - alpha;
    const float focus = exp_f32(-gamma * (log_term + (z > 0.f ? z : 0.f)));
    return {sign, weight, focus, wrong, entropy > most ? most : entropy};
  }

  // `value` unless the place is ignored.
  FC_HD float unless_ignored(int64_t at, float value) const { return labels[at] >= 0.f ? value : 0.f; }
};

struct FocalInputs {
  const float *logits, *labels;
  int64_t classes, area;
  float alpha, gamma;
  FC_HD FocalRow row(int64_t r) const {
    const float label = static_cast<float>(r % classes + 1);
    return {logits + r * area, labels + r / classes * area, label, alpha, gamma};
  }
};

struct FocalLoss {
  FocalInputs inputs;
  float* loss;
  struct Row {
    FocalRow terms;
    float* loss;
    FC_HD void operator()(int64_t at) const {
      const FocalTerm t = terms(at);
      loss[at] = terms.unless_ignored(at, t.weight * t.focus * t.entropy);
    }
  };
  FC_HD Row row(int64_t r) const { return {inputs.row(r), loss + r * inputs.area}; }
};

// d loss / d z = -weight * q^gamma * (q + gamma * (1 - q) * l).
struct FocalGradient {
  FocalInputs inputs;
  const float* grad_loss;
  float* grad_logits;
  struct Row {
    FocalRow terms;
    const float* grad_loss;
    float* grad_logits;
    FC_HD void operator()(int64_t at) const {
      const FocalTerm t = terms(at);
      const float slope = t.weight * t.focus * (t.wrong + terms.gamma * (1.f - t.wrong) * t.entropy);
      grad_logits[at] = terms.unless_ignored(at, -t.sign * slope * grad_loss[at]);
    }
  };
  FC_HD Row row(int64_t r) const {
    return {inputs.row(r), grad_loss + r * inputs.area, grad_logits + r * inputs.area};
  }
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_SIGMOID_FOCAL_LOSS_SIGMOID_FOCAL_LOSS_H_
