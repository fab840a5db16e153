// The JSON that people's scripts read is these messages as ProtoJSON. This test
// holds the contract of that JSON against Debian's protobuf: names, what is
// absent, how enums and non-finite numbers are spelled.
#include <cstdint>
#include <iterator>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "mirage/v1/emergence.pb.h"
#include "mirage/v1/gate.pb.h"
#include "mirage/v1/report.pb.h"
#include "mirage/v1/run.pb.h"
#include "nlohmann/json.hpp"

namespace mirage::v1 {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::util::JsonParseOptions;
using ::google::protobuf::util::JsonPrintOptions;
using ::google::protobuf::util::JsonStringToMessage;
using ::google::protobuf::util::MessageDifferencer;
using ::google::protobuf::util::MessageToJsonString;
using ::nlohmann::json;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::EndsWith;
using ::testing::UnorderedElementsAreArray;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string Print(const Message& message) {
  JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = MessageToJsonString(message, &text, options);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return text;
}

json ToJson(const Message& message) { return json::parse(Print(message)); }

std::vector<std::string> Keys(const json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

// Names of the first `n` fields by number.
std::vector<std::string> FieldNames(const Descriptor& descriptor, int n) {
  std::vector<std::string> names;
  for (int number = 1; number <= n; ++number) {
    const FieldDescriptor* field = descriptor.FindFieldByNumber(number);
    names.push_back(field == nullptr ? "" : field->name());
  }
  return names;
}

template <typename T>
std::vector<std::string> FirstFields(int n) {
  return FieldNames(*T::descriptor(), n);
}

void SetInterval(Interval* interval, double lower, double upper) {
  interval->set_lower(lower);
  interval->set_upper(upper);
  interval->set_level(0.95);
  interval->set_method("wilson");
}

void AddReason(google::protobuf::RepeatedPtrField<Reason>* reasons) {
  Reason* reason = reasons->Add();
  reason->set_code("AT_FLOOR");
  reason->set_text("no sample is right");
  NamedValue* value = reason->add_values();
  value->set_name("r_lower");
  value->set_value(4.5);
}

AttachReport FullAttachReport() {
  AttachReport report;
  report.set_generator("mirage 1.0.0");
  RunSummary* run = report.add_runs();
  run->set_model("pythia-70m");
  run->set_harness("lm-eval");
  run->set_harness_version("0.4.13");
  run->set_path("out");
  run->add_warnings("w");
  TaskSummary* task = run->add_tasks();
  task->set_task("arc");
  task->set_filter("none");
  task->set_n_samples(40);
  task->add_members("arc_easy");
  task->mutable_mirage_risk()->set_level(MirageRisk::HIGH);
  AddReason(task->mutable_mirage_risk()->mutable_reasons());
  Unavailable* unavailable = task->add_unavailable();
  unavailable->set_metric("nll_per_token");
  unavailable->set_reason("the log has no token counts");
  task->add_warnings("w");
  task->set_n_gold_unverified(1);
  MetricSummary* metric = task->add_metrics();
  metric->set_metric("acc");
  metric->set_role(MetricSummary::REPORTED);
  metric->set_value(0.5);
  metric->set_stderr(0.08);
  SetInterval(metric->mutable_interval(), 0.35, 0.65);
  metric->set_n(40);
  metric->set_n_bad(1);
  metric->set_higher_is_better(true);
  metric->set_chance(0.25);
  metric->set_signature("acc|sum|v1");
  metric->set_reported_value(0.5);
  metric->set_rederived(1.0);
  metric->mutable_mirage_risk()->set_level(MirageRisk::HIGH);
  AddReason(metric->mutable_mirage_risk()->mutable_reasons());
  MetricSummary* counterpart = task->add_metrics();
  counterpart->set_metric("log_p_gold");
  counterpart->set_role(MetricSummary::COUNTERPART);
  counterpart->add_counterpart_of("acc");
  counterpart->set_value(-kInfinity);
  return report;
}

DiagnoseReport FullDiagnoseReport() {
  DiagnoseReport report;
  report.set_generator("mirage 1.0.0");
  Diagnosis* diagnosis = report.add_diagnoses();
  diagnosis->set_family("default");
  diagnosis->set_task("add4");
  diagnosis->set_filter("none");
  diagnosis->set_metric("exact_match");
  diagnosis->set_target_length(4);
  diagnosis->set_shots(0);
  diagnosis->set_temperature(0);
  diagnosis->set_x_axis("parameters");
  diagnosis->set_counterpart("nll_per_token");
  diagnosis->add_other_counterparts("token_edit_distance");
  diagnosis->set_verdict(Diagnosis::BREAK_SURVIVES);
  diagnosis->set_strength(Diagnosis::STRONG);
  AddReason(diagnosis->mutable_reasons());
  diagnosis->add_pooled_over("target_length=4");
  diagnosis->set_n_scales(1);
  DiagnosedScale* scale = diagnosis->add_scales();
  scale->set_model("d64");
  scale->set_scale(4e9);
  scale->set_n(1000);
  scale->set_value(0);
  SetInterval(scale->mutable_interval(), 0, 0.1);
  scale->set_counterpart_value(kNan);
  SetInterval(scale->mutable_counterpart_interval(), -kInfinity, kInfinity);
  scale->set_predicted(0.1);
  SetInterval(scale->mutable_predicted_interval(), 0, 0.2);
  scale->set_held_out(true);
  diagnosis->set_emergence_score(kInfinity);
  diagnosis->set_emergence_score_null_p(0.01);
  diagnosis->set_counterpart_emergence_score(2.807);
  diagnosis->set_zero_median(true);
  diagnosis->set_q_value(0.02);
  Break* found = diagnosis->add_breaks();
  found->set_where(Break::POSITION);
  found->set_position(0);
  found->set_from_end(true);
  found->set_scale(4e9);
  found->set_p_value(0.001);
  found->set_q_value(0.002);
  Fit* fit = diagnosis->add_fits();
  fit->set_law("power_law_floor");
  fit->set_on("nll_per_token");
  FitParameter* parameter = fit->add_parameters();
  parameter->set_name("alpha");
  parameter->set_value(-0.5);
  parameter->set_stderr(0.1);
  fit->set_aicc(-12.5);
  fit->set_n_breaks(1);
  fit->set_used(true);
  Forecast* forecast = diagnosis->add_forecast();
  forecast->set_scale(1e10);
  forecast->set_value(0.9);
  SetInterval(forecast->mutable_interval(), 0.8, 0.95);
  SamplesNeeded* needed = diagnosis->add_samples_needed();
  needed->set_model("d64");
  needed->set_n(std::numeric_limits<uint32_t>::max());
  needed->set_to_resolve(1e-9);
  return report;
}

GateReport FullGateReport() {
  GateReport report;
  report.set_verdict(GateReport::FAIL);
  GateFinding* finding = report.add_findings();
  finding->set_rule("no-regression");
  finding->set_task("arc");
  finding->set_metric("acc");
  finding->set_verdict(GateReport::FAIL);
  finding->set_message("0.5 is below 0.7");
  finding->set_observed(0.5);
  SetInterval(finding->mutable_interval(), 0.4, 0.6);
  finding->set_threshold(0.7);
  report.add_findings()->set_verdict(GateReport::INCONCLUSIVE);
  report.add_findings()->set_verdict(GateReport::PASS);
  return report;
}

// Every message type that a printed answer can contain.
void Reach(const Descriptor* descriptor, std::set<const Descriptor*>* seen) {
  // Well-known types have a JSON form of their own.
  if (descriptor->file()->package() == "google.protobuf") return;
  if (!seen->insert(descriptor).second) return;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const Descriptor* type = descriptor->field(i)->message_type();
    if (type != nullptr) Reach(type, seen);
  }
}

std::set<const Descriptor*> PrintedTypes() {
  std::set<const Descriptor*> types;
  Reach(AttachReport::descriptor(), &types);
  Reach(DiagnoseReport::descriptor(), &types);
  Reach(GateReport::descriptor(), &types);
  Reach(MetaAnalysis::descriptor(), &types);
  Reach(PlanReport::descriptor(), &types);
  Reach(Comparison::descriptor(), &types);
  Reach(HistoryReport::descriptor(), &types);
  return types;
}

// The contract's names, in the contract's order, are the first fields of each
// message; what we add comes after.
TEST(FieldNamesTest, DiagnosisFollowsTheContractToTheLetter) {
  EXPECT_THAT(
      FirstFields<Diagnosis>(25),
      ElementsAreArray(Words("family task filter metric target_length shots temperature x_axis "
                             "counterpart other_counterparts verdict strength reasons pooled_over "
                             "n_scales scales emergence_score emergence_score_null_p "
                             "counterpart_emergence_score zero_median q_value breaks fits forecast "
                             "samples_needed")));
  EXPECT_THAT(FirstFields<DiagnosedScale>(10),
              ElementsAre("model", "scale", "n", "value", "interval", "counterpart_value",
                          "counterpart_interval", "predicted", "predicted_interval", "held_out"));
  EXPECT_THAT(FirstFields<Break>(6),
              ElementsAre("where", "position", "from_end", "scale", "p_value", "q_value"));
  EXPECT_THAT(FirstFields<Fit>(6),
              ElementsAre("law", "on", "parameters", "aicc", "n_breaks", "used"));
  EXPECT_THAT(FirstFields<FitParameter>(3), ElementsAre("name", "value", "stderr"));
  EXPECT_THAT(FirstFields<Forecast>(3), ElementsAre("scale", "value", "interval"));
  EXPECT_THAT(FirstFields<SamplesNeeded>(3), ElementsAre("model", "n", "to_resolve"));
  EXPECT_THAT(FirstFields<Reason>(3), ElementsAre("code", "text", "values"));
}

TEST(FieldNamesTest, GateFollowsTheContractToTheLetter) {
  EXPECT_THAT(FirstFields<GateReport>(2), ElementsAre("verdict", "findings"));
  EXPECT_THAT(FirstFields<GateFinding>(8),
              ElementsAre("rule", "task", "metric", "verdict", "message", "observed", "interval",
                          "threshold"));
}

TEST(FieldNamesTest, PolicyFollowsTheContractToTheLetter) {
  EXPECT_THAT(FirstFields<Policy>(4), ElementsAre("version", "correction", "rules", "allow"));
  EXPECT_THAT(FirstFields<PolicyRule>(14),
              ElementsAreArray(Words("id type tasks filter metric slice group min max margin test "
                                     "delta forbid level")));
  EXPECT_EQ(PolicyRule::descriptor()->field_count(), 14);
  EXPECT_THAT(FirstFields<PolicySlice>(2), ElementsAre("field", "value"));
  EXPECT_THAT(FirstFields<PolicyAllowance>(4), ElementsAre("rule", "task", "until", "reason"));
}

TEST(JsonTest, AttachReportHasEveryNameOfTheContract) {
  const json report = ToJson(FullAttachReport());
  EXPECT_TRUE(report.contains("generator"));
  const json& run = report.at("runs").at(0);
  for (const char* key : {"model", "harness", "harness_version", "path", "tasks"}) {
    EXPECT_TRUE(run.contains(key)) << key;
  }
  const json& task = run.at("tasks").at(0);
  for (const char* key : {"task", "filter", "n_samples", "members", "metrics", "mirage_risk",
                          "unavailable", "warnings", "n_gold_unverified"}) {
    EXPECT_TRUE(task.contains(key)) << key;
  }
  EXPECT_THAT(Keys(task.at("unavailable").at(0)), UnorderedElementsAreArray({"metric", "reason"}));
  const json& metric = task.at("metrics").at(0);
  for (const char* key :
       {"metric", "role", "counterpart_of", "value", "stderr", "interval", "n", "n_bad",
        "higher_is_better", "chance", "signature", "reported_value", "rederived", "mirage_risk"}) {
    EXPECT_TRUE(metric.contains(key)) << key;
  }
  EXPECT_THAT(Keys(metric.at("interval")),
              UnorderedElementsAreArray({"lower", "upper", "level", "method", "signature"}));
  const json& risk = metric.at("mirage_risk");
  EXPECT_THAT(Keys(risk), UnorderedElementsAreArray({"level", "reasons"}));
  EXPECT_THAT(Keys(risk.at("reasons").at(0)),
              UnorderedElementsAreArray({"code", "text", "values"}));
  EXPECT_THAT(Keys(risk.at("reasons").at(0).at("values").at(0)),
              UnorderedElementsAreArray({"name", "value"}));
}

TEST(JsonTest, DiagnosisHasEveryNameOfTheContract) {
  const json report = ToJson(FullDiagnoseReport());
  const json& diagnosis = report.at("diagnoses").at(0);
  for (const std::string& key : FirstFields<Diagnosis>(25)) {
    EXPECT_TRUE(diagnosis.contains(key)) << key;
  }
  EXPECT_THAT(Keys(diagnosis.at("scales").at(0)),
              UnorderedElementsAreArray(FirstFields<DiagnosedScale>(10)));
  EXPECT_THAT(Keys(diagnosis.at("breaks").at(0)), UnorderedElementsAreArray(FirstFields<Break>(6)));
  EXPECT_THAT(Keys(diagnosis.at("fits").at(0)), UnorderedElementsAreArray(FirstFields<Fit>(6)));
  EXPECT_THAT(Keys(diagnosis.at("fits").at(0).at("parameters").at(0)),
              UnorderedElementsAreArray(FirstFields<FitParameter>(3)));
  EXPECT_THAT(Keys(diagnosis.at("forecast").at(0)),
              UnorderedElementsAreArray(FirstFields<Forecast>(3)));
  EXPECT_THAT(Keys(diagnosis.at("samples_needed").at(0)),
              UnorderedElementsAreArray(FirstFields<SamplesNeeded>(3)));
}

TEST(JsonTest, FindingHasEveryNameOfTheContract) {
  const json report = ToJson(FullGateReport());
  EXPECT_EQ(report.at("verdict"), "FAIL");
  for (const std::string& key : FirstFields<GateFinding>(8)) {
    EXPECT_TRUE(report.at("findings").at(0).contains(key)) << key;
  }
  EXPECT_EQ(report.at("findings").at(1).at("verdict"), "INCONCLUSIVE");
  EXPECT_EQ(report.at("findings").at(2).at("verdict"), "PASS");
}

// Missing is absent: neither null, nor 0, nor an unspecified enum.
TEST(JsonTest, UnsetOptionalsAreAbsentAndPlainFieldsAreThere) {
  AttachReport attach;
  attach.add_runs()->add_tasks()->add_metrics()->set_role(MetricSummary::COUNTERPART);
  const json task = ToJson(attach).at("runs").at(0).at("tasks").at(0);
  EXPECT_THAT(Keys(task), UnorderedElementsAreArray({"task", "filter", "n_samples", "members",
                                                     "metrics", "unavailable", "warnings",
                                                     "n_gold_unverified", "version", "n_bad"}));
  EXPECT_EQ(task.at("n_samples"), 0);
  EXPECT_EQ(task.at("members"), json::array());
  EXPECT_EQ(task.at("filter"), "");
  const json& metric = task.at("metrics").at(0);
  for (const char* key : {"value", "stderr", "interval", "chance", "reported_value",
                          "reported_stderr", "rederived", "mirage_risk", "bounds"}) {
    EXPECT_FALSE(metric.contains(key)) << key;
  }
  EXPECT_EQ(metric.at("n"), 0);
  EXPECT_EQ(metric.at("higher_is_better"), false);

  DiagnoseReport diagnose;
  Diagnosis* empty = diagnose.add_diagnoses();
  empty->set_verdict(Diagnosis::INSUFFICIENT);
  empty->add_scales();
  empty->add_breaks()->set_where(Break::MEAN);
  empty->add_fits()->add_parameters();
  empty->add_forecast();
  const json diagnosis = ToJson(diagnose).at("diagnoses").at(0);
  EXPECT_THAT(Keys(diagnosis),
              UnorderedElementsAreArray({"family", "task", "filter", "metric", "x_axis",
                                         "other_counterparts", "verdict", "reasons", "pooled_over",
                                         "n_scales", "scales", "zero_median", "breaks", "fits",
                                         "forecast", "samples_needed", "sample_correlations"}));
  EXPECT_THAT(Keys(diagnosis.at("scales").at(0)),
              UnorderedElementsAreArray({"model", "scale", "held_out"}));
  EXPECT_THAT(Keys(diagnosis.at("breaks").at(0)), UnorderedElementsAreArray({"where", "from_end"}));
  EXPECT_THAT(Keys(diagnosis.at("fits").at(0)),
              UnorderedElementsAreArray({"law", "on", "parameters", "n_breaks", "used"}));
  EXPECT_THAT(Keys(diagnosis.at("fits").at(0).at("parameters").at(0)),
              UnorderedElementsAreArray({"name", "value"}));
  EXPECT_THAT(Keys(diagnosis.at("forecast").at(0)), UnorderedElementsAreArray({"scale", "value"}));

  GateReport gate;
  gate.add_findings()->set_verdict(GateReport::FAIL);
  const json finding = ToJson(gate).at("findings").at(0);
  for (const char* key : {"observed", "interval", "threshold", "n", "p_value", "location"}) {
    EXPECT_FALSE(finding.contains(key)) << key;
  }

  const std::string text = Print(attach) + Print(diagnose);
  EXPECT_EQ(text.find("null"), std::string::npos);
  EXPECT_EQ(text.find("_UNSPECIFIED"), std::string::npos);
}

// An optional that was set to its default is a value, and must show.
TEST(JsonTest, SetOptionalsShowWhenTheyAreZero) {
  const json diagnosis = ToJson(FullDiagnoseReport()).at("diagnoses").at(0);
  EXPECT_EQ(diagnosis.at("shots"), 0);
  EXPECT_EQ(diagnosis.at("temperature"), 0.0);
  EXPECT_EQ(diagnosis.at("scales").at(0).at("value"), 0.0);
  EXPECT_EQ(diagnosis.at("breaks").at(0).at("position"), 0);
}

TEST(JsonTest, EnumsAreUnprefixedStrings) {
  const json metrics = ToJson(FullAttachReport()).at("runs").at(0).at("tasks").at(0).at("metrics");
  EXPECT_EQ(metrics.at(0).at("role"), "REPORTED");
  EXPECT_EQ(metrics.at(0).at("mirage_risk").at("level"), "HIGH");
  EXPECT_EQ(metrics.at(1).at("role"), "COUNTERPART");
  const json diagnosis = ToJson(FullDiagnoseReport()).at("diagnoses").at(0);
  EXPECT_EQ(diagnosis.at("verdict"), "BREAK_SURVIVES");
  EXPECT_EQ(diagnosis.at("strength"), "STRONG");
  EXPECT_EQ(diagnosis.at("breaks").at(0).at("where"), "POSITION");
}

std::vector<std::string> ValueNames(const EnumDescriptor& descriptor) {
  std::vector<std::string> names;
  for (int i = 1; i < descriptor.value_count(); ++i) names.push_back(descriptor.value(i)->name());
  return names;
}

TEST(JsonTest, EnumValuesAreTheContracts) {
  EXPECT_THAT(ValueNames(*Diagnosis::Verdict_descriptor()),
              ElementsAre("MIRAGE", "RESOLUTION_LIMITED", "BREAK_SURVIVES", "SMOOTH", "MIXED",
                          "INSUFFICIENT"));
  EXPECT_THAT(ValueNames(*Diagnosis::Strength_descriptor()),
              ElementsAre("STRONG", "MODERATE", "WEAK"));
  EXPECT_THAT(ValueNames(*Break::Where_descriptor()), ElementsAre("MEAN", "POSITION", "STRATUM"));
  EXPECT_THAT(ValueNames(*GateReport::Verdict_descriptor()),
              ElementsAre("PASS", "FAIL", "INCONCLUSIVE"));
  EXPECT_THAT(ValueNames(*MirageRisk::Level_descriptor()),
              ElementsAre("NONE", "LOW", "HIGH", "UNKNOWN"));
  EXPECT_THAT(ValueNames(*MetricSummary::Role_descriptor()),
              ElementsAre("REPORTED", "COUNTERPART"));
  EXPECT_THAT(ValueNames(*PolicyRule::Type_descriptor()),
              ElementsAre("VALUE", "CHANGE", "COUNTERPART", "RESOLUTION", "CALIBRATION", "VERDICT",
                          "FORECAST", "CLAIM"));
  EXPECT_THAT(ValueNames(*PolicyRule::Test_descriptor()),
              ElementsAre("NON_INFERIORITY", "SUPERIORITY"));
  EXPECT_THAT(ValueNames(*Policy::Correction_descriptor()), ElementsAre("HOLM", "BH", "NONE"));
}

TEST(JsonTest, NonFiniteNumbersAreStrings) {
  const json diagnosis = ToJson(FullDiagnoseReport()).at("diagnoses").at(0);
  EXPECT_EQ(diagnosis.at("emergence_score"), "Infinity");
  const json& scale = diagnosis.at("scales").at(0);
  EXPECT_EQ(scale.at("counterpart_value"), "NaN");
  EXPECT_EQ(scale.at("counterpart_interval").at("lower"), "-Infinity");
  EXPECT_EQ(scale.at("counterpart_interval").at("upper"), "Infinity");
}

TEST(JsonTest, CountsAndScalesAreNumbers) {
  const json diagnosis = ToJson(FullDiagnoseReport()).at("diagnoses").at(0);
  EXPECT_TRUE(diagnosis.at("n_scales").is_number_unsigned());
  EXPECT_TRUE(diagnosis.at("target_length").is_number_unsigned());
  EXPECT_TRUE(diagnosis.at("scales").at(0).at("n").is_number_unsigned());
  EXPECT_EQ(diagnosis.at("samples_needed").at(0).at("n"), 4294967295u);
  EXPECT_TRUE(diagnosis.at("scales").at(0).at("scale").is_number());
  EXPECT_EQ(diagnosis.at("scales").at(0).at("scale"), 4e9);
  const json task = ToJson(FullAttachReport()).at("runs").at(0).at("tasks").at(0);
  EXPECT_TRUE(task.at("n_samples").is_number_unsigned());
  EXPECT_TRUE(task.at("metrics").at(0).at("n").is_number_unsigned());
}

// The text gives back the same number, so that a golden at 1e-12 means something.
// Only the sign of -0.0 is lost: it is written as -0, which readers take for the
// integer 0.
TEST(JsonTest, DoublesRoundTripExactly) {
  for (const double value :
       {0.1 + 0.2, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, 0.37741850753620404, 1e15 + 0.3}) {
    NamedValue message;
    message.set_value(value);
    NamedValue back;
    ASSERT_TRUE(JsonStringToMessage(Print(message), &back).ok());
    EXPECT_EQ(back.value(), value);
    EXPECT_EQ(ToJson(message).at("value").get<double>(), value);
  }
}

TEST(JsonTest, ReportsRoundTrip) {
  const AttachReport attach = FullAttachReport();
  AttachReport attach_back;
  ASSERT_TRUE(JsonStringToMessage(Print(attach), &attach_back).ok());
  EXPECT_EQ(attach_back.SerializeAsString(), attach.SerializeAsString());
  const DiagnoseReport diagnose = FullDiagnoseReport();
  DiagnoseReport diagnose_back;
  ASSERT_TRUE(JsonStringToMessage(Print(diagnose), &diagnose_back).ok());
  EXPECT_EQ(diagnose_back.SerializeAsString(), diagnose.SerializeAsString());
  const GateReport gate = FullGateReport();
  GateReport gate_back;
  ASSERT_TRUE(JsonStringToMessage(Print(gate), &gate_back).ok());
  EXPECT_TRUE(MessageDifferencer::Equals(gate_back, gate));
}

// Our own readers of our JSON are consumers too: an unknown field of a newer
// version is skipped.
TEST(JsonTest, UnknownFieldsCanBeSkipped) {
  JsonParseOptions options;
  options.ignore_unknown_fields = true;
  GateReport report;
  ASSERT_TRUE(
      JsonStringToMessage(R"({"verdict":"PASS","of_tomorrow":{"a":[1]}})", &report, options).ok());
  EXPECT_EQ(report.verdict(), GateReport::PASS);
}

// The policy's YAML becomes JSON becomes this message: lower-case enums are
// taken, keys that the schema lacks are not.
TEST(JsonTest, PolicyTakesTheSpellingOfTheContract) {
  JsonParseOptions options;
  options.case_insensitive_enum_parsing = true;
  Policy policy;
  const auto status = JsonStringToMessage(
      R"({"version":1,"correction":"holm",
          "rules":[{"id":"a","type":"change","tasks":["arc*"],"metric":"acc","margin":0,
                    "test":"non_inferiority","slice":{"field":"subject","value":"law"},
                    "level":0.9},
                   {"id":"b","type":"verdict","forbid":["MIRAGE"]}],
          "allow":[{"rule":"a","task":"arc_easy","until":"2027-01-31","reason":"known"}]})",
      &policy, options);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(policy.correction(), Policy::HOLM);
  EXPECT_EQ(policy.rules(0).type(), PolicyRule::CHANGE);
  EXPECT_EQ(policy.rules(0).test(), PolicyRule::NON_INFERIORITY);
  EXPECT_TRUE(policy.rules(0).has_margin());
  EXPECT_FALSE(policy.rules(0).has_min());
  EXPECT_EQ(policy.rules(1).type(), PolicyRule::VERDICT);

  Policy refused;
  EXPECT_FALSE(
      JsonStringToMessage(R"({"rules":[{"id":"a","marigin":1}]})", &refused, options).ok());
  EXPECT_FALSE(JsonStringToMessage(R"({"correction":"hulm"})", &refused, options).ok());
}

TEST(SchemaTest, NothingPrintedIsAMapOrA64BitInteger) {
  for (const Descriptor* type : PrintedTypes()) {
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      EXPECT_FALSE(field->is_map()) << field->full_name();
      EXPECT_NE(field->cpp_type(), FieldDescriptor::CPPTYPE_INT64) << field->full_name();
      EXPECT_NE(field->cpp_type(), FieldDescriptor::CPPTYPE_UINT64) << field->full_name();
      // A float would print fewer digits than it takes to compare.
      EXPECT_NE(field->cpp_type(), FieldDescriptor::CPPTYPE_FLOAT) << field->full_name();
    }
  }
}

TEST(SchemaTest, EnumsAreNestedAndStartUnspecified) {
  for (const Descriptor* type : PrintedTypes()) {
    for (int i = 0; i < type->field_count(); ++i) {
      const EnumDescriptor* values = type->field(i)->enum_type();
      if (values == nullptr) continue;
      EXPECT_NE(values->containing_type(), nullptr) << values->full_name();
      EXPECT_EQ(values->value(0)->number(), 0) << values->full_name();
      EXPECT_THAT(values->value(0)->name(), EndsWith("_UNSPECIFIED")) << values->full_name();
    }
  }
}

// Anything that the walk above would miss because it is not reachable from an
// answer is not printed; make sure that it does reach the deep ones.
TEST(SchemaTest, TheWalkReachesTheDeepTypes) {
  const auto types = PrintedTypes();
  for (const Descriptor* type :
       {NamedValue::descriptor(), Interval::descriptor(), FitParameter::descriptor(),
        GateFinding::descriptor(), SourceLocation::descriptor(), MetricComparison::descriptor(),
        HistoryEntry::descriptor(), OddsRatio::descriptor(), PlannedScale::descriptor()}) {
    EXPECT_EQ(types.count(type), 1u) << type->full_name();
  }
}

}  // namespace
}  // namespace mirage::v1
