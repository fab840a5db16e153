#include "metrics/kernels/chrf.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "fmt/format.h"
#include "metrics/kernels/references.h"
#include "metrics/stats/serialization.h"
#include "metrics/text/normalize.h"
#include "metrics/text/python_text.h"

namespace mirage::metrics {
namespace {

constexpr uint8_t kVersion = 1;
constexpr double kEpsilon = 1e-16;

bool IsPunctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

absl::Status CheckOptions(const ChrfOptions& options) {
  if (options.char_order > kMaxChrfOrder) {
    return absl::InvalidArgumentError(
        fmt::format("char_order is {}: must be in [0, {}]", options.char_order, kMaxChrfOrder));
  }
  if (options.word_order > kMaxChrfOrder) {
    return absl::InvalidArgumentError(
        fmt::format("word_order is {}: must be in [0, {}]", options.word_order, kMaxChrfOrder));
  }
  if (options.char_order + options.word_order == 0) {
    return absl::InvalidArgumentError("char_order and word_order are 0: one must be above");
  }
  if (options.beta > kMaxChrfBeta) {
    return absl::InvalidArgumentError(
        fmt::format("beta is {}: must be in [0, {}]", options.beta, kMaxChrfBeta));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChrfStatistics> ChrfStatistics::Create(const ChrfOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  return ChrfStatistics(options);
}

void ChrfStatistics::Split(std::string_view text, ChrfScratch& scratch,
                           ChrfScratch::Units& units) const {
  std::string lower;
  if (options_.lowercase) {
    lower = LowerCase(text);
    text = lower;
  }
  units.characters.clear();
  units.words.clear();
  if (options_.whitespace) {
    SplitUnits(text, TextUnit::kCodepoints, scratch.words_, units.characters);
    if (options_.word_order == 0) return;
  }
  std::string_view word;
  for (size_t position = 0; NextPythonWord(text, position, word);) {
    size_t n_characters = 0;
    for (size_t i = 0; i < word.size(); ++n_characters) {
      const uint32_t c = NextCodepoint(word, i);
      if (!options_.whitespace) units.characters.push_back(c);
    }
    if (options_.word_order == 0) continue;
    size_t first_length = word.size();
    if (n_characters > 1) {
      if (IsPunctuation(word.back())) {
        first_length = word.size() - 1;
      } else if (IsPunctuation(word.front())) {
        first_length = 1;
      }
    }
    units.words.push_back(scratch.words_.Intern(word.substr(0, first_length)));
    if (first_length < word.size()) {
      units.words.push_back(scratch.words_.Intern(word.substr(first_length)));
    }
  }
}

ChrfStatistics::Orders ChrfStatistics::Match(ChrfScratch& scratch) const {
  Orders orders{};
  size_t next = 0;
  const auto match = [&](const std::vector<uint32_t>& hypothesis,
                         const std::vector<uint32_t>& reference, size_t max_order) {
    std::array<uint64_t, kMaxChrfOrder> matches{};
    const std::span<const uint32_t> view = reference;
    CountNgramMatches(hypothesis, {&view, 1}, scratch.ngrams_, std::span(matches).first(max_order));
    for (size_t n = 1; n <= max_order; ++n) {
      const uint64_t in_reference = NgramCount(reference.size(), n);
      orders[next++] = {in_reference > 0 ? NgramCount(hypothesis.size(), n) : 0, in_reference,
                        matches[n - 1]};
    }
  };
  match(scratch.hypothesis_.characters, scratch.reference_.characters, options_.char_order);
  match(scratch.hypothesis_.words, scratch.reference_.words, options_.word_order);
  return orders;
}

// The operations and their order are sacrebleu's.
double ChrfStatistics::FScore(const Orders& orders) const {
  const double factor = static_cast<double>(options_.beta) * options_.beta;
  const size_t n_orders = size_t{options_.char_order} + options_.word_order;
  double sum = 0;
  double precisions = 0;
  double recalls = 0;
  size_t n_effective = 0;
  for (size_t i = 0; i < n_orders; ++i) {
    const double hypothesis = static_cast<double>(orders[i].hypothesis);
    const double reference = static_cast<double>(orders[i].reference);
    const double matches = static_cast<double>(orders[i].matches);
    const double precision = hypothesis > 0 ? matches / hypothesis : kEpsilon;
    const double recall = reference > 0 ? matches / reference : kEpsilon;
    const double denominator = factor * precision + recall;
    sum += denominator > 0 ? (1 + factor) * precision * recall / denominator : kEpsilon;
    if (hypothesis > 0 && reference > 0) {
      precisions += precision;
      recalls += recall;
      ++n_effective;
    }
  }
  if (options_.eps_smoothing) return 100 * sum / static_cast<double>(n_orders);
  if (n_effective == 0) return 0;
  const double precision = precisions / static_cast<double>(n_effective);
  const double recall = recalls / static_cast<double>(n_effective);
  if (precision + recall == 0) return 0;
  return 100 * ((1 + factor) * precision * recall / (factor * precision + recall));
}

absl::Status ChrfStatistics::Add(std::string_view hypothesis,
                                 std::span<const std::string_view> references,
                                 ChrfScratch& scratch) {
  if (references.empty()) {
    return absl::InvalidArgumentError("references is empty: a sample needs one at least");
  }
  scratch.words_.Clear();
  Split(hypothesis, scratch, scratch.hypothesis_);
  double best_score = -1;
  Orders best{};
  for (const std::string_view reference : references) {
    Split(reference, scratch, scratch.reference_);
    const Orders orders = Match(scratch);
    const double score = FScore(orders);
    if (score > best_score) {
      best_score = score;
      best = orders;
    }
  }
  for (size_t i = 0; i < best.size(); ++i) {
    orders_[i].hypothesis += best[i].hypothesis;
    orders_[i].reference += best[i].reference;
    orders_[i].matches += best[i].matches;
  }
  min_references_ =
      n_samples_ == 0 ? references.size() : std::min<uint64_t>(min_references_, references.size());
  max_references_ = std::max<uint64_t>(max_references_, references.size());
  ++n_samples_;
  return absl::OkStatus();
}

absl::Status ChrfStatistics::AddAll(std::span<const std::string_view> hypotheses,
                                    std::span<const std::vector<std::string_view>> references,
                                    ChrfScratch& scratch) {
  if (absl::Status status = CheckReferences(hypotheses, references); !status.ok()) return status;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    if (absl::Status status = Add(hypotheses[i], references[i], scratch); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status ChrfStatistics::Merge(const ChrfStatistics& other) {
  const auto differs = [](std::string_view name, const auto& mine, const auto& theirs) {
    return absl::InvalidArgumentError(fmt::format(
        "{} is {} here and {} in the other statistics: only equal options can be merged", name,
        mine, theirs));
  };
  const ChrfOptions& theirs = other.options_;
  if (options_.char_order != theirs.char_order) {
    return differs("char_order", options_.char_order, theirs.char_order);
  }
  if (options_.word_order != theirs.word_order) {
    return differs("word_order", options_.word_order, theirs.word_order);
  }
  if (options_.beta != theirs.beta) return differs("beta", options_.beta, theirs.beta);
  if (options_.lowercase != theirs.lowercase) {
    return differs("lowercase", options_.lowercase, theirs.lowercase);
  }
  if (options_.whitespace != theirs.whitespace) {
    return differs("whitespace", options_.whitespace, theirs.whitespace);
  }
  if (options_.eps_smoothing != theirs.eps_smoothing) {
    return differs("eps_smoothing", options_.eps_smoothing, theirs.eps_smoothing);
  }
  if (other.n_samples_ == 0) return absl::OkStatus();
  min_references_ =
      n_samples_ == 0 ? other.min_references_ : std::min(min_references_, other.min_references_);
  max_references_ = std::max(max_references_, other.max_references_);
  n_samples_ += other.n_samples_;
  for (size_t i = 0; i < orders_.size(); ++i) {
    orders_[i].hypothesis += other.orders_[i].hypothesis;
    orders_[i].reference += other.orders_[i].reference;
    orders_[i].matches += other.orders_[i].matches;
  }
  return absl::OkStatus();
}

double ChrfStatistics::Score() const {
  if (n_samples_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return FScore(orders_);
}

std::string ChrfStatistics::Signature() const {
  std::string signature =
      fmt::format("nrefs:{}|case:{}|eff:{}|nc:{}|nw:{}|space:{}",
                  min_references_ == max_references_ ? fmt::to_string(min_references_) : "var",
                  options_.lowercase ? "lc" : "mixed", options_.eps_smoothing ? "no" : "yes",
                  options_.char_order, options_.word_order, options_.whitespace ? "yes" : "no");
  if (options_.beta != ChrfOptions{}.beta) signature += fmt::format("|beta:{}", options_.beta);
  return signature;
}

std::string ChrfStatistics::Serialize() const {
  ByteWriter out(kVersion);
  out.Uint8(static_cast<uint8_t>(options_.char_order));
  out.Uint8(static_cast<uint8_t>(options_.word_order));
  out.Uint8(static_cast<uint8_t>(options_.beta));
  out.Flag(options_.lowercase);
  out.Flag(options_.whitespace);
  out.Flag(options_.eps_smoothing);
  out.Uint64(n_samples_);
  out.Uint64(min_references_);
  out.Uint64(max_references_);
  for (const Order& order : orders()) {
    out.Uint64(order.hypothesis);
    out.Uint64(order.reference);
    out.Uint64(order.matches);
  }
  return std::move(out).Take();
}

absl::StatusOr<ChrfStatistics> ChrfStatistics::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "chrF statistics", kVersion);
  ChrfOptions options;
  options.char_order = in.Uint8("char_order");
  options.word_order = in.Uint8("word_order");
  options.beta = in.Uint8("beta");
  options.lowercase = in.Flag("lowercase");
  options.whitespace = in.Flag("whitespace");
  options.eps_smoothing = in.Flag("eps_smoothing");
  if (absl::Status status = CheckOptions(options); !status.ok()) in.Fail("options", status);
  if (!in.ok()) return in.Finish();
  ChrfStatistics read(options);
  read.n_samples_ = in.Count("n_samples");
  read.min_references_ = in.Count("min_references");
  read.max_references_ = in.Count("max_references");
  const size_t n_orders = read.orders().size();
  for (size_t i = 0; i < n_orders; ++i) {
    read.orders_[i].hypothesis = in.Count("n-grams of the hypotheses");
    read.orders_[i].reference = in.Count("n-grams of the references");
    read.orders_[i].matches = in.Count("matches");
  }
  bool consistent = read.min_references_ <= read.max_references_ &&
                    (read.n_samples_ == 0) == (read.min_references_ == 0) &&
                    (read.n_samples_ > 1 || read.min_references_ == read.max_references_);
  for (const Order& order : read.orders()) {
    consistent = consistent && order.matches <= std::min(order.hypothesis, order.reference) &&
                 (read.n_samples_ > 0 || order.hypothesis + order.reference == 0);
  }
  if (!consistent) in.Fail("counts contradict each other");
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return read;
}

}  // namespace mirage::metrics
