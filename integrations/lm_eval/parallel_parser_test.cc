#include "integrations/lm_eval/parallel_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "integrations/lm_eval/text_source.h"

namespace mirage::integrations::lm_eval {
namespace {

std::string Row(size_t doc, std::string_view filter) {
  return fmt::format(
      R"({{"doc_id": {}, "target": "{}", "arguments": {{"gen_args_0": {{"arg_0": "q", "arg_1": )"
      R"({{"until": []}}}}}}, "filtered_resps": ["{}"], {}"metrics": ["exact_match"], )"
      R"("doc_hash": "a{}", "prompt_hash": "b", "target_hash": "c", "exact_match": 0.0}})"
      "\n",
      doc, doc, doc + 1, filter.empty() ? "" : fmt::format("\"filter\": \"{}\", ", filter), doc);
}

// All that came out of a file, in order.
struct Answer {
  std::vector<std::string> batches;
  std::vector<uint64_t> lines;
  std::vector<std::string> issues;
  std::string hashes;
  size_t n_chunks = 0;

  bool operator==(const Answer&) const = default;
};

Answer Parse(std::string_view text, const TaskConfig& config, uint32_t threads) {
  ReadOptions options;
  options.threads = threads;
  options.max_row_bytes = size_t{4} << 20;
  RowSource source(FromText(text), options.max_row_bytes);
  ParallelParser parser(&source, std::make_unique<RowParser>(config, options), options);
  Answer answer;
  std::unique_ptr<ParsedChunk> chunk;
  while (parser.Next(&chunk)) {
    ++answer.n_chunks;
    for (size_t b = 0; b < chunk->n_batches; ++b) {
      answer.batches.push_back(chunk->batches[b].batch.SerializeAsString());
      const auto& lines = chunk->batches[b].lines;
      answer.lines.insert(answer.lines.end(), lines.begin(), lines.end());
    }
    for (const ParsedChunk::Issue& issue : chunk->issues) {
      answer.issues.push_back(fmt::format("{} {} {}", issue.filter, issue.line, issue.message));
    }
    answer.hashes += chunk->hashes;
  }
  EXPECT_FALSE(parser.Next(&chunk));
  return answer;
}

TEST(ParallelParserTest, TheSameOnAnyNumberOfThreads) {
  std::string text;
  for (size_t doc = 0; doc < 20000; ++doc) {
    text += Row(doc, doc % 5000 < 3000 ? "strict" : "flexible");
    if (doc % 777 == 0) text += "damaged\n";
    if (doc == 9000) text += "{\"long\": \"" + std::string(size_t{5} << 20, 'x') + "\"}\n";
    if (doc == 12000) text += Row(doc, "strict").insert(1, std::string(size_t{3} << 20, ' '));
  }
  TaskConfig config;
  config.task = "t";
  config.output_type = "generate_until";
  config.filters = {"strict", "flexible"};
  const Answer one = Parse(text, config, 1);
  EXPECT_GT(one.n_chunks, 5);
  EXPECT_EQ(one.lines.size(), 20001);
  EXPECT_TRUE(std::is_sorted(one.lines.begin(), one.lines.end()));
  EXPECT_EQ(one.issues.size(), 27);
  for (const uint32_t threads : {2, 3, 8}) {
    for (int repeat = 0; repeat < 3; ++repeat) EXPECT_EQ(Parse(text, config, threads), one);
  }
}

TEST(ParallelParserTest, RowsThatDependOnEarlierOnesStayInOrder) {
  std::string text;
  for (int filter = 0; filter < 2; ++filter) {
    for (size_t doc = 0; doc < 10000; ++doc) text += Row(doc, "");
  }
  TaskConfig config;
  config.output_type = "generate_until";
  config.filters = {"strict", "flexible"};
  const Answer one = Parse(text, config, 1);
  EXPECT_GT(one.n_chunks, 2);
  EXPECT_TRUE(one.issues.empty());
  v1::SampleBatch first, last;
  ASSERT_TRUE(first.ParseFromString(one.batches.front()));
  ASSERT_TRUE(last.ParseFromString(one.batches.back()));
  EXPECT_EQ(first.filter(), "strict");
  EXPECT_EQ(last.filter(), "flexible");
  EXPECT_EQ(Parse(text, config, 4), one);
}

TEST(ParallelParserTest, TheFirstRowSettlesTheTypeOfAll) {
  std::string text;
  for (size_t doc = 0; doc < 8000; ++doc) text += Row(doc, "none");
  text +=
      R"({"doc_id": 9, "target": "x", "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": "x"}},)"
      R"( "filtered_resps": [["-1.0", "False"]], "filter": "none", "acc": 0.0})";
  const Answer one = Parse(text, {}, 1);
  EXPECT_EQ(one.lines.size(), 8000);
  ASSERT_EQ(one.issues.size(), 1);
  EXPECT_NE(one.issues[0].find("the task is generate_until"), std::string::npos) << one.issues[0];
  EXPECT_EQ(Parse(text, {}, 4), one);
}

// Each file: its text, and how the message of its last row begins.
TEST(ParallelParserTest, SaysWhereAFileEnds) {
  const std::string row = Row(1, "f").substr(0, Row(1, "f").size() - 1);
  for (const auto& [text, said] : {
           std::pair<std::string, std::string>(row.substr(0, 50), "the file ends inside this row"),
           {row.substr(0, row.find(", \"target")) + ", \"doc\": {}",
            "the file ends inside this row"},
           {row + " xx", "not a row of JSON: something follows its last bracket"},
           {row + ",", "not a row of JSON: something follows its last bracket"},
           {"xx", "not a row of JSON: no object"},
           {"[" + row + "] xx", "text after the array's last bracket"},
           {"[" + row + ", " + row.substr(0, 50), "the file ends inside this element"},
       }) {
    const Answer answer = Parse(text, {}, 1);
    ASSERT_EQ(answer.issues.size(), 1u) << text;
    EXPECT_NE(answer.issues[0].find(' ' + said), std::string::npos) << answer.issues[0];
  }
}

TEST(ParallelParserTest, MayBeAbandoned) {
  std::string text;
  for (size_t doc = 0; doc < 40000; ++doc) text += Row(doc, "none");
  ReadOptions options;
  options.threads = 4;
  RowSource source(FromText(text), options.max_row_bytes);
  ParallelParser parser(&source, std::make_unique<RowParser>(TaskConfig(), options), options);
  std::unique_ptr<ParsedChunk> chunk;
  EXPECT_TRUE(parser.Next(&chunk));
  EXPECT_TRUE(parser.Next(&chunk));
}

TEST(ParallelParserTest, AnErrorOfTheFileEndsIt) {
  std::string text;
  for (size_t doc = 0; doc < 20000; ++doc) text += Row(doc, "none");
  ReadOptions options;
  options.threads = 4;
  size_t at = 0;
  RowSource source(
      [&](char* data, size_t size) -> absl::StatusOr<size_t> {
        const size_t n = std::min(size, text.size() - at);
        if (n == 0) return absl::UnavailableError("the disk is gone");
        std::copy_n(text.data() + at, n, data);
        at += n;
        return n;
      },
      options.max_row_bytes);
  ParallelParser parser(&source, std::make_unique<RowParser>(TaskConfig(), options), options);
  std::unique_ptr<ParsedChunk> chunk;
  size_t n = 0;
  while (parser.Next(&chunk)) {
    for (size_t b = 0; b < chunk->n_batches; ++b) n += chunk->batches[b].lines.size();
  }
  EXPECT_EQ(n, 20000);
  EXPECT_EQ(chunk->status.message(), "the disk is gone");
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
