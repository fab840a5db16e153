#include "client/render/vega_lite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "client/render/diagnose_example.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

Json SpecOf(const v1::Diagnosis& diagnosis) {
  v1::DiagnoseReport report;
  *report.add_diagnoses() = diagnosis;
  return Json::parse(DiagnoseVegaLite(report))["vconcat"][0];
}

// The objects that stand under `key` anywhere.
void Gather(const Json& json, const std::string& key, Json& found) {
  if (json.is_object() && json.contains(key)) found.push_back(json[key]);
  for (const Json& inner : json) {
    if (inner.is_structured()) Gather(inner, key, found);
  }
}

TEST(VegaLiteTest, AFigureADiagnosis) {
  const Json spec = Json::parse(DiagnoseVegaLite(ExampleReport()));
  EXPECT_EQ(spec["$schema"], "https://vega.github.io/schema/vega-lite/v5.json");
  ASSERT_EQ(spec["vconcat"].size(), 3);
  const Json& mirage = spec["vconcat"][0];
  EXPECT_THAT(mirage["title"]["text"].get<std::string>(),
              HasSubstr("MIRAGE (STRONG): addition exact_match"));
  EXPECT_THAT(mirage["title"]["subtitle"].dump(), HasSubstr("Hollow: held out"));
  ASSERT_EQ(mirage["data"]["values"].size(), 8);
  const Json& largest = mirage["data"]["values"][7];
  EXPECT_EQ(largest["family"], "gpt3");
  EXPECT_EQ(largest["task"], "addition");
  EXPECT_EQ(largest["model"], "gpt3-175B");
  EXPECT_EQ(largest["scale"], 175e9);
  EXPECT_EQ(largest["held_out"], true);
  EXPECT_DOUBLE_EQ(largest["value"].get<double>(), 0.586);
  EXPECT_DOUBLE_EQ(largest["lower"].get<double>(), 0.556);
  EXPECT_TRUE(largest.contains("predicted_upper"));
  EXPECT_EQ(mirage["vconcat"].size(), 2);
  EXPECT_EQ(mirage["resolve"]["scale"]["x"], "shared");
  const Json& y = mirage["vconcat"][1]["layer"][1]["encoding"]["y"];
  EXPECT_EQ(y["title"], "nll_per_token (log)");
  EXPECT_EQ(y["scale"]["type"], "log");
  // What is not there is not promised.
  EXPECT_THAT(mirage.dump(), HasSubstr("\"datum\":\"forecast\""));
  EXPECT_THAT(spec["vconcat"][1].dump(), Not(HasSubstr("\"datum\":\"predicted")));
  EXPECT_THAT(spec["vconcat"][1].dump(), HasSubstr("\"where\":\"POSITION\""));
  EXPECT_EQ(spec["vconcat"][2]["mark"], "text");
}

TEST(VegaLiteTest, TheScaleIsLogarithmicAndLossRunsDown) {
  v1::Diagnosis diagnosis = ExampleMirage();
  Json x = Json::array();
  Gather(SpecOf(diagnosis)["vconcat"], "x", x);
  for (const Json& channel : x) {
    EXPECT_EQ(channel["scale"]["type"], "log");
    EXPECT_FALSE(channel["scale"].contains("reverse"));
  }
  diagnosis.set_x_axis("loss");
  x = Json::array();
  Gather(SpecOf(diagnosis)["vconcat"], "x", x);
  ASSERT_GT(x.size(), 5);
  for (const Json& channel : x) EXPECT_EQ(channel["scale"]["reverse"], true);
}

TEST(VegaLiteTest, NegativeCounterpartsAreNegated) {
  v1::Diagnosis diagnosis = ExampleMirage();
  diagnosis.set_counterpart("log_p_target");
  for (v1::DiagnosedScale& scale : *diagnosis.mutable_scales()) {
    scale.set_counterpart_value(-2);
    SetInterval(scale.mutable_counterpart_interval(), -3, 1, 0.95);
  }
  const Json spec = SpecOf(diagnosis);
  const Json& row = spec["data"]["values"][0];
  EXPECT_EQ(row["counterpart_value"], 2);
  EXPECT_EQ(row["counterpart_lower"], -1);
  EXPECT_EQ(row["counterpart_upper"], 3);
  // -1 has no place on a log axis.
  EXPECT_GT(row["counterpart_from"].get<double>(), 0);
  EXPECT_EQ(spec["vconcat"][1]["layer"][1]["encoding"]["y"]["title"], "−log_p_target (log)");
  // Of both signs: neither negated nor logarithmic.
  diagnosis.mutable_scales(0)->set_counterpart_value(1);
  const Json mixed = SpecOf(diagnosis);
  EXPECT_EQ(mixed["data"]["values"][1]["counterpart_value"], -2);
  EXPECT_FALSE(mixed["vconcat"][1]["layer"][1]["encoding"]["y"]["scale"].contains("type"));
}

TEST(VegaLiteTest, WhatIsNoNumberIsLeftOut) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  v1::Diagnosis diagnosis = ExampleMirage();
  diagnosis.mutable_scales(0)->set_scale(0);
  diagnosis.mutable_scales(1)->set_value(std::numeric_limits<double>::quiet_NaN());
  SetInterval(diagnosis.mutable_scales(2)->mutable_predicted_interval(), 0, kInfinity, 0.9);
  diagnosis.mutable_forecast(0)->set_scale(kInfinity);
  const Json spec = SpecOf(diagnosis);
  ASSERT_EQ(spec["data"]["values"].size(), 7);
  EXPECT_FALSE(spec["data"]["values"][0].contains("value"));
  EXPECT_FALSE(spec["data"]["values"][1].contains("predicted_upper"));
  EXPECT_EQ(spec["data"]["values"][1]["predicted_lower"], 0);
  EXPECT_THAT(spec.dump(), Not(HasSubstr("\"datum\":\"forecast\"")));
}

TEST(VegaLiteTest, NamesAreTextAndNothingElse) {
  v1::Diagnosis diagnosis = ExampleMirage();
  const std::string hostile =
      "</script><img onerror=alert(1)> datum.x' \" {\"expr\": \"1\"} \x1b[31m";
  diagnosis.set_task(hostile);
  diagnosis.set_family("\xff");
  diagnosis.set_metric(hostile);
  diagnosis.set_counterpart(hostile);
  diagnosis.mutable_scales(0)->set_model(hostile);
  diagnosis.mutable_reasons(0)->set_text(hostile);
  v1::DiagnoseReport report;
  *report.add_diagnoses() = diagnosis;
  const std::string text = DiagnoseVegaLite(report);
  EXPECT_THAT(text, Not(HasSubstr("<")));
  for (const char c : text) EXPECT_TRUE((c >= ' ' && c <= '~') || c == '\n');
  const Json spec = Json::parse(text);
  EXPECT_EQ(spec["vconcat"][0]["data"]["values"][0]["task"], hostile);
  // No expression of any kind: only predicates, and fields that have fixed names.
  for (const char* const key : {"expr", "signal", "calculate", "labelExpr", "url", "href"}) {
    Json found = Json::array();
    Gather(spec, key, found);
    EXPECT_TRUE(found.empty()) << key;
  }
  for (const char* const key : {"filter", "test"}) {
    Json found = Json::array();
    Gather(spec["vconcat"][0]["vconcat"], key, found);
    EXPECT_FALSE(found.empty());
    for (const Json& predicate : found) EXPECT_TRUE(predicate.is_object()) << predicate;
  }
}

TEST(VegaLiteTest, ABandDoesNotFlattenTheCurve) {
  v1::Diagnosis diagnosis = ExampleMirage();
  const auto scale_of = [](const Json& spec) {
    return spec["vconcat"][0]["layer"][0]["encoding"]["y"]["scale"];
  };
  EXPECT_EQ(scale_of(SpecOf(diagnosis))["zero"], true);
  SetInterval(diagnosis.mutable_scales(0)->mutable_predicted_interval(), -1e9, 1e9, 0.9);
  const Json scale = scale_of(SpecOf(diagnosis));
  EXPECT_LE(scale["domain"][1].get<double>(), 1);
  EXPECT_EQ(scale["clamp"], true);
}

TEST(VegaLiteTest, NothingDiagnosed) {
  EXPECT_TRUE(Json::parse(DiagnoseVegaLite({}))["vconcat"].empty());
}

}  // namespace
}  // namespace mirage::client
