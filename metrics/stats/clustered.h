// Means of values that come in clusters: questions about one passage, translations of one prompt.
//
//   ClusteredMoments scores;
//   scores.Add(cluster, score);                                  // a number for each cluster
//   absl::StatusOr<ConfidenceInterval> interval =
//       StudentT(*scores.mean(), *scores.standard_error(), scores.clusters(), 0.95);
//
// Values of one cluster are alike, so that they say less than as many independent ones would. The
// error here takes clusters for independent and asks nothing of the values within.
#ifndef MIRAGE_METRICS_STATS_CLUSTERED_H_
#define MIRAGE_METRICS_STATS_CLUSTERED_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mirage::metrics {

// Keeps its values, 16 bytes each, and computes from them in sorted order: the same values give the
// same bits for every order and partition. With n values of which one is not finite, mean() follows
// IEEE arithmetic and all else is absent. Not thread-safe.
class ClusteredMoments {
 public:
  // Adds a value of a cluster. The number stands for the cluster in every shard: a digest of the
  // field that names it, not a counter.
  void Add(uint64_t cluster, double x);

  // Adds all of another sample's values; clusters of one number are one cluster.
  void Merge(const ClusteredMoments& other);

  // Number of values.
  uint64_t count() const { return rows_.size(); }
  // Number of clusters with values.
  uint64_t clusters() const;

  // Arithmetic mean of all values; absent without any.
  std::optional<double> mean() const;

  // sqrt(sum over clusters of (sum of (x - mean))^2) / n, times sqrt(C / (C - 1)) for C clusters;
  // absent for fewer than 2 clusters. With one value a cluster it is the ordinary standard error.
  // Valid for some dozens of clusters, none of which holds a large share of the values; go with
  // Student's quantile on C - 1 degrees of freedom. 0 when all clusters' sums agree: no certainty.
  // Source: Liang, Zeger (1986), Biometrika 73; Miller (2024), arXiv 2411.00640, section 2.2.
  std::optional<double> standard_error() const;

  // (standard_error() / the ordinary standard error)^2: by how much the clusters reduce what the
  // values say. n over it is the effective number of values. Absent where either error is, or the
  // ordinary one is 0. Below 1 where values within a cluster balance each other.
  std::optional<double> design_effect() const;

  // Share of the variance that lies between clusters, by the analysis of variance for clusters of
  // unequal size: (MSB - MSW) / (MSB + (m0 - 1) MSW), m0 = (n - sum n_c^2 / n) / (C - 1). At most
  // 1; negative where clusters differ less than chance lets them. Absent for fewer than 2 clusters,
  // no cluster with two values, or values that are all equal. Source: Fisher (1925); Donner (1986),
  // Int. Statist. Rev. 54.
  std::optional<double> intraclass_correlation() const;

  // Sum and number of values of each cluster, one pair after the other in the order of the
  // clusters' numbers: rows for BootstrapOfMeans, where the ratio of the two means is the mean of
  // the values.
  std::vector<double> ClusterRows() const;

  // Canonical bytes with a version; equal samples give equal bytes. 16 bytes a value.
  std::string Serialize() const;

  // Reads what Serialize() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<ClusteredMoments> Deserialize(std::string_view bytes);

 private:
  struct Row {
    uint64_t cluster;
    double x;
  };

  // Of the sorted rows: residual sums of the clusters, and what the other figures need.
  struct Summary;
  std::optional<Summary> Summarise() const;
  void Sort() const;

  // Sorted when asked: the order of the values is no part of what this is.
  mutable std::vector<Row> rows_;
  mutable bool sorted_ = true;
};

// Kish's design effect of clusters of equal size, 1 + (size - 1) * correlation: for plans, where
// there are no values yet; for clusters that differ, of their mean size. `size` >= 1, correlation
// in [-1 / (size - 1), 1]; else INVALID_ARGUMENT. Source: Kish (1965), "Survey Sampling",
// section 5.4.
absl::StatusOr<double> KishDesignEffect(double size, double correlation);

// Kish's effective number of items of unequal weight, (sum w)^2 / sum w^2, in [1, n]. Weights must
// be finite and >= 0, and not all 0; else INVALID_ARGUMENT. Source: Kish (1965), section 11.7.
absl::StatusOr<double> KishEffectiveSize(std::span<const double> weights);

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_CLUSTERED_H_
