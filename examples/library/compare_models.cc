// The metric library on its own: two models' answers to the same multiple-choice questions.
//
//   bazel run //examples/library:compare_models
//
// Scores each question by the accuracy and by its continuous counterpart, gives both an interval,
// and asks whether the models differ: first from the accuracies, then from the log-likelihoods of
// the gold.

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "metrics/kernels/choices.h"
#include "metrics/stats/bootstrap_of_mean.h"
#include "metrics/stats/hypothesis.h"
#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"
#include "metrics/stats/moments.h"
#include "metrics/stats/paired.h"
#include "metrics/stats/permutation.h"
#include "metrics/stats/random.h"

namespace {

using namespace mirage::metrics;  // NOLINT: an example reads better without

constexpr size_t kQuestions = 400;
constexpr size_t kChoices = 4;

// What a harness would have recorded: a log-likelihood for every choice, of which the first is
// right. `skill` is how many nats the right one leads by, on average.
std::vector<std::array<double, kChoices>> Answers(double skill, uint64_t model) {
  std::vector<std::array<double, kChoices>> answers(kQuestions);
  CounterRng questions(1, 0);
  CounterRng noise(2, model);
  for (auto& answer : answers) {
    // Questions are hard or easy for both models.
    const double difficulty = 3 * questions.Uniform();
    for (double& log_likelihood : answer) log_likelihood = -8 - 2 * noise.Uniform();
    answer[0] += skill - difficulty;
  }
  return answers;
}

std::vector<ChoiceScores> Score(const std::vector<std::array<double, kChoices>>& answers) {
  const uint32_t gold = 0;
  std::vector<ChoiceScores> scores;
  scores.reserve(answers.size());
  for (const auto& answer : answers) {
    scores.push_back(ScoreChoices({.log_likelihoods = answer, .golds = std::span(&gold, 1)}));
  }
  return scores;
}

std::string Show(const absl::StatusOr<ConfidenceInterval>& interval) {
  if (!interval.ok()) return std::string(interval.status().message());
  return fmt::format("[{:.3f}, {:.3f}] {}", interval->lower, interval->upper, interval->method);
}

// One metric of both models, and their difference.
void Compare(const char* name, double ChoiceScores::*metric, const std::vector<ChoiceScores>& a,
             const std::vector<ChoiceScores>& b) {
  Moments of_a;
  Moments of_b;
  PairedMoments pairs;
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) {
    of_a.Add(a[i].*metric);
    of_b.Add(b[i].*metric);
    pairs.Add(a[i].*metric, b[i].*metric);
    differences.push_back(a[i].*metric - b[i].*metric);
  }
  fmt::print("{}\n", name);
  fmt::print("  A           {:7.3f} {}\n", *of_a.mean(), Show(MeanInterval(of_a, 0.95)));
  fmt::print("  B           {:7.3f} {}\n", *of_b.mean(), Show(MeanInterval(of_b, 0.95)));
  fmt::print("  A - B       {:7.3f} {}\n", *pairs.mean_difference(),
             Show(PairedInterval(pairs, 0.95)));
  const auto bootstrap = BootstrapOfMean(
      differences, {.replicates = 10000, .level = 0.95, .interval = BootstrapInterval::kBca});
  if (bootstrap.ok()) fmt::print("              {:7} {}\n", "", Show(bootstrap->interval));
  const auto permutation = PairedPermutation(differences, Alternative::kTwoSided, {});
  if (permutation.ok()) {
    fmt::print("  p           {:7.4f} {}\n", permutation->p_value, permutation->method);
  }
}

}  // namespace

int main() {
  const std::vector<ChoiceScores> a = Score(Answers(1.3, 0));
  const std::vector<ChoiceScores> b = Score(Answers(1.2, 1));
  Compare("acc", &ChoiceScores::acc, a, b);
  Compare("log_p_gold", &ChoiceScores::log_p_gold, a, b);
}
