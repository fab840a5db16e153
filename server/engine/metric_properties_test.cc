#include "server/engine/metric_properties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mirage::server {
namespace {

using ::testing::HasSubstr;

TEST(MetricPropertiesTest, KnowsTheRegistryAndWhatWasDeclared) {
  google::protobuf::RepeatedPtrField<v1::MetricProperties> given;
  v1::MetricProperties& mine = *given.Add();
  mine.set_metric("mine");
  mine.set_higher_is_better(false);
  mine.set_continuous(true);
  mine.set_sharp(false);
  auto known = KnownMetrics::Create(given);
  ASSERT_TRUE(known.ok());
  EXPECT_TRUE(known->Find("exact_match", std::nullopt)->metric.sharp);
  EXPECT_TRUE(known->Find("exact_match", std::nullopt)->metric.proportion);
  EXPECT_EQ(known->Find("unheard_of", std::nullopt), nullptr);
  EXPECT_FALSE(known->Find("mine", std::nullopt)->metric.higher_is_better);
  *given.Add() = mine;
  EXPECT_THAT(std::string(KnownMetrics::Create(given).status().message()),
              HasSubstr("options.metric_properties[1].metric is 'mine': it came twice"));
  given[1].set_metric("acc");
  EXPECT_THAT(std::string(KnownMetrics::Create(given).status().message()),
              HasSubstr("the registry knows it already"));
  given[1].set_metric("other");
  given[1].set_sharp(true);
  EXPECT_THAT(std::string(KnownMetrics::Create(given).status().message()),
              HasSubstr("sharp and continuous"));
}

}  // namespace
}  // namespace mirage::server
