#include "client/tables/csv_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/tables/text_source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/file_permissions.h"
#include "tests/support/temporary_folder.h"

namespace mirage::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Record {
  uint64_t line = 0;
  std::vector<std::string> fields;
  std::string message;
  bool operator==(const Record& other) const = default;
};

std::vector<Record> ReadAll(CsvReader& reader) {
  std::vector<Record> records;
  while (true) {
    const auto kind = reader.Next();
    EXPECT_TRUE(kind.ok()) << kind.status();
    if (!kind.ok() || *kind == CsvReader::Kind::kEnd) break;
    Record record;
    record.line = reader.line();
    record.message = reader.message();
    EXPECT_EQ(record.message.empty(), *kind == CsvReader::Kind::kRecord);
    for (const std::string_view field : reader.fields()) record.fields.emplace_back(field);
    EXPECT_EQ(record.fields.empty(), *kind == CsvReader::Kind::kMalformed);
    records.push_back(std::move(record));
  }
  EXPECT_EQ(*reader.Next(), CsvReader::Kind::kEnd);
  return records;
}

// Read whole, and again in blocks of every small size: cut anywhere, the result is the same.
std::vector<Record> Records(const std::string& text) {
  CsvReader whole(TextSource(text));
  std::vector<Record> records = ReadAll(whole);
  for (const size_t block : {1, 2, 3, 5, 7}) {
    CsvReader cut(TextSource(text, block));
    EXPECT_EQ(ReadAll(cut), records) << "in blocks of " << block;
  }
  return records;
}

std::vector<std::vector<std::string>> Fields(const std::string& text) {
  std::vector<std::vector<std::string>> fields;
  for (Record& record : Records(text)) {
    EXPECT_EQ(record.message, "");
    fields.push_back(std::move(record.fields));
  }
  return fields;
}

TEST(CsvReaderTest, WhatRfc4180Allows) {
  EXPECT_THAT(Fields("a,b\nc,d\n"), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d")));
  EXPECT_THAT(Fields("a,b\r\nc,d\r\n"), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d")));
  EXPECT_THAT(Fields("a,b\nc,d"), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d")));
  EXPECT_THAT(Fields("a\r\nb\r"), ElementsAre(ElementsAre("a"), ElementsAre("b")));
  EXPECT_THAT(Fields(",\n,,\n"), ElementsAre(ElementsAre("", ""), ElementsAre("", "", "")));
  EXPECT_THAT(Fields("\"a\",\"b,c\",\"d\"\"e\",\"\"\n"),
              ElementsAre(ElementsAre("a", "b,c", "d\"e", "")));
  EXPECT_THAT(Fields("\"\"\"\"\n\"\"\"a\"\"\""),
              ElementsAre(ElementsAre("\""), ElementsAre("\"a\"")));
  EXPECT_THAT(Fields("\"a\nb\",c\nd,e\n"),
              ElementsAre(ElementsAre("a\nb", "c"), ElementsAre("d", "e")));
  EXPECT_THAT(Fields("\"a\r\nb\"\r\n"), ElementsAre(ElementsAre("a\r\nb")));
  EXPECT_THAT(Fields(" a , b\n"), ElementsAre(ElementsAre(" a ", " b")));
  EXPECT_THAT(Fields("x,\"y\""), ElementsAre(ElementsAre("x", "y")));
}

TEST(CsvReaderTest, BlankLinesAndMarks) {
  EXPECT_TRUE(Records("").empty());
  EXPECT_TRUE(Records("\n\r\n\n").empty());
  EXPECT_TRUE(Records("\xef\xbb\xbf").empty());
  EXPECT_THAT(Fields("\xef\xbb\xbf"
                     "a,b\n"),
              ElementsAre(ElementsAre("a", "b")));
  EXPECT_THAT(Fields("\xef\xbb\xbf\"a\"\n"), ElementsAre(ElementsAre("a")));
  const std::vector<Record> records = Records("\n\na\n\r\nb\n");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].line, 3u);
  EXPECT_EQ(records[1].line, 5u);
}

TEST(CsvReaderTest, LinesAreThoseOfTheFile) {
  const std::vector<Record> records = Records("a\n\"b\nb\nb\"\nc\n\"d\",\"e\n\"\nf");
  std::vector<uint64_t> lines;
  lines.reserve(records.size());
  for (const Record& record : records) lines.push_back(record.line);
  EXPECT_THAT(lines, ElementsAre(1, 2, 5, 6, 8));
}

TEST(CsvReaderTest, AMalformedRecordCostsItself) {
  struct Case {
    std::string line;
    std::string_view message;
  };
  const std::vector<Case> cases = {
      {"a\"b,c", "a quote inside a field without quotes"},
      {" \"a\",c", "a quote inside a field without quotes"},
      {"\"a\"b,c", "text after a quoted field"},
      {"\"a\" ,c", "text after a quoted field"},
      {"a\rb,c", "a carriage return inside a field"},
      {std::string("a\0b,c", 5), "a NUL byte"},
      {"a\xff,c", "not UTF-8"},
      {"\"a\xc3\",c", "not UTF-8"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.line);
    const std::vector<Record> records = Records("x,y\n" + c.line + "\nz,w\n");
    ASSERT_EQ(records.size(), 3u);
    EXPECT_THAT(records[1].message, HasSubstr(std::string(c.message)));
    EXPECT_EQ(records[1].line, 2u);
    EXPECT_THAT(records[2].fields, ElementsAre("z", "w"));
    EXPECT_EQ(records[2].line, 3u);
  }
}

// An open quote takes its own line only, though it could swallow the rest of the file.
TEST(CsvReaderTest, AnOpenQuoteCostsItsLine) {
  const std::vector<Record> records = Records("x,y\na,\"b\nc,d\ne,f\n");
  ASSERT_EQ(records.size(), 4u);
  EXPECT_THAT(records[1].message, HasSubstr("not closed"));
  EXPECT_EQ(records[1].line, 2u);
  EXPECT_THAT(records[2].fields, ElementsAre("c", "d"));
  EXPECT_EQ(records[2].line, 3u);
  EXPECT_THAT(records[3].fields, ElementsAre("e", "f"));
  // Another quote further down ends it in the wrong place.
  const std::vector<Record> two = Records("a,\"b\nc,\"d\"\ne,f\n");
  ASSERT_EQ(two.size(), 3u);
  EXPECT_THAT(two[0].message, HasSubstr("text after a quoted field"));
  EXPECT_THAT(two[1].fields, ElementsAre("c", "d"));
  EXPECT_THAT(two[2].fields, ElementsAre("e", "f"));
  EXPECT_EQ(Records("a,\"").size(), 1u);
}

TEST(CsvReaderTest, LongRecords) {
  const auto read = [](const std::string& text, size_t block) {
    CsvReader reader(TextSource(text, block), 100);
    return ReadAll(reader);
  };
  const std::string longer(150, 'x');
  for (const size_t block : {1, 7, 1000}) {
    // A line, a quoted field without an end, a record of several lines that has one.
    const auto line = read("a\n" + longer + "\nb\n", block);
    ASSERT_EQ(line.size(), 3u);
    EXPECT_THAT(line[1].message, HasSubstr("longer than 100 bytes"));
    EXPECT_THAT(line[2].fields, ElementsAre("b"));
    EXPECT_EQ(line[2].line, 3u);
    const auto last = read("a\n" + longer, block);
    ASSERT_EQ(last.size(), 2u);
    EXPECT_THAT(last[1].message, HasSubstr("longer than 100 bytes"));
    std::string lines;
    for (int i = 0; i < 30; ++i) lines += "lines\n";
    const auto open = read("a\n\"" + lines + "b\n", block);
    ASSERT_EQ(open.size(), 32u);
    EXPECT_FALSE(open[1].message.empty());
    EXPECT_THAT(open[2].fields, ElementsAre("lines"));
    const auto closed = read("a\n\"" + lines + "\"\nb\n", block);
    EXPECT_FALSE(closed[1].message.empty());
    EXPECT_THAT(closed.back().fields, ElementsAre("b"));
  }
  EXPECT_EQ(read(std::string(100, 'x') + "\n", 7)[0].fields[0].size(), 100u);
}

// 300 random tables, written by the rules and read back, in blocks of random sizes.
TEST(CsvReaderTest, RoundTrip) {
  std::mt19937 random(4);
  const auto below = [&random](size_t n) { return random() % n; };
  for (int table = 0; table < 300; ++table) {
    std::vector<std::vector<std::string>> expected;
    std::string text;
    for (size_t row = 0; row < 1 + below(6); ++row) {
      std::vector<std::string> fields;
      for (size_t i = 0; i < 2 + below(4); ++i) {
        std::string field;
        for (size_t j = 0; j < below(6); ++j) {
          constexpr std::string_view kPieces[] = {"a",  ",", "\"", "\n", "\r\n",
                                                  "\r", " ", "é",  "7"};
          field += kPieces[below(std::size(kPieces))];
        }
        const bool needs = field.find_first_of(",\"\n\r") != std::string::npos;
        if (i > 0) text += ',';
        if (needs || below(3) == 0) {
          text += '"';
          for (const char c : field) text += c == '"' ? std::string("\"\"") : std::string(1, c);
          text += '"';
        } else {
          text += field;
        }
        fields.push_back(std::move(field));
      }
      text += below(2) == 0 ? "\n" : "\r\n";
      expected.push_back(std::move(fields));
    }
    CsvReader reader(TextSource(text, 1 + below(20)));
    std::vector<std::vector<std::string>> found;
    for (Record& record : ReadAll(reader)) found.push_back(std::move(record.fields));
    ASSERT_EQ(found, expected) << text;
  }
}

TEST(CsvReaderTest, OtherKindsOfFiles) {
  const std::vector<std::pair<std::string, std::string_view>> cases = {
      {"\x1f\x8b\x08rest", "is compressed"},
      {"\x28\xb5\x2f\xfd rest", "is compressed"},
      {"PK\x03\x04rest", "is a spreadsheet"},
      {"\xff\xfe"
       "a\0",
       "is UTF-16"},
      {"\xfe\xff", "is UTF-16"},
  };
  for (const auto& [text, message] : cases) {
    CsvReader reader(TextSource(text, 1));
    const auto kind = reader.Next();
    EXPECT_TRUE(absl::IsInvalidArgument(kind.status()));
    EXPECT_THAT(std::string(kind.status().message()), StartsWith(std::string(message)));
    EXPECT_FALSE(reader.Next().ok());
  }
}

TEST(CsvReaderTest, ErrorsOfTheSourceArePassedOn) {
  int calls = 0;
  CsvReader reader([&calls](char* data, size_t) -> absl::StatusOr<size_t> {
    if (++calls > 1) return absl::UnavailableError("the disk is gone");
    constexpr std::string_view kStart = "a,b\nc,";
    std::copy_n(kStart.data(), kStart.size(), data);
    return kStart.size();
  });
  EXPECT_EQ(*reader.Next(), CsvReader::Kind::kRecord);
  EXPECT_TRUE(absl::IsUnavailable(reader.Next().status()));
  EXPECT_TRUE(absl::IsUnavailable(reader.Next().status()));
}

TEST(CsvReaderTest, Files) {
  const test_support::TemporaryFolder folder;
  const std::string path = folder.path() + "/t.csv";
  std::ofstream(path) << "a,b\n";
  const auto source = OpenFile(path);
  ASSERT_TRUE(source.ok()) << source.status();
  CsvReader reader(*source);
  EXPECT_THAT(ReadAll(reader)[0].fields, ElementsAre("a", "b"));

  const auto missing = OpenFile(folder.path() + "/none.csv");
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/none.csv: No such file"));
  EXPECT_TRUE(absl::IsNotFound(OpenFile(path + "/under").status()));
  const auto is_folder = OpenFile(folder.path());
  EXPECT_FALSE(is_folder.ok());
  EXPECT_THAT(std::string(is_folder.status().message()), HasSubstr("is a folder"));
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  const test_support::UnderFilePermissions under;
  EXPECT_TRUE(absl::IsPermissionDenied(OpenFile(path).status()));
}

}  // namespace
}  // namespace mirage::client
