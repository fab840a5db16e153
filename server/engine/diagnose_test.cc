#include "server/engine/diagnose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "tests/support/sample_batches.h"

namespace mirage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The paper's toy model at m sizes: p = exp(-(N/c)^alpha), c = 2e9, alpha = -1/2.
double TokenNll(double scale) { return std::pow(scale / 2e9, -0.5); }

v1::Series SeriesOf(const std::string& metric, int m, double (*value)(double)) {
  v1::Series series;
  series.set_family("toy");
  series.set_task("task");
  series.set_metric(metric);
  series.set_target_length(5);
  for (int i = 0; i < m; ++i) {
    v1::SeriesPoint* point = series.add_points();
    point->set_model("m" + std::to_string(i));
    point->set_scale(3e8 * std::pow(1e3, static_cast<double>(i) / (m - 1)));
    point->set_value(value(point->scale()));
    point->set_n(2000);
  }
  return series;
}

v1::Series ExactMatch(int m = 8) {
  return SeriesOf("exact_match", m, [](double scale) {
    return std::round(2000 * std::exp(-5 * TokenNll(scale))) / 2000;
  });
}

v1::Series Nll(int m = 8) {
  v1::Series series = SeriesOf("nll_per_token", m, TokenNll);
  // Items that are all alike would have none.
  for (v1::SeriesPoint& point : *series.mutable_points()) point.set_stderr(0.002 * point.value());
  return series;
}

std::unique_ptr<SeriesDiagnosis> Make(const v1::DiagnoseOptions& options = {}) {
  auto diagnosis = SeriesDiagnosis::Create(options);
  EXPECT_TRUE(diagnosis.ok()) << diagnosis.status();
  return *std::move(diagnosis);
}

void RunAll(SeriesDiagnosis& diagnosis) {
  ASSERT_TRUE(diagnosis.Start().ok());
  while (diagnosis.n_done() < diagnosis.n_series()) {
    const absl::Status status = diagnosis.Step();
    ASSERT_TRUE(status.ok()) << status;
  }
  ASSERT_TRUE(diagnosis.Finish().ok());
}

TEST(DiagnoseTest, ThePapersModelIsAMirage) {
  auto diagnosis = Make();
  ASSERT_TRUE(diagnosis->Add(ExactMatch()).ok());
  ASSERT_TRUE(diagnosis->Add(Nll()).ok());
  RunAll(*diagnosis);
  ASSERT_EQ(diagnosis->diagnoses().size(), 1);
  EXPECT_THAT(diagnosis->warnings(), IsEmpty());
  const v1::Diagnosis& found = diagnosis->diagnoses()[0];
  EXPECT_EQ(found.verdict(), v1::Diagnosis::MIRAGE) << found.ShortDebugString();
  EXPECT_EQ(found.strength(), v1::Diagnosis::MODERATE);
  EXPECT_EQ(found.family(), "toy");
  EXPECT_EQ(found.filter(), "none");
  EXPECT_EQ(found.counterpart(), "nll_per_token");
  EXPECT_EQ(found.x_axis(), "parameters");
  EXPECT_EQ(found.n_scales(), 8);
  ASSERT_EQ(found.scales_size(), 8);
  for (const v1::DiagnosedScale& scale : found.scales()) {
    EXPECT_NEAR(scale.counterpart_value(), TokenNll(scale.scale()), 1e-12);
    EXPECT_NEAR(scale.predicted(), std::exp(-5 * TokenNll(scale.scale())), 0.02);
    EXPECT_TRUE(scale.has_interval());
  }
  EXPECT_TRUE(found.scales(7).held_out());
  // The exact law's slope.
  ASSERT_GE(found.fits_size(), 1);
  EXPECT_EQ(found.fits(0).law(), "power_law");
  EXPECT_EQ(found.fits(0).parameters(1).name(), "b");
  EXPECT_NEAR(found.fits(0).parameters(1).value(), 0.5, 1e-6);
  EXPECT_TRUE(found.has_q_value());
  // The smallest model gets some 2e-6 of them right.
  ASSERT_GE(found.samples_needed_size(), 1);
  EXPECT_EQ(found.samples_needed(0).model(), "m0");
  EXPECT_NEAR(found.samples_needed(0).n() * found.samples_needed(0).to_resolve(), 3, 1e-3);
  // Items differ a little (the standard errors say so), which doubles so small a share.
  EXPECT_NEAR(std::log(found.samples_needed(0).to_resolve()), -5 * TokenNll(3e8), 1);
}

TEST(DiagnoseTest, PartsOfASeriesAreOne) {
  auto whole = Make();
  ASSERT_TRUE(whole->Add(ExactMatch()).ok());
  ASSERT_TRUE(whole->Add(Nll()).ok());
  RunAll(*whole);
  auto parts = Make();
  for (const v1::Series& series : {Nll(), ExactMatch()}) {
    for (const v1::SeriesPoint& point : series.points()) {
      v1::Series part = series;
      part.clear_points();
      *part.add_points() = point;
      ASSERT_TRUE(parts->Add(part).ok());
    }
  }
  RunAll(*parts);
  EXPECT_EQ(parts->diagnoses()[0].SerializeAsString(), whole->diagnoses()[0].SerializeAsString());
}

// The primary counterpart is fixed by properties, whatever else is there.
TEST(DiagnoseTest, CounterpartsAreInAFixedOrder) {
  auto diagnosis = Make();
  ASSERT_TRUE(diagnosis->Add(ExactMatch()).ok());
  for (const char* metric : {"brier_score", "token_edit_distance", "p_target", "log_p_target"}) {
    ASSERT_TRUE(diagnosis->Add(SeriesOf(metric, 8, [](double) { return -0.5; })).ok());
  }
  ASSERT_TRUE(diagnosis->Add(Nll()).ok());
  RunAll(*diagnosis);
  ASSERT_EQ(diagnosis->diagnoses().size(), 1);
  EXPECT_EQ(diagnosis->diagnoses()[0].counterpart(), "nll_per_token");
  EXPECT_THAT(diagnosis->diagnoses()[0].other_counterparts(),
              ElementsAre("log_p_target", "token_edit_distance", "p_target", "brier_score"));
}

TEST(DiagnoseTest, FewScalesSayWhatTheyLack) {
  auto diagnosis = Make();
  ASSERT_TRUE(diagnosis->Add(ExactMatch(4)).ok());
  ASSERT_TRUE(diagnosis->Add(Nll(4)).ok());
  RunAll(*diagnosis);
  const v1::Diagnosis& found = diagnosis->diagnoses()[0];
  EXPECT_EQ(found.verdict(), v1::Diagnosis::INSUFFICIENT);
  EXPECT_FALSE(found.has_strength());
  EXPECT_EQ(found.reasons(0).code(), "TOO_FEW_SCALES");
  EXPECT_TRUE(found.has_emergence_score());
}

TEST(DiagnoseTest, ModelsWithoutTheirCounterpartAreNamed) {
  auto diagnosis = Make();
  ASSERT_TRUE(diagnosis->Add(ExactMatch()).ok());
  v1::Series nll = Nll();
  nll.mutable_points(2)->set_model("another");
  ASSERT_TRUE(diagnosis->Add(nll).ok());
  RunAll(*diagnosis);
  EXPECT_THAT(diagnosis->warnings(), ElementsAre(HasSubstr("1 of 8 models have no nll_per_token")));
  EXPECT_FALSE(diagnosis->diagnoses()[0].scales(2).has_counterpart_value());
}

TEST(DiagnoseTest, UnknownMetricsAreLeftOutOrDeclared) {
  auto diagnosis = Make();
  ASSERT_TRUE(diagnosis->Add(ExactMatch()).ok());
  v1::Series own = Nll();
  own.set_metric("my_surprise");
  ASSERT_TRUE(diagnosis->Add(own).ok());
  RunAll(*diagnosis);
  EXPECT_THAT(diagnosis->warnings(), ElementsAre(HasSubstr("'my_surprise' is not known")));
  EXPECT_FALSE(diagnosis->diagnoses()[0].has_counterpart());

  v1::DiagnoseOptions options;
  v1::MetricProperties* properties = options.add_metric_properties();
  properties->set_metric("my_surprise");
  properties->set_lower_bound(0);
  properties->set_higher_is_better(false);
  properties->set_continuous(true);
  properties->set_sharp(false);
  properties->set_linear_in_token_error(true);
  properties->set_unit("nats/token");
  auto declared = Make(options);
  ASSERT_TRUE(declared->Add(ExactMatch()).ok());
  ASSERT_TRUE(declared->Add(own).ok());
  RunAll(*declared);
  EXPECT_THAT(declared->warnings(), IsEmpty());
  EXPECT_EQ(declared->diagnoses()[0].counterpart(), "my_surprise");
  EXPECT_EQ(declared->diagnoses()[0].verdict(), v1::Diagnosis::MIRAGE);
}

TEST(DiagnoseTest, AxesAreTakenFromThePoints) {
  v1::DiagnoseOptions options;
  options.set_x_axis("loss");
  auto diagnosis = Make(options);
  for (v1::Series series : {ExactMatch(), Nll()}) {
    for (v1::SeriesPoint& point : *series.mutable_points()) {
      point.set_loss(2 + std::pow(point.scale(), -0.1));
    }
    series.mutable_points(0)->clear_loss();
    ASSERT_TRUE(diagnosis->Add(series).ok());
  }
  RunAll(*diagnosis);
  const v1::Diagnosis& found = diagnosis->diagnoses()[0];
  EXPECT_EQ(found.x_axis(), "loss");
  ASSERT_EQ(found.scales_size(), 7);
  // From the worst loss to the best.
  EXPECT_GT(found.scales(0).scale(), found.scales(6).scale());
  EXPECT_THAT(diagnosis->warnings(), ElementsAre(HasSubstr("1 of 8 models have no loss")));
}

TEST(DiagnoseTest, BadInputIsNamed) {
  const auto code_and_text = [](const absl::Status& status, const char* text) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  };
  v1::DiagnoseOptions options;
  options.set_x_axis("depth");
  code_and_text(SeriesDiagnosis::Create(options).status(), "options.x_axis is 'depth'");
  options.Clear();
  options.set_fdr(2);
  code_and_text(SeriesDiagnosis::Create(options).status(), "options.fdr is 2");
  options.Clear();
  options.add_metric_properties()->set_metric("acc");
  code_and_text(SeriesDiagnosis::Create(options).status(), "the registry knows it already");
  options.mutable_metric_properties(0)->set_metric("mine");
  code_and_text(SeriesDiagnosis::Create(options).status(), "needs higher_is_better");

  auto diagnosis = Make();
  v1::Series series = ExactMatch();
  series.mutable_points(2)->set_scale(0);
  code_and_text(diagnosis->Add(series), "series[0].points[2].scale is 0");
  series = ExactMatch();
  series.mutable_points(1)->set_value(std::nan(""));
  code_and_text(diagnosis->Add(series), "series[1].points[1].value is nan");
  series = ExactMatch();
  series.clear_task();
  code_and_text(diagnosis->Add(series), "series[2].task is empty");
  code_and_text(diagnosis->Start(), "nothing to diagnose");

  options.Clear();
  options.add_metrics("acc");
  auto other = Make(options);
  ASSERT_TRUE(other->Add(ExactMatch()).ok());
  code_and_text(other->Start(), "options.metrics names 'acc'");
}

TEST(DiagnoseTest, ACounterpartOfHalfTheModelsIsNotThePrimaryOne) {
  auto diagnosis = Make();
  ASSERT_TRUE(diagnosis->Add(ExactMatch()).ok());
  v1::Series nll = Nll();
  ASSERT_TRUE(diagnosis->Add(nll).ok());
  v1::Series whole = SeriesOf("log_p_target", 8, [](double scale) { return -5 * TokenNll(scale); });
  ASSERT_TRUE(diagnosis->Add(whole).ok());
  RunAll(*diagnosis);
  EXPECT_EQ(diagnosis->diagnoses()[0].counterpart(), "nll_per_token");

  diagnosis = Make();
  ASSERT_TRUE(diagnosis->Add(ExactMatch()).ok());
  nll.mutable_points()->DeleteSubrange(0, 3);
  ASSERT_TRUE(diagnosis->Add(nll).ok());
  ASSERT_TRUE(diagnosis->Add(whole).ok());
  RunAll(*diagnosis);
  EXPECT_EQ(diagnosis->diagnoses()[0].counterpart(), "log_p_target");
}

// A run of a model at `progress` in (0, 1): the share of 200 sums of two digits that it gets right,
// one digit as easy as the other, with the log-likelihoods of the answers under a second task.
std::shared_ptr<const ScoredRun> RunAt(Engine& engine, double progress) {
  v1::IngestHeader header;
  header.mutable_run()->set_model("unnamed");
  *header.mutable_run()->add_tasks() =
      test_support::Task("add", "generate_until", {{"exact_match", progress}}, 200);
  *header.mutable_run()->add_tasks() =
      test_support::Task("add_ll", "loglikelihood", {{"acc", progress}}, 200);
  v1::SampleBatch sums = test_support::EmptyBatch("add");
  v1::SampleBatch scored = test_support::EmptyBatch("add_ll");
  for (int i = 0; i < 200; ++i) {
    const std::string id = std::to_string(i);
    const std::string target = std::to_string(10 + i % 90);
    const bool is_right = i < std::lround(200 * progress);
    test_support::AddGeneration(&sums, id, is_right ? target : "xx", target, is_right ? 1 : 0);
    test_support::AddLikelihood(&scored, id, std::log(progress) * (0.5 + i / 199.0), is_right);
    for (v1::SampleBatch* batch : {&sums, &scored}) {
      test_support::AddText(batch->mutable_keys()->mutable_doc_hash(), "d" + id);
    }
    test_support::AddText(scored.mutable_likelihood()->mutable_targets(), " " + target);
  }
  auto session = *engine.StartIngest(header);
  v1::IngestResponse response;
  EXPECT_TRUE(session->Add(sums, 1, &response).ok());
  EXPECT_TRUE(session->Add(scored, 2, &response).ok());
  v1::IngestFinish finish;
  finish.set_n_batches(2);
  EXPECT_TRUE(session->Finish(finish, &response).ok());
  return *engine.Find(response.run());
}

v1::Scale ScaleAt(int i) {
  v1::Scale scale;
  scale.set_model("m" + std::to_string(i));
  scale.set_parameters(1e6 * std::pow(3.0, i));
  scale.set_flops(1e15 * std::pow(9.0, i));
  return scale;
}

TEST(DiagnoseRunsTest, TheCompanionsLogLikelihoodsAreTheCounterpart) {
  Engine engine;
  auto diagnosis = Make();
  for (int i = 0; i < 7; ++i) {
    ASSERT_TRUE(diagnosis->AddRun(RunAt(engine, 0.1 + 0.12 * i), ScaleAt(i)).ok());
  }
  RunAll(*diagnosis);
  EXPECT_THAT(diagnosis->warnings(), IsEmpty());
  // exact_match of add, and what lm-eval calls acc of add_ll.
  ASSERT_EQ(diagnosis->diagnoses().size(), 2u);
  const v1::Diagnosis& add = diagnosis->diagnoses()[0];
  EXPECT_EQ(add.task(), "add");
  EXPECT_EQ(add.counterpart(), "log_p_target");
  EXPECT_EQ(add.companion_task(), "add_ll");
  EXPECT_EQ(add.companion_matched(), 1);
  EXPECT_EQ(add.verdict(), v1::Diagnosis::SMOOTH) << add.DebugString();
  ASSERT_EQ(add.scales_size(), 7);
  EXPECT_EQ(add.scales(2).model(), "m2");
  EXPECT_EQ(add.scales(2).scale(), 9e6);
  EXPECT_EQ(add.scales(2).n(), 200u);
  EXPECT_NEAR(add.scales(2).value(), 0.34, 1e-12);
  EXPECT_NEAR(add.scales(2).counterpart_value(), std::log(0.34), 1e-12);
  const v1::Diagnosis& scored = diagnosis->diagnoses()[1];
  EXPECT_EQ(scored.task(), "add_ll");
  EXPECT_EQ(scored.metric(), "acc");
  // The accuracy of a scored text, not that of choices: its own log-likelihood makes it.
  EXPECT_EQ(scored.counterpart(), "log_p_target");
  EXPECT_FALSE(scored.has_companion_task());
}

// A run of the j-th of ten models on 300 scored texts. Those of kind "hard" stay where they are and
// then fall at once, the others fall evenly; every third has the field "rare".
std::shared_ptr<const ScoredRun> RunWithFields(Engine& engine, int j) {
  v1::IngestHeader header;
  header.mutable_run()->set_model("unnamed");
  *header.mutable_run()->add_tasks() =
      test_support::Task("texts", "loglikelihood", {{"acc", 0.5}}, 300);
  v1::SampleBatch batch = test_support::EmptyBatch("texts");
  v1::FieldColumn* const kind = batch.add_fields();
  kind->set_field("meta.kind");
  v1::FieldColumn* const rare = batch.add_fields();
  rare->set_field("rare");
  v1::FieldColumn* const id = batch.add_fields();
  id->set_field("id");
  for (int i = 0; i < 300; ++i) {
    const bool is_hard = i % 2 == 0;
    const double mean =
        is_hard ? 5 * std::exp(-0.02 * j - 1.2 * std::max(0, j - 4)) : 4 * std::exp(-0.2 * j);
    const double nll = mean * (0.5 + i / 299.0) * (1 + 0.03 * std::sin(11.0 * i + 5.0 * j));
    test_support::AddLikelihood(&batch, std::to_string(i), -nll, nll < 0.7);
    test_support::AddText(batch.mutable_keys()->mutable_doc_hash(), "d" + std::to_string(i));
    test_support::AddText(kind->mutable_values(), is_hard ? "hard" : "even\x1b[31m");
    test_support::AddText(rare->mutable_values(), i % 3 == 0 ? (i < 10 ? "few" : "many") : "");
    test_support::AddText(id->mutable_values(), std::to_string(i));
  }
  auto session = *engine.StartIngest(header);
  v1::IngestResponse response;
  EXPECT_TRUE(session->Add(batch, 1, &response).ok());
  v1::IngestFinish finish;
  finish.set_n_batches(1);
  EXPECT_TRUE(session->Finish(finish, &response).ok());
  return *engine.Find(response.run());
}

TEST(DiagnoseRunsTest, StrataOfDeclaredFieldsAndWhatIsWrongWithThem) {
  Engine engine;
  v1::DiagnoseOptions options;
  for (const char* field : {"meta.kind", "rare", "id", "gone"}) options.add_strata(field);
  auto diagnosis = Make(options);
  for (int j = 0; j < 10; ++j) {
    ASSERT_TRUE(diagnosis->AddRun(RunWithFields(engine, j), ScaleAt(j)).ok());
  }
  RunAll(*diagnosis);
  ASSERT_EQ(diagnosis->diagnoses().size(), 1u);
  const v1::Diagnosis& found = diagnosis->diagnoses()[0];
  const auto broken =
      std::find_if(found.breaks().begin(), found.breaks().end(),
                   [](const v1::Break& one) { return one.stratum() == "meta.kind=hard"; });
  ASSERT_NE(broken, found.breaks().end()) << found.DebugString();
  EXPECT_EQ(broken->where(), v1::Break::STRATUM);
  // Between the fourth and the seventh model.
  EXPECT_GT(broken->scale(), ScaleAt(3).parameters());
  EXPECT_LT(broken->scale(), ScaleAt(6).parameters());
  EXPECT_THAT(
      diagnosis->warnings(),
      ElementsAre(
          "default / texts / acc: stratum rare: 2 of 2 values have less than 100 samples in "
          "a model, or are in less than 5 models, and were not looked at: few, many",
          "default / texts / acc: stratum id: more than 64 values: not looked at",
          "default / texts / acc: stratum gone: the documents of 10 of 10 models lack it: "
          "names are those of the document, nested ones with dots"));
  ASSERT_EQ(found.sample_correlations_size(), 3);
  EXPECT_EQ(found.sample_correlations(0).metric(), "log_p_target");
  EXPECT_EQ(found.sample_correlations(0).n(), 300u);
  EXPECT_GT(found.sample_correlations(0).median(), 0.9);
  EXPECT_EQ(found.sample_correlations(2).metric(), "acc");
}

TEST(DiagnoseRunsTest, StrataThatCannotBe) {
  const auto error = [](const std::vector<std::string>& fields) {
    v1::DiagnoseOptions options;
    for (const std::string& field : fields) options.add_strata(field);
    return std::string(SeriesDiagnosis::Create(options).status().message());
  };
  EXPECT_THAT(error({"a", ""}), HasSubstr("options.strata[1] is empty"));
  EXPECT_THAT(error({"a=b"}), HasSubstr("options.strata[0] has a '='"));
  EXPECT_THAT(error({"a", "a"}), HasSubstr("options.strata[1] repeats one before it"));
  EXPECT_THAT(error({std::string(101, 'a')}), HasSubstr("is longer than 100 bytes"));
  EXPECT_THAT(error({"gain in other models"}), HasSubstr("is Mirage's own"));
  EXPECT_THAT(error(std::vector<std::string>(65, "a")), HasSubstr("has 65 fields: at most 64"));
}

TEST(DiagnoseRunsTest, ARunWithoutAPlaceOnTheAxisIsLeftOut) {
  Engine engine;
  v1::DiagnoseOptions options;
  options.set_x_axis("flops");
  auto diagnosis = Make(options);
  for (int i = 0; i < 7; ++i) {
    v1::Scale scale = ScaleAt(i);
    scale.clear_parameters();
    if (i == 3) scale.clear_flops();
    ASSERT_TRUE(diagnosis->AddRun(RunAt(engine, 0.1 + 0.12 * i), scale).ok());
  }
  RunAll(*diagnosis);
  EXPECT_THAT(diagnosis->warnings(),
              ElementsAre("m3: its flops are not known: the run was left out"));
  ASSERT_EQ(diagnosis->diagnoses()[0].scales_size(), 6);
  EXPECT_EQ(diagnosis->diagnoses()[0].scales(0).scale(), 1e15);
}

TEST(DiagnoseRunsTest, AScaleThatCannotBe) {
  Engine engine;
  auto diagnosis = Make();
  v1::Scale scale = ScaleAt(0);
  scale.set_parameters(-3);
  const absl::Status status = diagnosis->AddRun(RunAt(engine, 0.5), scale);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("runs[0].scale is -3: must be finite and > 0"));
}

TEST(DiagnoseRunsTest, CompanionsThatCannotBe) {
  v1::DiagnoseOptions options;
  options.add_companions()->set_task("add");
  EXPECT_THAT(std::string(SeriesDiagnosis::Create(options).status().message()),
              HasSubstr("options.companions[0] needs both tasks: companion is empty"));
  options.mutable_companions(0)->set_companion("add");
  EXPECT_THAT(std::string(SeriesDiagnosis::Create(options).status().message()),
              HasSubstr("'add' cannot be its own companion"));
}

}  // namespace
}  // namespace mirage::server
