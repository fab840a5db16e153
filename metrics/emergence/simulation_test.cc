#include "metrics/emergence/simulation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metrics/emergence/simulation_spec.h"

namespace mirage::metrics {
namespace {

using ::testing::HasSubstr;

// Where a test compares a mean with what it should be, it allows five standard errors: a chance of
// 6e-7 to fail when right, each time; and it fails when off by 0.7 % where the spread is that of a
// share of 1/2 (100 000 items: an error of .0016).
constexpr double kErrors = 5;
constexpr uint32_t kMany = 100'000;

Simulation Make(const SimulationSpec& spec) {
  auto simulation = Simulation::Create(spec);
  EXPECT_TRUE(simulation.ok()) << simulation.status();
  return *std::move(simulation);
}

void ExpectMean(const SimulatedMean& found, double mean) {
  EXPECT_NEAR(found.mean, mean, kErrors * found.standard_error + 1e-12);
}

// Figure 2 of the paper: p, accuracy at 5 tokens, edit distance, Brier (1 - p)^2.
TEST(SimulationTest, FigureTwo) {
  SimulationSpec spec;
  spec.scales = {3.5e8, 1.3e9, 6.7e9, 2e11};
  spec.n_samples = kMany;
  const Simulation simulation = Make(spec);
  const double p[] = {0.0916, 0.2893, 0.5791, 0.9048};
  const double accuracy[] = {6.4e-6, 0.0020, 0.0651, 0.6065};
  const double half_digit[] = {5e-8, 5e-5, 5e-5, 5e-5};
  const double brier[] = {0.825, 0.505, 0.177, 0.0091};
  for (size_t j = 0; j < 4; ++j) {
    const SimulatedItems items = simulation.Answer(j, 0);
    const SimulatedAggregate means = Aggregate(items);
    const double share = std::exp(-means.nll_per_token.mean);
    EXPECT_NEAR(share, p[j], 5e-5);
    EXPECT_NEAR((1 - share) * (1 - share), brier[j], 5e-4);
    EXPECT_NEAR(simulation.ExpectedSharp(0, std::log(spec.scales[j]), 1, 2), accuracy[j],
                half_digit[j]);
    const double exact = std::pow(share, 5);
    EXPECT_NEAR(means.sharp.mean, exact, kErrors * std::sqrt(exact * (1 - exact) / kMany));
    ExpectMean(*means.edit_distance, 5 * (1 - share));
    EXPECT_EQ(means.n, kMany);
    // All items are alike.
    EXPECT_NEAR(means.nll_per_token.standard_error, 0, 1e-12);
  }
}

// E[p^L] over gamma items is (1 + u CV^2)^(-1/CV^2).
TEST(SimulationTest, GammaItems) {
  for (const double cv : {0.3, 1.0, 2.0}) {
    SimulationSpec spec;
    spec.item_cv = cv;
    spec.n_samples = kMany;
    spec.scales = {1e9, 1e10};
    const Simulation simulation = Make(spec);
    for (size_t j = 0; j < 2; ++j) {
      const SimulatedItems items = simulation.Answer(j, 0);
      const SimulatedAggregate means = Aggregate(items);
      const double nll = std::pow(spec.scales[j] / 2e9, -0.5);
      ExpectMean(means.nll_per_token, nll);
      const double exact = std::pow(1 + 5 * nll * cv * cv, -1 / (cv * cv));
      ExpectMean(means.sharp, exact);
      EXPECT_NEAR(simulation.ExpectedSharp(0, std::log(spec.scales[j]), 1, kMany), exact,
                  kErrors * 0.5 / std::sqrt(kMany));
      // The error of a sample's coefficient of variation is about cv (1 + 3 cv^2) / sqrt(2 n) for
      // gamma items, .007 at most here for a coefficient of 1 and less.
      const double found_cv = means.nll_per_token.standard_error * std::sqrt(kMany) / nll;
      EXPECT_NEAR(found_cv, cv, kErrors * cv * (1 + 3 * cv * cv) / std::sqrt(2.0 * kMany));
    }
  }
}

TEST(SimulationTest, EachTokenFollowsTheFormula) {
  SimulationSpec spec;
  spec.truth = "mirage";
  spec.position_cv = 0.7;
  spec.floor = 0.05;
  spec.tau = 0.2;
  spec.target_lengths = {4};
  spec.n_samples = 50;
  const Simulation simulation = Make(spec);
  // h_i g_k by the first model; every other model must have the same.
  std::vector<double> products;
  std::vector<double> g;
  for (size_t j = 0; j < simulation.models().size(); ++j) {
    const SimulatedModel& model = simulation.models()[j];
    const double ce = std::pow(model.parameters / 4e8, -0.5);
    const SimulatedItems items = simulation.Answer(j, 0);
    for (size_t i = 0; i < items.nll.size(); ++i) {
      const double product = (items.nll[i] - 0.05) / (model.factor * ce);
      if (j == 0) products.push_back(product);
      EXPECT_NEAR(product, products[i], 1e-10 * products[i]);
      // Positions have the same factor in all items: it is a product.
      EXPECT_NEAR(products[i] * products[0], products[i % 4] * products[i / 4 * 4],
                  1e-9 * products[i] * products[0]);
    }
    const SimulatedAggregate means = Aggregate(items);
    for (size_t k = 0; k < 4; ++k) {
      double sum = 0;
      for (size_t i = 0; i < 50; ++i) sum += items.nll[4 * i + k];
      EXPECT_NEAR(means.nll_by_position[k].mean, sum / 50, 1e-12);
    }
  }
  EXPECT_GT(*std::max_element(products.begin(), products.begin() + 4),
            1.2 * *std::min_element(products.begin(), products.begin() + 4));
}

// ln s_j over 2000 models: mean -tau^2/2, standard deviation tau; the error of the latter is
// tau / sqrt(4000).
TEST(SimulationTest, ScatterBetweenModels) {
  SimulationSpec spec;
  spec.scales = {1e8, 1e9};
  spec.n_seeds = 1000;
  spec.tau = 0.3;
  const Simulation simulation = Make(spec);
  ASSERT_EQ(simulation.models().size(), 2000u);
  double sum = 0, squares = 0;
  for (const SimulatedModel& model : simulation.models()) {
    sum += std::log(model.factor);
    squares += std::log(model.factor) * std::log(model.factor);
  }
  EXPECT_NEAR(sum / 2000, -0.045, kErrors * 0.3 / std::sqrt(2000));
  EXPECT_NEAR(std::sqrt(squares / 2000 - sum / 2000 * (sum / 2000)), 0.3,
              kErrors * 0.3 / std::sqrt(4000));
  EXPECT_EQ(simulation.models()[999].size, 0u);
  EXPECT_EQ(simulation.models()[1000].size, 1u);
  EXPECT_EQ(simulation.models()[1000].seed, 0u);
  EXPECT_EQ(simulation.models()[1000].parameters, 1e9);
}

TEST(SimulationTest, OutliersAndModes) {
  SimulationSpec spec;
  spec.scales = {1e8, 1e9, 1e10};
  spec.n_seeds = 1000;
  spec.outlier = 1;
  spec.outlier_factor = 4;
  spec.bimodality = SimulatedBimodality{.scale = 1e9, .width = 6, .factor = 10};
  const Simulation simulation = Make(spec);
  int worse[3] = {0, 0, 0};
  for (const SimulatedModel& model : simulation.models()) {
    const double expected = (model.size == 1 ? 4 : 1) * (model.is_worse_mode ? 10 : 1);
    EXPECT_DOUBLE_EQ(model.factor, expected);
    worse[model.size] += model.is_worse_mode ? 1 : 0;
  }
  for (int size = 0; size < 3; ++size) {
    const double share =
        1 - simulation.curve().BetterShare(std::log(spec.scales[static_cast<size_t>(size)])).value;
    EXPECT_NEAR(worse[size], 1000 * share, kErrors * std::sqrt(1000 * share * (1 - share)));
  }
}

TEST(SimulationTest, BreaksOfSomeItemsAndPositions) {
  SimulationSpec spec;
  spec.scales = {1e8, 1e11};
  spec.n_samples = kMany;
  spec.target_lengths = {2};
  spec.breaks = {{.scale = 1e9, .delta_exponent = 0.5, .item_share = 0.3, .positions = {1}}};
  const Simulation simulation = Make(spec);
  const double ce = std::pow(1e11 / 2e9, -0.5);
  const double broken = ce * std::pow(100.0, -0.5);
  const SimulatedItems items = simulation.Answer(1, 0);
  size_t n_broken = 0;
  for (size_t i = 0; i < items.n; ++i) {
    EXPECT_NEAR(items.nll[2 * i], ce, 1e-12);
    const bool has = std::abs(items.nll[2 * i + 1] - broken) < 1e-12;
    if (!has) {
      EXPECT_NEAR(items.nll[2 * i + 1], ce, 1e-12);
    }
    n_broken += has ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(n_broken), 0.3 * kMany, kErrors * std::sqrt(0.21 * kMany));
  ExpectMean(Aggregate(items).nll_by_position[1], 0.3 * broken + 0.7 * ce);
}

// 1[all p > 1/2] <= greedy exact match <= 1[all p >= 1/V], item by item.
TEST(SimulationTest, GreedyAnswers) {
  SimulationSpec spec;
  spec.truth = "mirage";
  spec.greedy = true;
  spec.n_samples = 20'000;
  spec.vocabulary = 20;
  const Simulation simulation = Make(spec);
  int strict = 0, between = 0;
  for (size_t j = 0; j < simulation.models().size(); ++j) {
    const SimulatedItems items = simulation.Answer(j, 0);
    for (size_t i = 0; i < items.n; ++i) {
      bool all_above = true, all_possible = true;
      for (size_t k = 0; k < items.length; ++k) {
        const double p = std::exp(-items.nll[i * items.length + k]);
        all_above &= p > 0.5;
        all_possible &= p >= 1.0 / 20;
      }
      EXPECT_LE(all_above ? 1.0 : 0.0, items.sharp[i]);
      EXPECT_LE(items.sharp[i], all_possible ? 1.0 : 0.0);
      strict += all_above ? 1 : 0;
      between += !all_above && all_possible ? 1 : 0;
    }
    const SimulatedModel& model = simulation.models()[j];
    const SimulatedMean sharp = Aggregate(items).sharp;
    const double expected =
        simulation.ExpectedSharp(0, std::log(model.parameters), model.factor, kMany);
    EXPECT_NEAR(sharp.mean, expected, kErrors * std::hypot(sharp.standard_error, 0.0016));
  }
  EXPECT_GT(strict, 1000);
  EXPECT_GT(between, 1000);
}

TEST(SimulationTest, MultipleChoice) {
  SimulationSpec spec;
  spec.truth = "multiple_choice";
  spec.n_samples = 20'000;
  // Chance, and certainty.
  spec.scales = {1e2, 1e10, 1e16};
  spec.tau = 0;
  const Simulation simulation = Make(spec);
  for (size_t j = 0; j < 3; ++j) {
    const SimulatedItems items = simulation.Answer(j, 0);
    ASSERT_EQ(items.n_choices, 4u);
    std::vector<int> places(4);
    for (size_t i = 0; i < items.n; ++i) {
      double sum = 0, best = -1e300;
      for (size_t choice = 0; choice < 4; ++choice) {
        const double log_p = items.choice_log_probs[4 * i + choice];
        sum += std::exp(log_p);
        if (choice != items.golds[i]) best = std::max(best, log_p);
      }
      EXPECT_NEAR(sum, 1, 1e-12);
      const double gold = items.choice_log_probs[4 * i + items.golds[i]];
      EXPECT_NEAR(gold, -items.nll[i], 1e-12);
      EXPECT_EQ(items.sharp[i], gold > best ? 1 : 0);
      ++places[items.golds[i]];
    }
    for (const int n : places) EXPECT_NEAR(n, 5000, kErrors * std::sqrt(20'000 * 0.1875));
    const SimulatedAggregate means = Aggregate(items);
    ASSERT_TRUE(means.margin.has_value());
    if (j == 0) {
      EXPECT_LT(means.margin->mean, 0);
      // By NumPy, from 400 000 items.
      EXPECT_NEAR(means.sharp.mean, 0.31158, kErrors * means.sharp.standard_error);
    }
    if (j == 2) {
      EXPECT_GT(means.margin->mean, 0);
      EXPECT_EQ(means.sharp.mean, 1);
    }
    const double expected = simulation.ExpectedSharp(0, std::log(spec.scales[j]), 1, kMany);
    EXPECT_NEAR(means.sharp.mean, expected,
                kErrors * std::hypot(means.sharp.standard_error, 0.0016));
  }
}

// One specific wrong choice takes its share.
TEST(SimulationTest, MassOnOneWrongChoice) {
  SimulationSpec spec;
  spec.evidence = SimulatedEvidence::kMultipleChoice;
  spec.n_choices = 5;
  spec.wrong_choice_share = 0.7;
  spec.n_samples = 10;
  const SimulatedItems items = Make(spec).Answer(4, 0);
  for (size_t i = 0; i < items.n; ++i) {
    std::vector<double> wrong;
    for (size_t choice = 0; choice < 5; ++choice) {
      if (choice != items.golds[i])
        wrong.push_back(std::exp(items.choice_log_probs[5 * i + choice]));
    }
    std::sort(wrong.begin(), wrong.end());
    const double mass = 1 - std::exp(items.choice_log_probs[5 * i + items.golds[i]]);
    EXPECT_NEAR(wrong[3], 0.7 * mass, 1e-12);
    for (int w = 0; w < 3; ++w) EXPECT_NEAR(wrong[static_cast<size_t>(w)], 0.1 * mass, 1e-12);
  }
}

TEST(SimulationTest, VectorsAndTrials) {
  SimulationSpec vectors;
  vectors.truth = "vectors";
  const Simulation simulation = Make(vectors);
  const SimulatedItems items = simulation.Answer(7, 0);
  int right = 0;
  for (size_t i = 0; i < items.n; ++i) {
    double sum = 0;
    for (size_t k = 0; k < 16; ++k) sum += items.nll[16 * i + k];
    EXPECT_EQ(items.sharp[i], sum / 16 < 0.1 ? 1 : 0);
    right += sum / 16 < 0.1 ? 1 : 0;
  }
  EXPECT_GT(right, 50);
  EXPECT_LT(right, 950);

  SimulationSpec trials;
  trials.truth = "trials";
  trials.n_samples = 10'000;
  trials.n_trials = 7;
  const Simulation tried = Make(trials);
  const SimulatedItems attempts = tried.Answer(7, 0);
  double expected = 0;
  for (size_t i = 0; i < attempts.n; ++i) {
    EXPECT_LE(attempts.successes[i], 7u);
    EXPECT_EQ(attempts.sharp[i], attempts.successes[i] / 7.0);
    double sum = 0;
    for (size_t k = 0; k < 5; ++k) sum += attempts.nll[5 * i + k];
    expected += std::exp(-sum) / 10'000;
  }
  ExpectMean(Aggregate(attempts).sharp, expected);
}

TEST(SimulationTest, WrongGolds) {
  for (const SimulatedEvidence evidence :
       {SimulatedEvidence::kGeneration, SimulatedEvidence::kMultipleChoice,
        SimulatedEvidence::kVectors, SimulatedEvidence::kTrials}) {
    SimulationSpec spec;
    spec.evidence = evidence;
    spec.n_samples = 20'000;
    spec.wrong_gold_share = 0.2;
    spec.scales = {1e9, 1e26};
    spec.vocabulary = 50;
    const Simulation simulation = Make(spec);
    // A model that knows everything: right on all but the wrong golds.
    const SimulatedItems items = simulation.Answer(1, 0);
    double wrong = 0;
    for (size_t i = 0; i < items.n; ++i) {
      wrong += items.is_wrong_gold[i];
      EXPECT_EQ(items.sharp[i], items.is_wrong_gold[i] != 0 ? 0 : 1) << i;
    }
    EXPECT_NEAR(wrong, 4000, kErrors * std::sqrt(3200));
    EXPECT_NEAR(simulation.ExpectedSharp(0, std::log(1e26), 1, 20'000), 0.8, kErrors * 0.4 / 141);
  }
  // The recorded last token takes its part of what the right one leaves.
  SimulationSpec spec;
  spec.n_samples = 1000;
  spec.wrong_gold_share = 0.5;
  spec.vocabulary = 50;
  spec.scales = {1e9, 1e10};
  const SimulatedItems items = Make(spec).Answer(1, 0);
  const double p = std::exp(-std::pow(1e10 / 2e9, -0.5));
  for (size_t i = 0; i < items.n; ++i) {
    EXPECT_NEAR(std::exp(-items.nll[5 * i]), p, 1e-12);
    EXPECT_NEAR(std::exp(-items.nll[5 * i + 4]), items.is_wrong_gold[i] != 0 ? (1 - p) / 49 : p,
                1e-12);
  }
}

TEST(SimulationTest, SameBits) {
  for (const char* const truth : {"half_items_break", "multiple_choice", "trials", "vectors"}) {
    SimulationSpec spec;
    spec.truth = truth;
    spec.n_samples = 5000;
    const Simulation simulation = Make(spec);
    const SimulatedItems one = simulation.Answer(3, 0, 1);
    for (const int threads : {2, 5}) {
      const SimulatedItems other = simulation.Answer(3, 0, threads);
      EXPECT_EQ(other.nll, one.nll);
      EXPECT_EQ(other.sharp, one.sharp);
      EXPECT_EQ(other.is_right, one.is_right);
      EXPECT_EQ(other.choice_log_probs, one.choice_log_probs);
      EXPECT_EQ(other.successes, one.successes);
    }
    // Fewer items are the first ones.
    spec.n_samples = 100;
    const SimulatedItems fewer = Make(spec).Answer(3, 0);
    EXPECT_TRUE(std::equal(fewer.nll.begin(), fewer.nll.end(), one.nll.begin()));
    EXPECT_TRUE(std::equal(fewer.sharp.begin(), fewer.sharp.end(), one.sharp.begin()));
    spec.seed = 1;
    EXPECT_NE(Make(spec).Answer(3, 0).nll, fewer.nll);
  }
}

// One task a length; items of different tasks are different, models are the same.
TEST(SimulationTest, Tasks) {
  SimulationSpec spec;
  spec.truth = "mirage";
  spec.target_lengths = {1, 3};
  spec.n_samples = 1000;
  const Simulation simulation = Make(spec);
  ASSERT_EQ(simulation.n_tasks(), 2u);
  const SimulatedItems short_items = simulation.Answer(5, 0);
  const SimulatedItems long_items = simulation.Answer(5, 1);
  EXPECT_EQ(short_items.nll.size(), 1000u);
  EXPECT_EQ(long_items.nll.size(), 3000u);
  EXPECT_NE(short_items.nll[0], long_items.nll[0]);
  EXPECT_GT(Aggregate(short_items).sharp.mean, Aggregate(long_items).sharp.mean);
}

TEST(SimulationTest, Refusals) {
  EXPECT_TRUE(absl::IsNotFound(Simulation::Create({.truth = "x"}).status()));
  SimulationSpec many;
  for (int i = 1; i <= 100; ++i) many.scales.push_back(i);
  many.n_seeds = 1000;
  const auto simulation = Simulation::Create(many);
  EXPECT_TRUE(absl::IsInvalidArgument(simulation.status()));
  EXPECT_THAT(std::string(simulation.status().message()), HasSubstr("is 100000"));
}

}  // namespace
}  // namespace mirage::metrics
