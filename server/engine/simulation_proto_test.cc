#include "server/engine/simulation_proto.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>

namespace mirage::server {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::util::MessageDifferencer;

// Every field set, each to a number of its own, so that no two can be taken for each other.
void SetAll(Message* message, int* next) {
  const auto* const reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* const field = message->GetDescriptor()->field(i);
    const int times = field->is_repeated() ? 2 : 1;
    for (int t = 0; t < times; ++t) {
      const int value = ++*next;
      const bool add = field->is_repeated();
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
          reflection->SetString(message, field, "text " + std::to_string(value));
          break;
        case FieldDescriptor::CPPTYPE_UINT32:
          if (add) reflection->AddUInt32(message, field, value);
          if (!add) reflection->SetUInt32(message, field, value);
          break;
        case FieldDescriptor::CPPTYPE_UINT64:
          reflection->SetUInt64(message, field, value);
          break;
        case FieldDescriptor::CPPTYPE_DOUBLE:
          if (add) reflection->AddDouble(message, field, value + 0.5);
          if (!add) reflection->SetDouble(message, field, value + 0.5);
          break;
        case FieldDescriptor::CPPTYPE_BOOL:
          reflection->SetBool(message, field, true);
          break;
        case FieldDescriptor::CPPTYPE_ENUM:
          reflection->SetEnumValue(message, field, 2);
          break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
          SetAll(add ? reflection->AddMessage(message, field)
                     : reflection->MutableMessage(message, field),
                 next);
          break;
        default:
          FAIL() << field->full_name() << " is of a kind that the test does not know";
      }
    }
  }
}

TEST(SimulationProtoTest, EveryFieldGoesBothWays) {
  v1::SimulationSpec message;
  int next = 0;
  SetAll(&message, &next);
  const auto spec = SimulationFromProto(message);
  ASSERT_TRUE(spec.ok()) << spec.status();
  const v1::SimulationSpec back = SimulationToProto(*spec);
  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(message, back)) << difference;
  EXPECT_EQ(spec->breaks[1].positions.size(), 2u);
  EXPECT_EQ(*spec->wrong_gold_share, message.wrong_gold_share());
}

TEST(SimulationProtoTest, WhatIsAbsentStaysAbsent) {
  const auto spec = SimulationFromProto({});
  ASSERT_TRUE(spec.ok());
  EXPECT_FALSE(spec->n_samples.has_value());
  EXPECT_FALSE(spec->outlier.has_value());
  EXPECT_EQ(SimulationToProto(*spec).ByteSizeLong(), 0u);
  // An explicit 0 is none of the preset's values.
  v1::SimulationSpec zero;
  zero.set_tau(0);
  zero.set_greedy(false);
  EXPECT_TRUE(SimulationFromProto(zero)->tau.has_value());
  EXPECT_TRUE(SimulationFromProto(zero)->greedy.has_value());
}

TEST(SimulationProtoTest, EveryPresetGoesBothWays) {
  for (const metrics::SimulationPreset& preset : metrics::SimulationPresets()) {
    metrics::SimulationSpec named;
    named.truth = std::string(preset.name);
    named.seed = 7;
    const auto filled = metrics::FillSimulationSpec(named);
    ASSERT_TRUE(filled.ok()) << preset.name;
    const v1::SimulationSpec message = SimulationToProto(*filled);
    const auto back = SimulationFromProto(message);
    ASSERT_TRUE(back.ok()) << preset.name;
    EXPECT_TRUE(MessageDifferencer::Equals(message, SimulationToProto(*back))) << preset.name;
    // Nothing is left for the preset to fill in.
    EXPECT_TRUE(
        MessageDifferencer::Equals(message, SimulationToProto(*metrics::FillSimulationSpec(*back))))
        << preset.name;
  }
}

TEST(SimulationProtoTest, UnknownEnumerationValues) {
  v1::SimulationSpec message;
  message.set_evidence(static_cast<v1::SimulationSpec::Evidence>(9));
  EXPECT_EQ(SimulationFromProto(message).status().message(),
            "spec.evidence is 9: must be GENERATION, MULTIPLE_CHOICE, VECTORS or TRIALS");
  message.clear_evidence();
  message.set_law(static_cast<v1::SimulationSpec::Law>(-1));
  EXPECT_EQ(SimulationFromProto(message).status().message(),
            "spec.law is -1: must be POWER_LAW, LOGISTIC or QUADRATIC");
}

TEST(SimulationProtoTest, VerdictsHaveTheSameNames) {
  using metrics::TrueVerdict;
  for (const TrueVerdict verdict :
       {TrueVerdict::kMirage, TrueVerdict::kResolutionLimited, TrueVerdict::kBreakSurvives,
        TrueVerdict::kSmooth, TrueVerdict::kMixed, TrueVerdict::kInsufficient}) {
    EXPECT_EQ(v1::Diagnosis::Verdict_Name(VerdictToProto(verdict)),
              metrics::TrueVerdictName(verdict));
  }
}

}  // namespace
}  // namespace mirage::server
