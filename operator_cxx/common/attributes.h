// Reading an operator's attributes, which MXNet hands over as strings.
//
// Every reader throws Error with the attribute's name and the offending text; the registration in
// mxnet_glue.h puts the operator's name in front and turns it into an MXNetError.
#ifndef OPERATOR_CXX_COMMON_ATTRIBUTES_H_
#define OPERATOR_CXX_COMMON_ATTRIBUTES_H_

#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace fullconv {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws Error with the pieces streamed together.
template <typename... Pieces>
[[noreturn]] inline void fail(const Pieces&... pieces) {
  std::ostringstream text;
  (text << ... << pieces);
  throw Error(text.str());
}

class Attributes {
 public:
  using Map = std::unordered_map<std::string, std::string>;
  explicit Attributes(const Map& values) : values_(values) {}

  bool has(const std::string& key) const { return values_.count(key) != 0; }

  // Refuses keys that the operator does not have, so that a misspelt attribute is not ignored.
  void allow(std::initializer_list<const char*> keys) const {
    for (const auto& entry : values_) {
      // MXNet adds attributes of its own: __lr_mult__ and the like, and the number of inputs.
      if (entry.first.rfind("__", 0) == 0 || entry.first == "num_args") continue;
      bool known = false;
      std::string names;
      for (const char* key : keys) {
        known = known || entry.first == key;
        names += (names.empty() ? "" : ", ") + std::string(key);
      }
      if (!known) fail("unknown attribute ", entry.first, "='", entry.second, "'; it has: ", names);
    }
  }

  std::string text(const char* key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) fail("attribute ", key, " is required");
    return found->second;
  }
  std::string text(const char* key, const char* otherwise) const { return has(key) ? text(key) : otherwise; }

  // One of the given words.
  std::string choice(const char* key, std::initializer_list<const char*> words, const char* otherwise) const {
    const std::string value = text(key, otherwise);
    std::string names;
    for (const char* word : words) {
      if (value == word) return value;
      names += (names.empty() ? "" : ", ") + std::string(word);
    }
    fail("attribute ", key, "='", value, "' is none of ", names);
  }

  double real(const char* key) const {
    const std::string value = text(key);
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !std::isfinite(number)) {
      fail("attribute ", key, "='", value, "' is not a finite number");
    }
    return number;
  }
  double real(const char* key, double otherwise) const { return has(key) ? real(key) : otherwise; }

  // A number that must be above zero.
  double positive(const char* key) const {
    const double number = real(key);
    if (!(number > 0)) fail("attribute ", key, "='", text(key), "' must be above 0");
    return number;
  }

  // "16" and "16.0" are integers, "16.5" and "abc" are not.
  int integer(const char* key) const {
    const std::string value = text(key);
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !(std::fabs(number) <= 2147483647.0) ||
        number != std::floor(number)) {
      fail("attribute ", key, "='", value, "' is not an integer");
    }
    return static_cast<int>(number);
  }
  int integer(const char* key, int otherwise) const { return has(key) ? integer(key) : otherwise; }

  // An integer that must be at least `low`.
  int at_least(const char* key, int low) const { return not_below(key, integer(key), low); }
  int at_least(const char* key, int low, int otherwise) const {
    return not_below(key, integer(key, otherwise), low);
  }

  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    const std::string value = text(key);
    // Python writes True, symbol files and people what they like.
    if (value == "True" || value == "true" || value == "1") return true;
    if (value == "False" || value == "false" || value == "0") return false;
    fail("attribute ", key, "='", value, "' is not True or False");
  }

  // "(8,16,32)", "[8, 16, 32]", "8,16,32" or "8"; at least one number.
  std::vector<float> list(const char* key) const {
    const std::string value = text(key);
    std::string inner = value;
    if (!inner.empty() && (inner.front() == '(' || inner.front() == '[')) inner = inner.substr(1);
    if (!inner.empty() && (inner.back() == ')' || inner.back() == ']')) inner.pop_back();
    std::vector<float> numbers;
    const char* at = inner.c_str();
    for (;;) {
      char* end = nullptr;
      const double number = std::strtod(at, &end);
      if (end == at || !std::isfinite(number))
        fail("attribute ", key, "='", value, "' is not a list of numbers");
      numbers.push_back(static_cast<float>(number));
      while (*end == ' ') ++end;
      if (*end == ',') ++end;
      while (*end == ' ') ++end;
      if (*end == '\0') return numbers;
      at = end;
    }
  }
  std::vector<float> list(const char* key, std::vector<float> otherwise) const {
    return has(key) ? list(key) : otherwise;
  }

 private:
  int not_below(const char* key, int number, int low) const {
    if (number < low) fail("attribute ", key, "='", number, "' must be at least ", low);
    return number;
  }

  const Map& values_;
};

}  // namespace fullconv

#endif  // OPERATOR_CXX_COMMON_ATTRIBUTES_H_
