#include "metrics/text/porter_stemmer.h"

#include <string>

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

struct StemCase {
  std::string_view word;
  std::string_view stem;
};

#include "metrics/text/porter_stemmer_vectors.inc"

TEST(PorterStemmerTest, AgreesWithNltk) {
  for (const StemCase& c : kStemCases) EXPECT_EQ(PorterStem(c.word), c.stem) << c.word;
}

TEST(PorterStemmerTest, AnyBytesAreFine) {
  EXPECT_EQ(PorterStem(""), "");
  EXPECT_EQ(PorterStem("S"), "s");
  EXPECT_EQ(PorterStem("\xFF\xFE\xFDs"), "\xFF\xFE\xFD");
  EXPECT_EQ(PorterStem(std::string(100000, 'y')).size(), 100000);
  EXPECT_EQ(PorterStem(std::string(100000, 'a') + "ing").size(), 100000);
}

}  // namespace
}  // namespace mirage::metrics
