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
  EXPECT_TRUE(CheckMetaOptions({.series = {"a.csv"}}).ok());
  EXPECT_THAT(refused({}), HasSubstr("--series FILE"));
  EXPECT_THAT(refused({.runs = {"run/"}, .series = {"a.csv"}}), HasSubstr("run/: meta does not"));
  EXPECT_THAT(refused({.series = {"a.csv"}, .plot = "a.png"}), HasSubstr("must end in .svg"));
  EXPECT_THAT(refused({.series = {"a.csv"}, .plot = "b.svg", .output = "./b.svg"}),
              HasSubstr("is the file of -o"));
  EXPECT_THAT(refused({.series = {"a.csv"}, .output = "./a.csv"}), HasSubstr("is a file that is"));
}

}  // namespace
}  // namespace mirage::client
