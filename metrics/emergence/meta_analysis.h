// Many tasks, metrics and families at once: how often curves look emergent, and under which
// metrics.
//
// A triplet is one metric of one task over the models of one family. It counts as emergent if both
// hold: its shape is emergent (curve_shape.h: late, large, above its errors), and its emergence
// score is more than a straight line at the same scales with the same errors reaches, at a false
// discovery rate over all triplets that were evaluated ("look elsewhere": whoever looks at 88 000
// curves finds some by chance). Neither half is enough: any bend is significant where errors are
// small, and any curve of few noisy points may look late.
//
// Source: the question is that of Schaeffer et al. 2023 (arXiv 2304.15004), section 4, who state no
// threshold; the criterion is Mirage's own.
//
// What is assumed. Triplets of one family share its models, and metrics of one task share its
// items: a model that is unusual shows in all of them. So triplets are not independent. Benjamini
// and Hochberg's correction allows positive dependence; `any_dependence` takes Benjamini and
// Yekutieli's, which allows all. Intervals of shares and of the odds ratio count triplets as
// independent and are too narrow where few families make all of them: read them as a description
// of these triplets, not as a statement on other families.
#ifndef MIRAGE_METRICS_EMERGENCE_META_ANALYSIS_H_
#define MIRAGE_METRICS_EMERGENCE_META_ANALYSIS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/emergence/curve.h"
#include "metrics/emergence/law_quantity.h"
#include "metrics/stats/intervals.h"

namespace mirage::metrics {

// Fewest scales of a triplet that is evaluated. With three no score is above a straight line's:
// |a + b| <= 2 sqrt((a^2 + b^2) / 2). A verdict needs five (verdict.h), to tell a break; the
// paper's own GPT-3 curves have four.
inline constexpr size_t kMetaMinScales = 4;
// Scatter between models, as the standard deviation of a factor on the NLL: what a verdict assumes
// where it has no law to estimate it from.
inline constexpr double kMetaScatter = 0.05;
// A p-value is not refined once so many simulated curves reached the score.
inline constexpr int kMetaEnough = 20;
// Simulated curves for a triplet whose shape is not emergent: it cannot count, and a p-value that
// is known to 1/200 only makes the correction of the others stricter.
inline constexpr int kMetaFewReplicates = 199;
// Simulated curves for all triplets of emergent shape together, about: decides how far small
// p-values of large tables are resolved.
inline constexpr double kMetaBudget = 5e7;

// One metric of one task over one family.
struct MetaSeries {
  std::string family;
  std::string task;
  std::string filter;
  std::string metric;
  // Direction, bounds, sharp or continuous.
  CurveMetric properties;
  // In any order. Points of one scale are replicates and are averaged; their errors, too, as
  // independent ones.
  std::vector<CurvePoint> points;
};

// How to do it.
struct MetaOptions {
  // False discovery rate, in (0, 1).
  double fdr = 0.05;
  // Nominal coverage of intervals, in (0, 1).
  double level = 0.95;
  // Benjamini and Yekutieli's correction.
  bool any_dependence = false;
  // Same seed, same series in the same order: same bits for any number of threads.
  uint64_t seed = 0;
  // Simulated curves for a triplet of emergent shape, 100 to 1 000 000: at least. Where the table
  // is large, more are drawn, up to 1 / p of what the correction asks of a single discovery, as
  // long as kMetaBudget lasts.
  int replicates = 9'999;
  // Standard deviation of the scatter between models, >= 0. Additive metrics without a bound have
  // none.
  double scatter = kMetaScatter;
  int threads = 1;
};

// What is said of one series, in the order of the input.
struct MetaTripletResult {
  // Scales after averaging, M.
  size_t n_scales = 0;
  // Better being up. Absent below two scales and without any change.
  std::optional<double> score;
  std::optional<double> score_per_step;
  bool zero_median = false;
  // Whether the shape is emergent; false where not evaluated.
  bool is_emergent_shape = false;
  // Absent where not evaluated. A curve without any change is evaluated: p is 1.
  std::optional<double> null_p;
  std::optional<double> q_value;
  // Whether an error was unknown and the residuals stood for it.
  bool errors_from_residuals = false;
  bool is_emergent = false;
  // For people; empty where it was evaluated.
  std::string not_evaluated;
};

// One metric over its triplets.
struct MetaMetricShare {
  std::string metric;
  bool sharp = false;
  bool continuous = false;
  uint64_t n_evaluated = 0;
  uint64_t n_emergent = 0;
  // Absent where nothing was evaluated; so is the interval (Clopper, Pearson).
  std::optional<double> share;
  std::optional<ConfidenceInterval> interval;
  // Largest finite score of the triplets that were evaluated.
  std::optional<double> max_score;
  uint64_t n_infinite = 0;
};

// A table of two groups within one stratum.
struct TwoByTwo {
  uint64_t first_yes = 0;
  uint64_t first_no = 0;
  uint64_t second_yes = 0;
  uint64_t second_no = 0;
};

struct MantelHaenszelResult {
  // Odds of the first group over those of the second. Infinite where the denominator is 0 and the
  // numerator is not; absent where both are.
  std::optional<double> odds_ratio;
  // exp(ln OR +- z sqrt(V)); absent where the ratio is absent, 0 or infinite.
  std::optional<ConfidenceInterval> interval;
  // Of no difference, two-sided; absent where no stratum has both outcomes and both groups.
  std::optional<double> p_value;
  // Strata with both groups; the others say nothing.
  uint64_t n_strata = 0;
};

// Method of its interval.
inline constexpr std::string_view kMethodRobinsBreslowGreenland = "robins_breslow_greenland";

// The odds ratio common to all strata: sum a d / n over sum b c / n. The variance of its logarithm
// is that of Robins, Breslow, Greenland (1986), Biometrics 42; the test is that of Cochran, Mantel
// and Haenszel (Mantel, Haenszel 1959, JNCI 22) without continuity correction: with a small table
// the p-value is optimistic. INVALID_ARGUMENT for a level outside (0, 1). O(strata).
absl::StatusOr<MantelHaenszelResult> MantelHaenszel(std::span<const TwoByTwo> strata, double level);

struct MetaResult {
  // What counts as emergent, in words.
  std::string criterion;
  std::vector<MetaTripletResult> triplets;
  // By falling share, then largest score, then name; metrics without a share last.
  std::vector<MetaMetricShare> metrics;
  uint64_t n_metrics = 0;
  uint64_t n_metrics_emergent = 0;
  uint64_t n_evaluated = 0;
  uint64_t n_emergent = 0;
  // Sharp (first) against continuous metrics (second), a stratum a task and filter; over all.
  TwoByTwo groups;
  MantelHaenszelResult odds_ratio;
};

// A meta-analysis in steps, so that a caller can show how far it is.
//
//   auto analysis = MetaAnalyzer::Create(series, options);
//   while (analysis->n_done() < analysis->n_series()) analysis->Step(256);
//   MetaResult result = *analysis->Finish();
//
// 88 000 series (220 tasks, 40 metrics, 10 families) of 5 to 12 scales, 4400 of them emergent, took
// 12 s on two threads, of 5 to 8 scales 21 s on one (meta_analysis_benchmark.cc).
class MetaAnalyzer {
 public:
  // Scores all series and looks at their shapes. INVALID_ARGUMENT: bad options, or a bad point, by
  // its place: "series[3].points[1].scale is -1: ...".
  static absl::StatusOr<MetaAnalyzer> Create(std::vector<MetaSeries> series,
                                             const MetaOptions& options);

  // Tests the next `n` at most against straight lines, on options.threads threads.
  absl::Status Step(size_t n);

  // Corrects and counts; once all are done (FAILED_PRECONDITION before).
  absl::StatusOr<MetaResult> Finish();

  size_t n_series() const { return series_.size(); }
  size_t n_done() const { return n_done_; }

 private:
  MetaAnalyzer(std::vector<MetaSeries> series, const MetaOptions& options)
      : series_(std::move(series)), options_(options) {}

  std::vector<MetaSeries> series_;
  MetaOptions options_;
  std::vector<MetaTripletResult> results_;
  std::vector<Scatter> scatters_;
  size_t n_done_ = 0;
  // Simulated curves for a triplet of emergent shape.
  int replicates_ = 0;
};

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_EMERGENCE_META_ANALYSIS_H_
