#include "metrics/kernels/bleu.h"

#include <algorithm>
#include <cmath>
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

// What sacrebleu takes for the logarithm of 0.
constexpr double kLogOfZero = -9999999999.0;

void Tokenize(std::string_view text, const BleuOptions& options, WordInterner& words,
              std::vector<uint32_t>& ids) {
  std::string lower;
  if (options.lowercase) {
    lower = LowerCase(text);
    text = lower;
  }
  const std::string tokens = TokenizeForBleu(StripRight(text), options.tokenizer);
  ids.clear();
  std::string_view word;
  for (size_t position = 0; NextPythonWord(tokens, position, word);) {
    ids.push_back(words.Intern(word));
  }
}

// The length of the references that is nearest to `length`, the shorter of two that tie.
uint64_t ClosestLength(uint64_t length, std::span<const std::span<const uint32_t>> references) {
  const auto distance = [&](uint64_t other) {
    return other > length ? other - length : length - other;
  };
  uint64_t closest = references.front().size();
  for (const std::span<const uint32_t> reference : references) {
    const uint64_t size = reference.size();
    if (distance(size) < distance(closest) ||
        (distance(size) == distance(closest) && size < closest)) {
      closest = size;
    }
  }
  return closest;
}

absl::Status CheckOptions(const BleuOptions& options) {
  if (options.max_order < 1 || options.max_order > kMaxBleuOrder) {
    return absl::InvalidArgumentError(
        fmt::format("max_order is {}: must be in [1, {}]", options.max_order, kMaxBleuOrder));
  }
  return absl::OkStatus();
}

double SmoothValue(const BleuScoreOptions& options) {
  return options.smooth_value.value_or(options.smoothing == BleuSmoothing::kFloor ? 0.1 : 1.0);
}

bool TakesValue(BleuSmoothing smoothing) {
  return smoothing == BleuSmoothing::kFloor || smoothing == BleuSmoothing::kAddK;
}

}  // namespace

absl::StatusOr<BleuSmoothing> ParseBleuSmoothing(std::string_view name) {
  for (const BleuSmoothing smoothing :
       {BleuSmoothing::kNone, BleuSmoothing::kFloor, BleuSmoothing::kAddK, BleuSmoothing::kExp}) {
    if (name == BleuSmoothingName(smoothing)) return smoothing;
  }
  return absl::InvalidArgumentError(
      fmt::format("BLEU smoothing '{}' is not known: use none, floor, add-k or exp", name));
}

std::string_view BleuSmoothingName(BleuSmoothing smoothing) {
  switch (smoothing) {
    case BleuSmoothing::kNone:
      return "none";
    case BleuSmoothing::kFloor:
      return "floor";
    case BleuSmoothing::kAddK:
      return "add-k";
    case BleuSmoothing::kExp:
      return "exp";
  }
  return "unknown";
}

absl::StatusOr<BleuStatistics> BleuStatistics::Create(const BleuOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  return BleuStatistics(options);
}

absl::Status BleuStatistics::Add(std::string_view hypothesis,
                                 std::span<const std::string_view> references,
                                 BleuScratch& scratch) {
  if (references.empty()) {
    return absl::InvalidArgumentError("references is empty: a sample needs one at least");
  }
  scratch.words_.Clear();
  Tokenize(hypothesis, options_, scratch.words_, scratch.hypothesis_);
  if (scratch.references_.size() < references.size()) {
    scratch.references_.resize(references.size());
  }
  scratch.reference_views_.clear();
  for (size_t r = 0; r < references.size(); ++r) {
    Tokenize(references[r], options_, scratch.words_, scratch.references_[r]);
    scratch.reference_views_.emplace_back(scratch.references_[r]);
  }
  std::array<uint64_t, kMaxBleuOrder> matches{};
  CountNgramMatches(scratch.hypothesis_, scratch.reference_views_, scratch.ngrams_,
                    std::span(matches).first(options_.max_order));

  const uint64_t length = scratch.hypothesis_.size();
  for (size_t i = 0; i < options_.max_order; ++i) {
    matches_[i] += matches[i];
    totals_[i] += NgramCount(length, i + 1);
  }
  hypothesis_length_ += length;
  reference_length_ += ClosestLength(length, scratch.reference_views_);
  min_references_ =
      n_samples_ == 0 ? references.size() : std::min<uint64_t>(min_references_, references.size());
  max_references_ = std::max<uint64_t>(max_references_, references.size());
  ++n_samples_;
  return absl::OkStatus();
}

absl::Status BleuStatistics::AddAll(std::span<const std::string_view> hypotheses,
                                    std::span<const std::vector<std::string_view>> references,
                                    BleuScratch& scratch) {
  if (absl::Status status = CheckReferences(hypotheses, references); !status.ok()) return status;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    if (absl::Status status = Add(hypotheses[i], references[i], scratch); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status BleuStatistics::Merge(const BleuStatistics& other) {
  const auto differs = [](std::string_view name, const auto& mine, const auto& theirs) {
    return absl::InvalidArgumentError(fmt::format(
        "{} is {} here and {} in the other statistics: only equal options can be merged", name,
        mine, theirs));
  };
  if (options_.tokenizer != other.options_.tokenizer) {
    return differs("tokenizer", BleuTokenizerName(options_.tokenizer),
                   BleuTokenizerName(other.options_.tokenizer));
  }
  if (options_.lowercase != other.options_.lowercase) {
    return differs("lowercase", options_.lowercase, other.options_.lowercase);
  }
  if (options_.max_order != other.options_.max_order) {
    return differs("max_order", options_.max_order, other.options_.max_order);
  }
  if (other.n_samples_ == 0) return absl::OkStatus();
  min_references_ =
      n_samples_ == 0 ? other.min_references_ : std::min(min_references_, other.min_references_);
  max_references_ = std::max(max_references_, other.max_references_);
  n_samples_ += other.n_samples_;
  hypothesis_length_ += other.hypothesis_length_;
  reference_length_ += other.reference_length_;
  for (size_t i = 0; i < kMaxBleuOrder; ++i) {
    matches_[i] += other.matches_[i];
    totals_[i] += other.totals_[i];
  }
  return absl::OkStatus();
}

absl::StatusOr<BleuScore> BleuStatistics::Score(const BleuScoreOptions& options) const {
  const double smooth_value = SmoothValue(options);
  if (TakesValue(options.smoothing) && !(std::isfinite(smooth_value) && smooth_value >= 0)) {
    return absl::InvalidArgumentError(
        fmt::format("smooth_value is {}: must be finite and >= 0", smooth_value));
  }
  const size_t max_order = options_.max_order;
  if (n_samples_ == 0) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    return BleuScore{kNan, std::vector<double>(max_order, kNan), kNan, kNan};
  }

  const double h = static_cast<double>(hypothesis_length_);
  const double r = static_cast<double>(reference_length_);
  BleuScore result{0, std::vector<double>(max_order, 0.0), 1, r > 0 ? h / r : 0};
  if (h < r) result.brevity_penalty = h > 0 ? std::exp(1 - r / h) : 0;
  if (std::all_of(matches_.begin(), matches_.end(), [](uint64_t c) { return c == 0; })) {
    return result;
  }

  double power = 1;
  size_t orders = max_order;
  for (size_t i = 0; i < max_order; ++i) {
    double matches = static_cast<double>(matches_[i]);
    double total = static_cast<double>(totals_[i]);
    if (options.smoothing == BleuSmoothing::kAddK && i > 0) {
      matches += smooth_value;
      total += smooth_value;
    }
    if (total == 0) break;
    if (options.effective_order) orders = i + 1;
    if (matches != 0) {
      result.precisions[i] = 100 * matches / total;
    } else if (options.smoothing == BleuSmoothing::kExp) {
      power *= 2;
      result.precisions[i] = 100 / (power * total);
    } else if (options.smoothing == BleuSmoothing::kFloor) {
      result.precisions[i] = 100 * smooth_value / total;
    }
  }
  double sum = 0;
  for (size_t i = 0; i < orders; ++i) {
    const double precision = result.precisions[i];
    sum += precision == 0 ? kLogOfZero : std::log(precision);
  }
  result.score = result.brevity_penalty * std::exp(sum / static_cast<double>(orders));
  return result;
}

std::string BleuStatistics::Signature(const BleuScoreOptions& options) const {
  std::string smoothing(BleuSmoothingName(options.smoothing));
  if (TakesValue(options.smoothing)) smoothing += fmt::format("[{:.2f}]", SmoothValue(options));
  std::string signature =
      fmt::format("nrefs:{}|case:{}|eff:{}|tok:{}|smooth:{}",
                  min_references_ == max_references_ ? fmt::to_string(min_references_) : "var",
                  options_.lowercase ? "lc" : "mixed", options.effective_order ? "yes" : "no",
                  BleuTokenizerName(options_.tokenizer), smoothing);
  if (options_.max_order != BleuOptions{}.max_order) {
    signature += fmt::format("|order:{}", options_.max_order);
  }
  return signature;
}

std::string BleuStatistics::Serialize() const {
  ByteWriter out(kVersion);
  out.Uint8(static_cast<uint8_t>(options_.tokenizer));
  out.Flag(options_.lowercase);
  out.Uint8(static_cast<uint8_t>(options_.max_order));
  for (const uint64_t count :
       {n_samples_, min_references_, max_references_, hypothesis_length_, reference_length_}) {
    out.Uint64(count);
  }
  for (const uint64_t count : matches()) out.Uint64(count);
  for (const uint64_t count : totals()) out.Uint64(count);
  return std::move(out).Take();
}

absl::StatusOr<BleuStatistics> BleuStatistics::Deserialize(std::string_view bytes) {
  ByteReader in(bytes, "BLEU statistics", kVersion);
  const uint8_t tokenizer = in.Uint8("tokenizer");
  if (tokenizer > static_cast<uint8_t>(BleuTokenizer::kIntl)) {
    in.Fail(fmt::format("tokenizer is {}: not known", tokenizer));
  }
  BleuOptions options = {.tokenizer = static_cast<BleuTokenizer>(tokenizer)};
  options.lowercase = in.Flag("lowercase");
  options.max_order = in.Uint8("max_order");
  if (absl::Status status = CheckOptions(options); !status.ok()) in.Fail("options", status);
  if (!in.ok()) return in.Finish();
  BleuStatistics read(options);
  read.n_samples_ = in.Count("n_samples");
  read.min_references_ = in.Count("min_references");
  read.max_references_ = in.Count("max_references");
  read.hypothesis_length_ = in.Count("hypothesis_length");
  read.reference_length_ = in.Count("reference_length");
  for (size_t i = 0; i < options.max_order; ++i) read.matches_[i] = in.Count("matches");
  for (size_t i = 0; i < options.max_order; ++i) read.totals_[i] = in.Count("totals");
  bool consistent = read.totals_[0] == read.hypothesis_length_ &&
                    read.min_references_ <= read.max_references_ &&
                    (read.n_samples_ == 0) == (read.min_references_ == 0) &&
                    (read.n_samples_ > 1 || read.min_references_ == read.max_references_) &&
                    (read.n_samples_ > 0 || read.hypothesis_length_ + read.reference_length_ == 0);
  for (size_t i = 0; i < options.max_order && consistent; ++i) {
    // Each sample has one n-gram less of the next order, as long as it has any.
    consistent = read.matches_[i] <= read.totals_[i] &&
                 (i == 0 || (read.totals_[i] <= read.totals_[i - 1] &&
                             read.totals_[i - 1] - read.totals_[i] <= read.n_samples_));
  }
  if (!consistent) in.Fail("counts contradict each other");
  if (absl::Status status = in.Finish(); !status.ok()) return status;
  return read;
}

}  // namespace mirage::metrics
