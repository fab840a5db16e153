#include "server/engine/group.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "metrics/registry/registry.h"
#include "metrics/stats/interval_choice.h"
#include "metrics/stats/intervals.h"

namespace mirage::server {
namespace {

const v1::MetricSummary* FindMetric(const v1::TaskSummary& task, std::string_view metric) {
  for (const v1::MetricSummary& m : task.metrics()) {
    if (m.metric() == metric) return &m;
  }
  return nullptr;
}

// Metrics whose value is no mean over samples.
bool IsMean(std::string_view metric) {
  const metrics::MetricInfo* const any = metrics::FindMetric(metric);
  if (any == nullptr) return true;
  for (const metrics::MetricInfo& info : metrics::AllMetrics()) {
    if (info.name == any->name && info.aggregation != metrics::Aggregation::kMean) return false;
  }
  return true;
}

struct Pooled {
  v1::MetricSummary summary;
  // Members that have the metric.
  std::vector<const v1::MetricSummary*> parts;
  std::vector<const v1::TaskSummary*> tasks;
};

std::optional<Pooled> Pool(std::string_view metric, std::span<const v1::TaskSummary* const> members,
                           bool by_size, double level) {
  Pooled out;
  for (const v1::TaskSummary* member : members) {
    const v1::MetricSummary* m = FindMetric(*member, metric);
    if (m == nullptr || !m->has_value() || m->n() == 0) continue;
    out.parts.push_back(m);
    out.tasks.push_back(member);
  }
  if (out.parts.empty()) return std::nullopt;
  double total = 0, value = 0, variance = 0, chance = 0;
  uint64_t n = 0, n_bad = 0, n_infinite = 0;
  bool all_errors = true, all_chances = true;
  for (const v1::MetricSummary* m : out.parts) total += by_size ? m->n() : 1;
  for (const v1::MetricSummary* m : out.parts) {
    const double weight = (by_size ? m->n() : 1) / total;
    value += weight * m->value();
    all_errors &= m->has_stderr();
    variance += weight * weight * m->stderr() * m->stderr();
    all_chances &= m->has_chance();
    chance += weight * m->chance();
    n += m->n();
    n_bad += m->n_bad();
    n_infinite += m->n_infinite();
  }
  v1::MetricSummary& s = out.summary;
  s.set_metric(std::string(metric));
  s.set_value(value);
  s.set_n(static_cast<uint32_t>(n));
  s.set_n_bad(static_cast<uint32_t>(n_bad));
  s.set_n_infinite(static_cast<uint32_t>(n_infinite));
  s.set_higher_is_better(out.parts.front()->higher_is_better());
  if (all_chances) s.set_chance(chance);
  if (all_errors && variance > 0) {
    s.set_stderr(std::sqrt(variance));
    if (auto interval = metrics::Normal(value, s.stderr(), level); interval.ok()) {
      if (const metrics::MetricInfo* info = metrics::FindMetric(metric); info != nullptr) {
        interval->lower = std::max(interval->lower, info->lower_bound);
        interval->upper = std::min(interval->upper, info->upper_bound);
      }
      SetInterval(*interval, metrics::IntervalMethod::kAuto, &s);
    }
  }
  s.set_summary(out.parts.front()->summary());
  s.set_signature(fmt::format("{}|group=mean_{}|v1", out.parts.front()->signature(),
                              by_size ? "by_size" : "of_members"));
  return out;
}

// A group is as risky as its riskiest member.
void SetRisk(const Pooled& pooled, v1::MetricSummary* summary) {
  const v1::MetricSummary* worst = nullptr;
  const v1::TaskSummary* task = nullptr;
  for (size_t i = 0; i < pooled.parts.size(); ++i) {
    if (worst == nullptr || RiskOrder(pooled.parts[i]->mirage_risk().level()) >
                                RiskOrder(worst->mirage_risk().level())) {
      worst = pooled.parts[i];
      task = pooled.tasks[i];
    }
  }
  v1::MirageRisk* risk = summary->mutable_mirage_risk();
  risk->set_level(worst->mirage_risk().level());
  for (const v1::Reason& reason : worst->mirage_risk().reasons()) {
    v1::Reason* copy = risk->add_reasons();
    *copy = reason;
    copy->set_text(fmt::format("member {}: {}", task->task(), reason.text()));
  }
}

}  // namespace

v1::TaskSummary SummarizeGroup(const v1::RunTask& about, const std::string& filter,
                               std::span<const v1::TaskSummary* const> members,
                               const SummaryOptions& options) {
  v1::TaskSummary out;
  out.set_task(about.task());
  out.set_filter(filter);
  out.set_version(about.version());
  if (about.has_n_shot()) out.set_n_shot(about.n_shot());
  for (const std::string& member : about.members()) out.add_members(member);
  for (const std::string& warning : about.warnings()) out.add_warnings(warning);
  uint32_t n = 0, n_bad = 0, unverified = 0;
  for (const v1::TaskSummary* member : members) {
    n += member->n_samples();
    n_bad += member->n_bad();
    unverified += member->n_gold_unverified();
  }
  out.set_n_samples(n);
  out.set_n_bad(n_bad);
  out.set_n_gold_unverified(unverified);

  std::vector<std::string> done;
  for (const v1::ReportedMetric& stated : about.reported()) {
    if (stated.filter() != filter) continue;
    done.push_back(stated.metric());
    v1::MetricSummary* m = out.add_metrics();
    bool by_size = !about.has_weight_by_size() || about.weight_by_size();
    std::optional<Pooled> pooled;
    if (IsMean(stated.metric())) {
      pooled = Pool(stated.metric(), members, by_size, options.level);
      const auto differs = [&](const std::optional<Pooled>& p) {
        return stated.has_value() && std::abs(p->summary.value() - stated.value()) >
                                         1e-12 * std::max(1.0, std::abs(stated.value()));
      };
      if (pooled.has_value() && !about.has_weight_by_size() && differs(pooled)) {
        // The log does not say how members are weighted: the other way may be it.
        auto other = Pool(stated.metric(), members, !by_size, options.level);
        if (other.has_value() && !differs(other)) {
          pooled = std::move(other);
          by_size = !by_size;
        }
      }
      if (pooled.has_value()) {
        *m = pooled->summary;
        if (pooled->parts.size() < members.size()) {
          out.add_warnings(fmt::format("{}: {} of {} members have it with samples", stated.metric(),
                                       pooled->parts.size(), members.size()));
        } else if (differs(pooled)) {
          out.add_warnings(fmt::format("{}: the members' rows give {}, the harness reported {}",
                                       stated.metric(), pooled->summary.value(), stated.value()));
        }
      }
    }
    m->set_metric(stated.metric());
    m->set_role(v1::MetricSummary::REPORTED);
    const metrics::MetricInfo* info = metrics::FindMetric(stated.metric());
    if (stated.has_higher_is_better()) {
      m->set_higher_is_better(stated.higher_is_better());
    } else if (!pooled.has_value()) {
      m->set_higher_is_better(info == nullptr || info->higher_is_better);
    }
    if (stated.has_value()) m->set_reported_value(stated.value());
    if (stated.has_stderr()) m->set_reported_stderr(stated.stderr());
    m->set_rederived_unavailable("a group has no rows of its own");
    if (pooled.has_value()) {
      SetRisk(*pooled, m);
    } else {
      m->mutable_mirage_risk()->set_level(v1::MirageRisk::UNKNOWN);
      v1::Reason* reason = m->mutable_mirage_risk()->add_reasons();
      reason->set_code("NO_SAMPLES");
      reason->set_text("no member has samples of it: run with --log_samples");
    }
    if (m->signature().empty()) {
      m->set_signature(fmt::format("{}|group=harness|v1", stated.metric()));
    }
    RaiseRisk(m->mirage_risk(), &out);
    // Counterparts that some member has under this metric, in the members' order.
    for (const v1::TaskSummary* member : members) {
      for (const v1::MetricSummary& c : member->metrics()) {
        if (c.role() != v1::MetricSummary::COUNTERPART || c.counterpart_of().empty() ||
            c.counterpart_of(0) != stated.metric() || !IsMean(c.metric()) ||
            std::find(done.begin(), done.end(), c.metric()) != done.end()) {
          continue;
        }
        done.push_back(c.metric());
        auto part = Pool(c.metric(), members, by_size, options.level);
        if (!part.has_value()) continue;
        part->summary.set_role(v1::MetricSummary::COUNTERPART);
        *part->summary.mutable_counterpart_of() = c.counterpart_of();
        *out.add_metrics() = part->summary;
      }
    }
  }
  return out;
}

}  // namespace mirage::server
