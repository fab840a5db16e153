#include "server/engine/simulation_proto.h"

#include <fmt/format.h>

#include <optional>

#include "absl/status/status.h"

namespace mirage::server {
namespace {

using metrics::SimulatedEvidence;
using metrics::SimulatedLaw;
using metrics::TrueVerdict;

std::optional<SimulatedEvidence> ToEvidence(v1::SimulationSpec::Evidence evidence) {
  switch (evidence) {
    case v1::SimulationSpec::EVIDENCE_UNSPECIFIED:
      return SimulatedEvidence::kUnspecified;
    case v1::SimulationSpec::GENERATION:
      return SimulatedEvidence::kGeneration;
    case v1::SimulationSpec::MULTIPLE_CHOICE:
      return SimulatedEvidence::kMultipleChoice;
    case v1::SimulationSpec::VECTORS:
      return SimulatedEvidence::kVectors;
    case v1::SimulationSpec::TRIALS:
      return SimulatedEvidence::kTrials;
    default:
      return std::nullopt;
  }
}

v1::SimulationSpec::Evidence FromEvidence(SimulatedEvidence evidence) {
  switch (evidence) {
    case SimulatedEvidence::kGeneration:
      return v1::SimulationSpec::GENERATION;
    case SimulatedEvidence::kMultipleChoice:
      return v1::SimulationSpec::MULTIPLE_CHOICE;
    case SimulatedEvidence::kVectors:
      return v1::SimulationSpec::VECTORS;
    case SimulatedEvidence::kTrials:
      return v1::SimulationSpec::TRIALS;
    case SimulatedEvidence::kUnspecified:
      break;
  }
  return v1::SimulationSpec::EVIDENCE_UNSPECIFIED;
}

std::optional<SimulatedLaw> ToLaw(v1::SimulationSpec::Law law) {
  switch (law) {
    case v1::SimulationSpec::LAW_UNSPECIFIED:
      return SimulatedLaw::kUnspecified;
    case v1::SimulationSpec::POWER_LAW:
      return SimulatedLaw::kPowerLaw;
    case v1::SimulationSpec::LOGISTIC:
      return SimulatedLaw::kLogistic;
    case v1::SimulationSpec::QUADRATIC:
      return SimulatedLaw::kQuadratic;
    default:
      return std::nullopt;
  }
}

v1::SimulationSpec::Law FromLaw(SimulatedLaw law) {
  switch (law) {
    case SimulatedLaw::kPowerLaw:
      return v1::SimulationSpec::POWER_LAW;
    case SimulatedLaw::kLogistic:
      return v1::SimulationSpec::LOGISTIC;
    case SimulatedLaw::kQuadratic:
      return v1::SimulationSpec::QUADRATIC;
    case SimulatedLaw::kUnspecified:
      break;
  }
  return v1::SimulationSpec::LAW_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<metrics::SimulationSpec> SimulationFromProto(const v1::SimulationSpec& message) {
  metrics::SimulationSpec spec;
  spec.truth = message.truth();
  spec.family = message.family();
  spec.seed = message.seed();
  spec.scales.assign(message.scales().begin(), message.scales().end());
  const auto evidence = ToEvidence(message.evidence());
  if (!evidence.has_value()) {
    return absl::InvalidArgumentError(
        fmt::format("spec.evidence is {}: must be GENERATION, MULTIPLE_CHOICE, VECTORS or TRIALS",
                    static_cast<int>(message.evidence())));
  }
  spec.evidence = *evidence;
  const auto law = ToLaw(message.law());
  if (!law.has_value()) {
    return absl::InvalidArgumentError(
        fmt::format("spec.law is {}: must be POWER_LAW, LOGISTIC or QUADRATIC",
                    static_cast<int>(message.law())));
  }
  spec.law = *law;
  if (message.has_n_samples()) spec.n_samples = message.n_samples();
  if (message.has_n_seeds()) spec.n_seeds = message.n_seeds();
  if (message.has_c()) spec.c = message.c();
  if (message.has_alpha()) spec.alpha = message.alpha();
  if (message.has_curvature()) spec.curvature = message.curvature();
  if (message.has_floor()) spec.floor = message.floor();
  for (const v1::SimulatedBreak& one : message.breaks()) {
    spec.breaks.push_back({.scale = one.scale(),
                           .delta_exponent = one.delta_exponent(),
                           .width = one.width(),
                           .item_share = one.item_share(),
                           .positions = {one.positions().begin(), one.positions().end()}});
  }
  spec.target_lengths.assign(message.target_lengths().begin(), message.target_lengths().end());
  if (message.has_vocabulary()) spec.vocabulary = message.vocabulary();
  if (message.has_greedy()) spec.greedy = message.greedy();
  if (message.has_n_choices()) spec.n_choices = message.n_choices();
  if (message.has_wrong_choice_share()) spec.wrong_choice_share = message.wrong_choice_share();
  if (message.has_threshold()) spec.threshold = message.threshold();
  if (message.has_n_trials()) spec.n_trials = message.n_trials();
  if (message.has_item_cv()) spec.item_cv = message.item_cv();
  if (message.has_position_cv()) spec.position_cv = message.position_cv();
  if (message.has_tau()) spec.tau = message.tau();
  if (message.has_outlier()) spec.outlier = message.outlier();
  if (message.has_outlier_factor()) spec.outlier_factor = message.outlier_factor();
  if (message.has_bimodality()) {
    const v1::SimulatedBimodality& modes = message.bimodality();
    spec.bimodality = metrics::SimulatedBimodality{
        .scale = modes.scale(), .width = modes.width(), .factor = modes.factor()};
  }
  if (message.has_wrong_gold_share()) spec.wrong_gold_share = message.wrong_gold_share();
  return spec;
}

v1::SimulationSpec SimulationToProto(const metrics::SimulationSpec& spec) {
  v1::SimulationSpec message;
  message.set_truth(spec.truth);
  message.set_family(spec.family);
  message.set_seed(spec.seed);
  message.mutable_scales()->Add(spec.scales.begin(), spec.scales.end());
  message.set_evidence(FromEvidence(spec.evidence));
  message.set_law(FromLaw(spec.law));
  if (spec.n_samples.has_value()) message.set_n_samples(*spec.n_samples);
  if (spec.n_seeds.has_value()) message.set_n_seeds(*spec.n_seeds);
  if (spec.c.has_value()) message.set_c(*spec.c);
  if (spec.alpha.has_value()) message.set_alpha(*spec.alpha);
  if (spec.curvature.has_value()) message.set_curvature(*spec.curvature);
  if (spec.floor.has_value()) message.set_floor(*spec.floor);
  for (const metrics::SimulatedBreak& one : spec.breaks) {
    v1::SimulatedBreak* const added = message.add_breaks();
    added->set_scale(one.scale);
    added->set_delta_exponent(one.delta_exponent);
    added->set_width(one.width);
    added->set_item_share(one.item_share);
    added->mutable_positions()->Add(one.positions.begin(), one.positions.end());
  }
  message.mutable_target_lengths()->Add(spec.target_lengths.begin(), spec.target_lengths.end());
  if (spec.vocabulary.has_value()) message.set_vocabulary(*spec.vocabulary);
  if (spec.greedy.has_value()) message.set_greedy(*spec.greedy);
  if (spec.n_choices.has_value()) message.set_n_choices(*spec.n_choices);
  if (spec.wrong_choice_share.has_value()) {
    message.set_wrong_choice_share(*spec.wrong_choice_share);
  }
  if (spec.threshold.has_value()) message.set_threshold(*spec.threshold);
  if (spec.n_trials.has_value()) message.set_n_trials(*spec.n_trials);
  if (spec.item_cv.has_value()) message.set_item_cv(*spec.item_cv);
  if (spec.position_cv.has_value()) message.set_position_cv(*spec.position_cv);
  if (spec.tau.has_value()) message.set_tau(*spec.tau);
  if (spec.outlier.has_value()) message.set_outlier(*spec.outlier);
  if (spec.outlier_factor.has_value()) message.set_outlier_factor(*spec.outlier_factor);
  if (spec.bimodality.has_value()) {
    v1::SimulatedBimodality* const modes = message.mutable_bimodality();
    modes->set_scale(spec.bimodality->scale);
    modes->set_width(spec.bimodality->width);
    modes->set_factor(spec.bimodality->factor);
  }
  if (spec.wrong_gold_share.has_value()) message.set_wrong_gold_share(*spec.wrong_gold_share);
  return message;
}

v1::Diagnosis::Verdict VerdictToProto(TrueVerdict verdict) {
  switch (verdict) {
    case TrueVerdict::kMirage:
      return v1::Diagnosis::MIRAGE;
    case TrueVerdict::kResolutionLimited:
      return v1::Diagnosis::RESOLUTION_LIMITED;
    case TrueVerdict::kBreakSurvives:
      return v1::Diagnosis::BREAK_SURVIVES;
    case TrueVerdict::kSmooth:
      return v1::Diagnosis::SMOOTH;
    case TrueVerdict::kMixed:
      return v1::Diagnosis::MIXED;
    case TrueVerdict::kInsufficient:
      break;
  }
  return v1::Diagnosis::INSUFFICIENT;
}

}  // namespace mirage::server
