// A small analysis to render: for tests.
#ifndef MIRAGE_CLIENT_RENDER_META_EXAMPLE_H_
#define MIRAGE_CLIENT_RENDER_META_EXAMPLE_H_

#include <limits>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

inline v1::MetaAnalysis ExampleAnalysis() {
  v1::MetaAnalysis analysis;
  analysis.set_generator("mirage test");
  analysis.set_criterion("h40 <= 0.2");
  analysis.set_fdr(0.05);
  const auto triplet = [&](const char* task, const char* metric, bool sharp, double score,
                           bool emergent) {
    v1::MetaTriplet& one = *analysis.add_triplets();
    one.set_family("f");
    one.set_task(task);
    one.set_filter("none");
    one.set_metric(metric);
    one.set_sharp(sharp);
    one.set_continuous(!sharp);
    one.set_n_scales(5);
    one.set_emergence_score(4 * score);
    one.set_emergence_score_per_step(score);
    one.set_null_p(0.001);
    one.set_q_value(0.004);
    one.set_emergent(emergent);
  };
  triplet("<add>", "exact_match", true, 30, true);
  triplet("mul", "exact_match", true, std::numeric_limits<double>::infinity(), true);
  triplet("<add>", "nll_per_token", false, 1.1, false);
  triplet("mul", "nll_per_token", false, -0.9, false);
  for (const bool sharp : {true, false}) {
    v1::MetricShare& share = *analysis.add_metrics();
    share.set_metric(sharp ? "exact_match" : "nll_per_token");
    share.set_sharp(sharp);
    share.set_continuous(!sharp);
    share.set_n_evaluated(2);
    share.set_n_emergent(sharp ? 2 : 0);
    share.set_share(sharp ? 1 : 0);
  }
  analysis.set_n_metrics(2);
  analysis.set_n_metrics_emergent(1);
  analysis.set_n_evaluated(4);
  analysis.set_n_emergent(2);
  v1::OddsRatio& odds = *analysis.mutable_odds_ratio();
  odds.set_n_sharp(2);
  odds.set_n_sharp_emergent(2);
  odds.set_n_continuous(2);
  odds.set_n_tasks(2);
  odds.set_value(std::numeric_limits<double>::infinity());
  odds.set_p_value(0.08);
  return analysis;
}

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_META_EXAMPLE_H_
