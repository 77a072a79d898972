// The pixels that a roi's mask covers, as runs per image row: found once, then added up by every result.
#ifndef OPERATOR_CXX_MASK_VOTING_RUNS_H_
#define OPERATOR_CXX_MASK_VOTING_RUNS_H_

#include <vector>

#include "operator_cxx/mask_voting/frames.h"

namespace fullconv {

struct Run {
  int begin, end;  // image columns, end exclusive
};

struct MaskRuns {
  std::vector<int> row_start;  // of row y - inside.y1, with one more entry at the end
  std::vector<Run> runs;
};

// Finds the runs of one mask. Between two neighbouring mask columns a row is a straight line, so mostly the
// two ends decide for all pixels between; only where they disagree, or come close enough to the threshold
// for rounding to matter, is each pixel sampled. The result is that of sampling every pixel.
template <class Sampling>
class RunFinder {
 public:
  RunFinder(const float* mask, int size, const Frame& frame, float threshold)
      : mask_(mask), size_(size), frame_(frame), threshold_(threshold), row_(size), begin_(size + 1) {
    const Rect& in = frame.inside;
    columns_.reserve(in.width());
    for (int x = in.x1; x <= in.x2; ++x) {
      columns_.push_back(Sampling::tap(static_cast<float>(x) - frame.x1, frame.width, size));
    }
    int x = 0;
    for (int k = 0; k <= size; ++k) {
      while (x < in.width() && columns_[x].low < k) ++x;
      begin_[k] = x;
    }
  }

  MaskRuns find() {
    const Rect& in = frame_.inside;
    result_.row_start.reserve(in.height() + 1);
    for (int y = in.y1; y <= in.y2; ++y) {
      result_.row_start.push_back(static_cast<int>(result_.runs.size()));
      find_row(Sampling::tap(static_cast<float>(y) - frame_.y1, frame_.height, size_));
    }
    result_.row_start.push_back(static_cast<int>(result_.runs.size()));
    return std::move(result_);
  }

 private:
  void find_row(const Tap& y) {
    const float *top = mask_ + y.low * size_, *bottom = mask_ + y.high * size_;
    for (int k = 0; k < size_; ++k) row_[k] = lerp(top[k], bottom[k], y.frac);
    open_ = false;
    for (int k = 0; k < size_; ++k) find_between(k, y);
  }

  // Pixels between mask columns k and k + 1.
  void find_between(int k, const Tap& y) {
    const int begin = begin_[k], end = begin_[k + 1];
    if (begin == end) return;
    const float a = row_[k], b = row_[k + 1 < size_ ? k + 1 : k];
    const float low = a < b ? a : b, high = a < b ? b : a;
    const float rounding = 1e-6f * (std::fabs(a) + std::fabs(b));
    if (high + rounding < threshold_) {
      open_ = false;
    } else if (low - rounding >= threshold_) {
      cover(begin, end);
    } else {
      for (int x = begin; x < end; ++x) {
        if (Sampling::value(mask_, size_, y, columns_[x]) >= threshold_) {
          cover(x, x + 1);
        } else {
          open_ = false;
        }
      }
    }
  }

  void cover(int begin, int end) {
    const int left = frame_.inside.x1;
    if (open_) {
      result_.runs.back().end = left + end;
    } else {
      result_.runs.push_back({left + begin, left + end});
    }
    open_ = true;
  }

  const float* mask_;
  int size_;
  Frame frame_;
  float threshold_;
  std::vector<float> row_;
  std::vector<int> begin_;  // first pixel of each mask column
  std::vector<Tap> columns_;
  MaskRuns result_;
  bool open_ = false;
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_MASK_VOTING_RUNS_H_
