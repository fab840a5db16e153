#include "client/tables/yaml_message.h"

#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mirage/v1/emergence.pb.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

template <typename Message = v1::SimulationSpec>
absl::StatusOr<Message> Parse(std::string_view text) {
  const auto node = ParseYaml(text, "p.yaml");
  if (!node.ok()) return node.status();
  Message message;
  if (absl::Status status = FillMessage(*node, "p.yaml", message); !status.ok()) return status;
  return message;
}

std::string Failure(std::string_view text) {
  const auto message = Parse(text);
  EXPECT_TRUE(absl::IsInvalidArgument(message.status())) << message.status();
  return std::string(message.status().message());
}

TEST(YamlMessageTest, EveryKind) {
  const auto spec = Parse(
      "truth: \"0.5\"   # a text, though it looks like a number\n"
      "family: 7B\n"
      "seed: 18446744073709551615\n"
      "scales: [1e6, 10000000, 1.5e8]\n"
      "n_samples: 4294967295\n"
      "law: QUADRATIC\n"
      "greedy: true\n"
      "breaks:\n"
      "  - scale: 1e7\n"
      "    positions: [0, 2]\n"
      "  - {scale: 2e7, width: 0.5}\n"
      "bimodality:\n"
      "  factor: 2\n");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->truth(), "0.5");
  EXPECT_EQ(spec->family(), "7B");
  EXPECT_EQ(spec->seed(), 18446744073709551615u);
  EXPECT_THAT(spec->scales(), testing::ElementsAre(1e6, 1e7, 1.5e8));
  EXPECT_EQ(spec->n_samples(), 4294967295u);
  EXPECT_EQ(spec->law(), v1::SimulationSpec::QUADRATIC);
  EXPECT_TRUE(spec->greedy());
  ASSERT_EQ(spec->breaks_size(), 2);
  EXPECT_THAT(spec->breaks(0).positions(), testing::ElementsAre(0, 2));
  EXPECT_EQ(spec->breaks(1).width(), 0.5);
  EXPECT_EQ(spec->bimodality().factor(), 2);
  EXPECT_FALSE(spec->has_c());
}

TEST(YamlMessageTest, JsonIsRead) {
  const auto spec = Parse("{\"truth\": \"paper\", \"scales\": [1, 2.5e3], \"greedy\": false}");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->scales(1), 2500);
  EXPECT_TRUE(spec->has_greedy());
}

TEST(YamlMessageTest, AnchorsAreRead) {
  const auto spec = Parse("breaks:\n  - &b {scale: 5}\n  - *b\n");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->breaks(1).scale(), 5);
}

TEST(YamlMessageTest, ErrorsSayWhereAndWhat) {
  EXPECT_EQ(Failure("seed: 1\nsede: 2\n"), "p.yaml:2:1: unknown key \"sede\": is it seed?");
  EXPECT_THAT(Failure("breaks:\n  - scales: 3\n"),
              StartsWith("p.yaml:2:5: unknown key \"scales\": is it scale?"));
  EXPECT_THAT(Failure("bimodality: {qqqq: 1}"), HasSubstr("known are scale, width, factor"));
  EXPECT_EQ(Failure("seed: 1\nseed: 2\n"), "p.yaml:2:1: seed is given twice: keep one");
  EXPECT_EQ(Failure("seed:\n"), "p.yaml:1:1: seed has no value: give one, or remove the key");
  EXPECT_EQ(Failure("seed: -1"),
            "p.yaml:1:7: seed is \"-1\": must be a whole number from 0 to 2^64 - 1");
  for (const std::string bad : {"seed: 1.5", "seed: '1'", "seed: [1]", "seed: 18446744073709551616",
                                "n_samples: 4294967296", "n_samples: x"}) {
    EXPECT_THAT(Failure(bad), HasSubstr("must be a whole number")) << bad;
  }
  for (const std::string bad : {"c: x", "c: \"1\"", "c: .inf", "c: nan", "c: {a: 1}", "c: 1e999"}) {
    EXPECT_THAT(Failure(bad), HasSubstr("must be a finite number")) << bad;
  }
  for (const std::string bad : {"greedy: yes", "greedy: 1", "greedy: \"true\"", "greedy: True"}) {
    EXPECT_THAT(Failure(bad), HasSubstr("must be true or false")) << bad;
  }
  EXPECT_EQ(Failure("law: QUADRATC"), "p.yaml:1:6: law is \"QUADRATC\": is it QUADRATIC?");
  EXPECT_THAT(Failure("law: LAW_UNSPECIFIED"), HasSubstr("known are POWER_LAW"));
  EXPECT_THAT(Failure("law: [POWER_LAW]"), HasSubstr("law is \"\""));
  EXPECT_THAT(Failure("scales: 3"), HasSubstr("scales is \"3\": must be a list"));
  EXPECT_THAT(Failure("scales: [1, x]"), HasSubstr("p.yaml:1:13: scales is \"x\""));
  EXPECT_THAT(Failure("truth: [a]"), HasSubstr("truth is a list: must be a text"));
  EXPECT_THAT(Failure("bimodality: 3"), HasSubstr("must be a mapping"));
  EXPECT_THAT(Failure("- a"), HasSubstr("must be a mapping"));
  EXPECT_THAT(Failure("[a]: b"), HasSubstr("a key must be a name"));
}

TEST(YamlMessageTest, WhatIsNoYaml) {
  EXPECT_THAT(Failure(""), HasSubstr("is empty"));
  EXPECT_THAT(Failure("# nothing\n"), HasSubstr("is empty"));
  EXPECT_THAT(Failure("a: 1\n---\nb: 2\n"), HasSubstr("p.yaml:2:1: a second document"));
  EXPECT_THAT(Failure("a: 1\n]\n"), StartsWith("p.yaml:"));
  // Texts on which yaml-cpp's reader of several documents never ends.
  EXPECT_FALSE(Parse(",0").ok());
  EXPECT_FALSE(Parse("seed: 1\n,0").ok());
  EXPECT_THAT(Failure("a: [1\n"), StartsWith("p.yaml:"));
  EXPECT_THAT(Failure("a: *b\n"), StartsWith("p.yaml:1:"));
  EXPECT_THAT(Failure("a: \xff\n"), HasSubstr("not UTF-8"));
  EXPECT_THAT(Failure(std::string(kMaxYamlBytes + 1, ' ')), HasSubstr("longer than"));
  EXPECT_FALSE(Parse(std::string(100'000, '[')).ok());
  EXPECT_FALSE(Parse(std::string(100'000, '{')).ok());
}

// Aliases of aliases: 9 levels of ten would be a thousand million values.
TEST(YamlMessageTest, AliasesDoNotExplode) {
  std::string text = "breaks: &a\n";
  for (int i = 0; i < 5'000; ++i) text += "  - {positions: &p [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}\n";
  EXPECT_TRUE(Parse(text).ok());
  text = "breaks:\n  - {positions: &p [";
  for (int i = 0; i < 10'000; ++i) text += "1,";
  text += "1]}\n";
  for (int i = 0; i < 100; ++i) text += "  - {positions: *p}\n";
  EXPECT_THAT(Failure(text), HasSubstr("more than 100000 values"));
}

TEST(YamlMessageTest, MessagesWithoutAWrittenForm) {
  const auto message = Parse<v1::TextColumn>("data: abc\n");
  EXPECT_FALSE(message.ok());
}

}  // namespace
}  // namespace mirage::client
