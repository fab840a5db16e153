#include "client/commands/meta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mirage::client {
namespace {

using ::testing::HasSubstr;

TEST(MetaOptionsTest, WhatDoesNotGoTogetherIsNamed) {
  const auto refused = [](const MetaOptions& options) {
    return std::string(CheckMetaOptions(options).message());
  };
  EXPECT_THAT(refused({}), HasSubstr("nothing to analyse: name the RUNs"));
  MetaOptions options;
  options.series = {"a.csv"};
  EXPECT_TRUE(CheckMetaOptions(options).ok());
  options.scales = {"models.csv"};
  EXPECT_THAT(refused(options), HasSubstr("--scales models.csv is for RUNs"));
  options.runs = {"run/"};
  EXPECT_TRUE(CheckMetaOptions(options).ok());
  options.plot = "a.png";
  EXPECT_THAT(refused(options), HasSubstr("must end in .svg"));
  options.plot = "b.svg";
  options.output = "./b.svg";
  EXPECT_THAT(refused(options), HasSubstr("is the file of -o"));
  options.output = "./models.csv";
  EXPECT_THAT(refused(options), HasSubstr("is a file that is"));
}

}  // namespace
}  // namespace mirage::client
