#include "integrations/evidence/evidence_table.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "tests/support/temporary_folder.h"

namespace mirage::integrations::evidence {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr char kHeader[] =
    R"({"generator": "hook 1", "kind": "mirage_evidence", "version": 1, "task": "add", )"
    R"("date": "2026-11-23T00-00-00.1", "model": "m", "tokenizer": "bpe"})"
    "\n";

absl::StatusOr<EvidenceTable> Read(std::string text, uint64_t max_row_bytes = 1 << 16) {
  size_t at = 0;
  return EvidenceTable::Read(
      [text, at](char* data, size_t size) mutable -> absl::StatusOr<size_t> {
        const size_t n = std::min(size, text.size() - at);
        std::copy_n(text.data() + at, n, data);
        at += n;
        return n;
      },
      "folder/f.jsonl", max_row_bytes);
}

// What is wrong with a single row; empty when nothing is.
std::string Problem(const std::string& row) {
  const auto table = Read(kHeader + row + "\n");
  EXPECT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->n_damaged(), table->problems().size());
  EXPECT_EQ(table->n_documents() + table->n_damaged(), 1u);
  return table->problems().empty() ? "" : table->problems().front();
}

TEST(EvidenceTableTest, ReadsTokensAndProbes) {
  const auto table = Read(
      std::string(kHeader) +
      R"({"doc_id": 7, "doc_hash": "h", "tokens": ["2", "\u00e9\n"], "log_probs": [-0.5, -Infinity],)"
      R"( "greedy": [true, false], "more": {"of": [1]}})"
      "\n\n"
      R"({"doc_id": "a/b", "log_likelihood": -1e-3, "n_tokens": 3, "is_greedy": true,)"
      R"( "target": " x ", "tokens": null, "doc_hash": null})");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->header().task, "add");
  EXPECT_EQ(table->header().date, "2026-11-23T00-00-00.1");
  EXPECT_EQ(table->header().model, "m");
  EXPECT_EQ(table->header().tokenizer, "bpe");
  EXPECT_EQ(table->header().generator, "hook 1");
  EXPECT_THAT(table->problems(), IsEmpty());
  ASSERT_EQ(table->n_documents(), 2u);
  EXPECT_EQ(table->Find("8"), std::nullopt);
  const DocumentEvidence tokens = table->at(*table->Find("7"));
  EXPECT_EQ(tokens.doc_hash, "h");
  EXPECT_THAT(tokens.tokens, ElementsAre("2", "\u00e9\n"));
  EXPECT_THAT(tokens.log_probs, ElementsAre(-0.5, -kInf));
  EXPECT_THAT(tokens.greedy, ElementsAre(1, 0));
  EXPECT_EQ(tokens.log_likelihood, std::nullopt);
  EXPECT_EQ(tokens.target, std::nullopt);
  const DocumentEvidence probe = table->at(*table->Find("a/b"));
  EXPECT_THAT(probe.log_probs, IsEmpty());
  EXPECT_EQ(probe.log_likelihood, -0.001);
  EXPECT_EQ(probe.n_tokens, 3u);
  EXPECT_EQ(probe.is_greedy, true);
  EXPECT_EQ(probe.target, " x ");
  EXPECT_TRUE(table->has_all_tokens());
  EXPECT_TRUE(table->has_all_greedy());
}

TEST(EvidenceTableTest, KnowsWhetherEveryTokenHasItsText) {
  const auto table = Read(std::string(kHeader) +
                          "{\"doc_id\": 1, \"log_probs\": [-1], \"tokens\": [\"a\"]}\n"
                          "{\"doc_id\": 2, \"log_probs\": [-1], \"greedy\": [true]}\n");
  ASSERT_TRUE(table.ok());
  EXPECT_FALSE(table->has_all_tokens());
  EXPECT_FALSE(table->has_all_greedy());
}

TEST(EvidenceTableTest, DamagedRowsAreNamed) {
  EXPECT_EQ(Problem(R"({"doc_id": 1, "log_likelihood": -Infinity})"), "");
  EXPECT_EQ(Problem(R"({"doc_id": -1, "log_likelihood": 0})"), "");
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": NaN})"),
              HasSubstr("f.jsonl:2: log_likelihood is NaN"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": 0.5})"), HasSubstr("is 0.5"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": Infinity})"), HasSubstr("is Infinity"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": "-1"})"), HasSubstr("is no number"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_probs": [-1, NaN]})"),
              HasSubstr("log_probs[1] is NaN"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_probs": [-1, null]})"), HasSubstr("log_probs[1]"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_probs": -1})"), HasSubstr("log_probs is no list"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_probs": [-1], "tokens": ["a", "b"]})"),
              HasSubstr("tokens has 2 items, log_probs 1"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": -1, "greedy": [true]})"),
              HasSubstr("greedy has 1 items"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_probs": [-1], "tokens": [5]})"), HasSubstr("texts"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_probs": [-1], "greedy": [1]})"), HasSubstr("true"));
  EXPECT_THAT(Problem(R"({"doc_id": 1})"), HasSubstr("neither"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_probs": []})"), HasSubstr("neither"));
  EXPECT_THAT(Problem(R"({"log_likelihood": -1})"), HasSubstr("doc_id"));
  EXPECT_THAT(Problem(R"({"doc_id": 1.5, "log_likelihood": -1})"), HasSubstr("doc_id"));
  EXPECT_THAT(Problem(R"({"doc_id": NaN, "log_likelihood": -1})"), HasSubstr("doc_id"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": -1, "n_tokens": -3})"),
              HasSubstr("n_tokens"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": -1, "n_tokens": 4294967296})"),
              HasSubstr("n_tokens"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": -1, "is_greedy": 1})"),
              HasSubstr("is_greedy"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": -1, "target": 5})"), HasSubstr("target"));
  EXPECT_THAT(Problem(R"({"doc_id": 1, "log_likelihood": -1, "doc_hash": 5})"),
              HasSubstr("doc_hash"));
  EXPECT_THAT(Problem("[1]"), HasSubstr("no object"));
  EXPECT_THAT(Problem("{\"doc_id\": 1, \"log_li"), HasSubstr("f.jsonl:2: the row"));
  EXPECT_THAT(Problem("{\"doc_id\": 1, \"log_probs\": " + std::string(200, '[')),
              HasSubstr("f.jsonl:2: the row"));
}

TEST(EvidenceTableTest, RestOfADamagedFileIsUsed) {
  std::string text = kHeader;
  for (int i = 0; i < 20; ++i) {
    text += fmt::format("{{\"doc_id\": {}, \"log_likelihood\": {}}}\n", i / 2, i % 2 == 0 ? -1 : 1);
  }
  text += "{\"doc_id\": 3, \"log_likelihood\": -2}\n";
  text +=
      "{\"doc_id\": 99, \"log_likelihood\": -2, \"target\": \"" + std::string(900, 'x') + "\"}\n";
  text += "{\"doc_id\": 100, \"log_likelihood\": -3}";
  const auto table = Read(text, 512);
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->n_documents(), 11u);
  EXPECT_EQ(table->n_damaged(), 12u);
  EXPECT_THAT(table->problems(), SizeIs(kDescribedRows));
  EXPECT_EQ(table->at(*table->Find("3")).log_likelihood, -1) << "the first one counts";
  EXPECT_EQ(table->at(*table->Find("100")).log_likelihood, -3);
}

TEST(EvidenceTableTest, OtherHeadersAreRefused) {
  const auto problem = [](const std::string& text) {
    const auto table = Read(text);
    EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(table.status().message());
  };
  std::string header = kHeader;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = header;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  };
  EXPECT_THAT(problem(""), HasSubstr("folder/f.jsonl is empty"));
  EXPECT_THAT(problem("{\"doc_id\": 1}\n"), HasSubstr("not the header"));
  EXPECT_THAT(problem("[1, 2]\n"), HasSubstr("not the header"));
  EXPECT_THAT(problem("junk\n"), HasSubstr("folder/f.jsonl"));
  EXPECT_THAT(problem(with("mirage_evidence", "mirage_samples")), HasSubstr("\"mirage_samples\""));
  EXPECT_THAT(problem(with(": 1,", ": 2,")), HasSubstr("version is 2"));
  EXPECT_THAT(problem(with(": 1,", ": \"1\",")), HasSubstr("version is missing"));
  EXPECT_THAT(problem(with("\"model\": \"m\"", "\"model\": \"\"")), HasSubstr("model is missing"));
  EXPECT_THAT(problem(with("\"task\": \"add\", ", "")), HasSubstr("task is missing"));
  EXPECT_THAT(problem(with("\"bpe\"", "3")), HasSubstr("tokenizer"));
  EXPECT_TRUE(Read(with(", \"tokenizer\": \"bpe\"", "")).ok());
}

TEST(EvidenceTableTest, FilesThatAreNone) {
  const test_support::TemporaryFolder folder;
  EXPECT_EQ(EvidenceTable::ReadFile(folder.path() + "/none", 99).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadEvidenceHeader(folder.path(), 99).status().code(),
            absl::StatusCode::kInvalidArgument);
  const std::string pipe = folder.path() + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(ReadEvidenceHeader(pipe, 99).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string path = folder.path() + "/f.jsonl";
  std::ofstream(path) << "\xEF\xBB\xBF" << kHeader << "{\"doc_id\": 1, \"log_likelihood\": -1}\r\n";
  const auto table = EvidenceTable::ReadFile(path, 1 << 16);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->n_documents(), 1u);
  EXPECT_EQ(ReadEvidenceHeader(path, 1 << 16)->model, "m");
}

TEST(EvidenceTableTest, ErrorsOfReadingEndIt) {
  size_t n_calls = 0;
  const auto table = EvidenceTable::Read(
      [&](char* data, size_t) -> absl::StatusOr<size_t> {
        if (n_calls++ > 0) return absl::DataLossError("gone");
        std::copy_n(kHeader, sizeof(kHeader) - 1, data);
        return sizeof(kHeader) - 1;
      },
      "f", 1 << 16);
  EXPECT_EQ(table.status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace mirage::integrations::evidence
