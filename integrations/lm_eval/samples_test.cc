#include "integrations/lm_eval/samples.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

namespace mirage::integrations::lm_eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kData = "integrations/lm_eval/testdata/";
const std::string kDate = "2026-11-23T01-02-03.000004";

struct Everything {
  std::unique_ptr<RunReader> reader;
  std::vector<v1::SampleBatch> batches;
  std::vector<BatchOrigin> origins;
};

Everything ReadAll(const RunFiles& files, const ReadOptions& options = {}) {
  Everything all;
  auto reader = OpenRun(files, options);
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (!reader.ok()) return all;
  all.reader = *std::move(reader);
  while (true) {
    v1::SampleBatch batch;
    BatchOrigin origin;
    const auto more = all.reader->Next(&batch, &origin);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) break;
    EXPECT_EQ(origin.lines.size(), batch.n_samples());
    all.batches.push_back(std::move(batch));
    all.origins.push_back(std::move(origin));
  }
  EXPECT_EQ(all.reader->bytes_read(), all.reader->bytes_total());
  return all;
}

// "task/filter/n" each.
std::vector<std::string> Counts(const RunReader& reader) {
  std::vector<std::string> out;
  for (const IssueCount& count : reader.issue_counts()) {
    out.push_back(fmt::format("{}/{}/{}", count.task, count.filter, count.n));
  }
  return out;
}

RunFiles Demo() {
  const std::string folder = kData + "demo";
  const std::string date = "2026-11-22T21-56-36.120725";
  RunFiles files;
  files.results = folder + "/results_" + date + ".json";
  for (const char* task : {"demo_gen", "demo_ll", "demo_mc", "demo_mi", "demo_roll", "demo_wino"}) {
    files.samples.push_back({fmt::format("{}/samples_{}_{}.jsonl", folder, task, date), task});
  }
  files.folder = folder;
  files.date = date;
  return files;
}

// Everything that lm-eval computed from these rows, again from the batches.
TEST(SamplesTest, AgreesWithTheHarness) {
  const Everything all = ReadAll(Demo());
  EXPECT_EQ(all.reader->folder(), kData + "demo");
  EXPECT_EQ(all.reader->run().date(), "2026-11-22T21-56-36.120725");
  std::vector<std::string> order;
  std::map<std::string, const v1::SampleBatch*> batches;
  for (const v1::SampleBatch& batch : all.batches) {
    order.push_back(batch.task() + "/" + batch.filter());
    batches[order.back()] = &batch;
  }
  EXPECT_THAT(order,
              ElementsAre("demo_mc/none", "demo_gen/strict-match", "demo_gen/flexible-extract",
                          "demo_ll/none", "demo_roll/none", "demo_wino/none", "demo_mi/none"));
  EXPECT_THAT(all.reader->issues(), IsEmpty());
  for (const v1::RunTask& task : all.reader->run().tasks()) EXPECT_TRUE(task.has_samples());

  using Aggregation = v1::ScoreColumn::Aggregation;
  int n_checked = 0;
  for (const v1::RunTask& task : all.reader->run().tasks()) {
    for (const v1::ReportedMetric& reported : task.reported()) {
      const v1::SampleBatch& batch = *batches.at(task.task() + "/" + reported.filter());
      EXPECT_EQ(batch.n_samples(), task.n_samples_effective());
      for (const v1::ScoreColumn& column : batch.scores()) {
        if (column.metric() != reported.metric()) continue;
        double sum = 0;
        double weight = 0;
        for (const double value : column.values()) sum += value;
        for (const double value : column.weights()) weight += value;
        double value = sum / batch.n_samples();
        if (column.aggregation() == Aggregation::EXP_NEG_MEAN) value = std::exp(-value);
        if (column.aggregation() == Aggregation::EXP_NEG_RATIO) value = std::exp(-sum / weight);
        if (column.aggregation() == Aggregation::BITS_RATIO) value = -sum / weight / std::log(2);
        EXPECT_NEAR(value, reported.value(), 1e-12) << task.task() << " " << reported.metric();
        ++n_checked;
      }
    }
  }
  EXPECT_EQ(n_checked, 12);  // all but brier_score

  const v1::MultipleChoiceColumns& choices = batches.at("demo_mc/none")->multiple_choice();
  double brier = 0;
  double acc_norm = 0;
  int at = 0;
  for (int i = 0; i < choices.n_choices_size(); ++i) {
    const int n = static_cast<int>(choices.n_choices(i));
    const int gold = static_cast<int>(choices.golds(i));
    double total = 0;
    int best = 0;
    for (int k = 0; k < n; ++k) {
      total += std::exp(choices.log_likelihoods(at + k));
      const auto per_char = [&](int j) {
        return choices.log_likelihoods(at + j) / choices.n_chars(at + j);
      };
      if (per_char(k) > per_char(best)) best = k;
    }
    for (int k = 0; k < n; ++k) {
      const double p = std::exp(choices.log_likelihoods(at + k)) / total;
      brier += (p - (k == gold)) * (p - (k == gold));
    }
    acc_norm += best == gold;
    at += n;
  }
  EXPECT_NEAR(brier / 4, all.reader->run().tasks(0).reported(2).value(), 1e-12);
  EXPECT_EQ(acc_norm / 4, all.reader->run().tasks(0).reported(1).value());

  const v1::MultipleChoiceColumns& mi = batches.at("demo_mi/none")->multiple_choice();
  EXPECT_EQ(mi.baseline_log_likelihoods_size(), mi.log_likelihoods_size());
  EXPECT_EQ(mi.baseline_log_likelihoods(0), -3.9633613531432363);
  EXPECT_THAT(batches.at("demo_wino/none")->multiple_choice().n_golds(), ElementsAre(0, 0));
  EXPECT_EQ(batches.at("demo_gen/strict-match")->generation().temperature(), 0);
  EXPECT_EQ(batches.at("demo_gen/strict-match")->generation().outputs().data(), "153133159");
  EXPECT_THAT(batches.at("demo_roll/none")->likelihood().n_chars(), ElementsAre(44, 18));
  EXPECT_THAT(batches.at("demo_roll/none")->likelihood().n_bytes(), ElementsAre(44, 20));
}

TEST(SamplesTest, SkipsDamagedRowsAndSaysWhy) {
  RunFiles files;
  files.results = kData + "broken/results_" + kDate + ".json";
  const std::string path = kData + "broken/samples_mc_" + kDate + ".jsonl";
  files.samples = {{path, "mc"}};
  files.folder = kData + "broken";
  const Everything all = ReadAll(files);
  ASSERT_EQ(all.batches.size(), 1u);
  EXPECT_EQ(all.origins[0].file, path);
  EXPECT_THAT(all.origins[0].lines, ElementsAre(1, 6, 7));
  EXPECT_EQ(all.batches[0].keys().doc_id().data(), "023");
  EXPECT_TRUE(std::isnan(all.batches[0].multiple_choice().log_likelihoods(4)));
  std::vector<std::string> issues;
  for (const RowIssue& issue : all.reader->issues()) {
    EXPECT_EQ(issue.task, "mc");
    EXPECT_EQ(issue.file, path);
    issues.push_back(std::to_string(issue.line) + " " + issue.filter + ": " + issue.message);
  }
  const std::string remedy = "; skipped: evaluate again, or delete the line";
  EXPECT_THAT(
      issues,
      ElementsAre(
          "3 : not a row of JSON: it ends before its last bracket or quote is closed (starts "
          "with \"{\"doc_id\": 1, \"doc\": {},…\")" +
              remedy,
          "4 : not a row of JSON: no object (starts with \"????????????????????????…\")" + remedy,
          "5 : not a row of JSON: byte 0 is not UTF-8 text (starts with "
          "\"????????????????????????…\")" +
              remedy,
          "8 : not a row of JSON: something follows its last bracket (starts with "
          "\"{\"doc_id\": 4, \"doc\": {},…\")" +
              remedy,
          "9 none: target 7 is out of range for 2 choices: lm-eval scored the row as wrong "
          "whatever the model chose; skipped: check the task's doc_to_target",
          "10 : not a row of JSON: no object (starts with \"[1, 2]\")" + remedy,
          "11 : the file ends inside this row; skipped: it was cut off, evaluate again"));
  EXPECT_THAT(Counts(*all.reader), ElementsAre("mc//6", "mc/none/1"));
}

TEST(SamplesTest, ReadsArraysOfOldVersions) {
  RunFiles files;
  files.results = kData + "v040/results.json";
  files.folder = kData + "v040";
  const std::string prefix = kData + "v040/pretrained__org__tiny,dtype__float32_";
  files.samples = {
      {prefix + "roll.jsonl", "roll"}, {prefix + "gen.jsonl", "gen"}, {prefix + "mc.jsonl", "mc"}};
  const Everything all = ReadAll(files);
  ASSERT_EQ(all.batches.size(), 4u);
  EXPECT_THAT(all.reader->issues(), IsEmpty());
  EXPECT_EQ(
      all.batches[0].ShortDebugString(),
      "task: \"mc\" filter: \"none\" n_samples: 2 keys { doc_id { data: \"01\" lengths: 1 "
      "lengths: 1 } } multiple_choice { n_choices: 2 n_choices: 2 log_likelihoods: -1.5 "
      "log_likelihoods: -0.5 log_likelihoods: -2.5 log_likelihoods: -0.25 n_bytes: 2 n_bytes: 7 "
      "n_bytes: 2 n_bytes: 3 n_chars: 2 n_chars: 7 n_chars: 2 n_chars: 3 golds: 1 golds: 0 "
      "is_greedy: false is_greedy: true is_greedy: false is_greedy: true } scores { metric: "
      "\"acc\" values: 1 values: 0 aggregation: MEAN }");
  EXPECT_THAT(all.origins[0].lines, ElementsAre(1, 2));
  EXPECT_EQ(all.batches[1].filter(), "strict");
  EXPECT_THAT(all.batches[1].generation().n_targets(), ElementsAre(2, 2));
  EXPECT_EQ(all.batches[1].generation().temperature(), 0.7);
  EXPECT_EQ(all.batches[2].filter(), "flexible");
  EXPECT_THAT(all.batches[2].scores(0).values(), ElementsAre(0, 0));
  EXPECT_EQ(
      all.batches[3].ShortDebugString(),
      "task: \"roll\" filter: \"none\" n_samples: 1 keys { doc_id { data: \"0\" lengths: 1 } } "
      "likelihood { scope: DOCUMENT log_likelihoods: -4 n_bytes: 7 n_chars: 7 n_words: 2 } "
      "scores { metric: \"word_perplexity\" values: -4 weights: 2 aggregation: EXP_NEG_RATIO }");
}

// 0.4.3: neither filter nor metrics in the row, and a chat template that left the
// delimiter in place.
TEST(SamplesTest, ReadsVersion043) {
  RunFiles files;
  files.results = kData + "v043/results_" + kDate + ".json";
  files.samples = {{kData + "v043/samples_mc_" + kDate + ".jsonl", "mc"}};
  const Everything all = ReadAll(files);
  ASSERT_EQ(all.batches.size(), 1u);
  EXPECT_EQ(
      all.batches[0].ShortDebugString(),
      "task: \"mc\" filter: \"none\" n_samples: 1 keys { doc_id { data: \"0\" lengths: 1 } "
      "doc_hash { data: \"d\" lengths: 1 } } multiple_choice { n_choices: 2 log_likelihoods: -1.5 "
      "log_likelihoods: -0.5 n_bytes: 2 n_bytes: 3 n_chars: 2 n_chars: 3 golds: 1 is_greedy: "
      "false is_greedy: true } scores { metric: \"acc\" values: 1 aggregation: MEAN }");
  EXPECT_FALSE(all.reader->run().has_n_parameters());
}

TEST(SamplesTest, ReadsSamplesWithoutResults) {
  RunFiles files;
  files.samples = {{kData + "samples_only/org__tiny/samples_mc_" + kDate + ".jsonl", "mc"}};
  files.folder = kData + "samples_only/org__tiny";
  files.date = kDate;
  const Everything all = ReadAll(files);
  ASSERT_EQ(all.batches.size(), 1u);
  EXPECT_TRUE(all.batches[0].has_multiple_choice());
  const v1::Run& run = all.reader->run();
  EXPECT_EQ(
      run.ShortDebugString(),
      "model: \"org__tiny\" harness: \"lm-eval\" path: \"" + files.folder + "\" date: \"" + kDate +
          "\" tasks { task: \"mc\" has_samples: true } warnings: \"no results file: the "
          "reported numbers, the tasks\\' settings and the model\\'s name (here the folder\\'s) "
          "are unknown; copy results_<date>.json beside the samples\"");
}

TEST(SamplesTest, SplitsBatchesWithoutLosingRows) {
  RunFiles files = Demo();
  ReadOptions options;
  options.batch_samples = 1;
  const Everything all = ReadAll(files, options);
  EXPECT_EQ(all.batches.size(), 4u + 6 + 3 + 2 + 2 + 4);
  EXPECT_EQ(all.batches[4].filter(), "strict-match");
  EXPECT_THAT(all.origins[7].lines, ElementsAre(4));
  EXPECT_EQ(all.batches[7].filter(), "flexible-extract");
}

TEST(SamplesTest, GoesOnWithoutAFileThatIsGone) {
  RunFiles files = Demo();
  files.samples[2].path += ".gone";
  files.samples.push_back({"/", "extra"});
  const Everything all = ReadAll(files);
  EXPECT_EQ(all.batches.size(), 6u);
  ASSERT_EQ(all.reader->issues().size(), 2u);
  EXPECT_EQ(all.reader->issues()[0].line, 0u);
  EXPECT_EQ(all.reader->issues()[0].message,
            "cannot open " + files.samples[2].path +
                ": No such file or directory; its samples are missing");
  EXPECT_EQ(all.reader->issues()[1].message,
            "cannot read /: it is not a file; its samples are missing");
  EXPECT_EQ(all.reader->run().tasks(6).task(), "extra");
  EXPECT_THAT(all.reader->run().tasks(6).warnings(),
              ElementsAre(" belongs to no task of the results file"));
}

TEST(SamplesTest, RefusesRowsOverTheLimit) {
  RunFiles files = Demo();
  files.samples = {files.samples[2]};
  ReadOptions options;
  options.max_row_bytes = 100;
  const Everything all = ReadAll(files, options);
  EXPECT_THAT(all.batches, IsEmpty());
  ASSERT_EQ(all.reader->issues().size(), 5u);
  EXPECT_EQ(all.reader->issues()[0].line, 0u);
  EXPECT_EQ(all.reader->issues()[4].line, 4u);
  EXPECT_EQ(all.reader->issues()[4].message,
            "the row is larger than 100 bytes; skipped: --max-row-mib raises the limit, to 128 at "
            "most");
  EXPECT_THAT(Counts(*all.reader), ElementsAre("demo_mc//4"));
  EXPECT_THAT(all.reader->run().tasks(1).warnings(),
              ElementsAre("no samples file of this task beside the results file"));
}

TEST(SamplesTest, KeepsAFewIssuesOfEachTaskAndCountsAll) {
  RunFiles files;
  for (const char* task : {"a", "b"}) {
    const std::string path = ::testing::TempDir() + "/issues_" + task + ".jsonl";
    std::ofstream file(path);
    for (int i = 0; i < 250; ++i) file << "junk\n";
    files.samples.push_back({path, task});
  }
  const Everything all = ReadAll(files);
  EXPECT_EQ(all.reader->issues().size(), 2 * (kKeptIssues + 1));
  EXPECT_EQ(all.reader->issues().back().task, "b");
  EXPECT_EQ(all.reader->issues()[kKeptIssues + 1].task, "b");
  EXPECT_EQ(all.reader->issues()[kKeptIssues + 1].line, 0u);
  EXPECT_THAT(Counts(*all.reader), ElementsAre("a//250", "b//250"));
}

// The demo's samples, one of them changed by `edit`.
RunFiles Changed(const std::string& task, const std::function<void(std::string&)>& edit) {
  RunFiles files = Demo();
  for (SamplesFile& samples : files.samples) {
    if (samples.task != task) continue;
    std::ifstream in(samples.path);
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    edit(text);
    samples.path = ::testing::TempDir() + "/changed_" + task + ".jsonl";
    std::ofstream(samples.path) << text;
  }
  return files;
}

TEST(SamplesTest, TheTaskHashProvesThePairing) {
  EXPECT_THAT(ReadAll(Demo()).reader->notes(), IsEmpty());

  // A digit of one document's hash.
  const Everything changed = ReadAll(Changed("demo_gen", [](std::string& text) {
    const size_t at = text.find("\"doc_hash\": \"") + 13;
    text[at] = text[at] == '0' ? '1' : '0';
  }));
  ASSERT_EQ(changed.reader->notes().size(), 1u);
  EXPECT_EQ(changed.reader->notes()[0].task, "demo_gen");
  EXPECT_THAT(changed.reader->notes()[0].text, HasSubstr("are of another run than the results"));

  // Two rows that changed places.
  const Everything moved = ReadAll(Changed("demo_mc", [](std::string& text) {
    const size_t end = text.find('\n') + 1;
    text = text.substr(end) + text.substr(0, end);
  }));
  EXPECT_EQ(moved.reader->notes().size(), 1u);

  // A row that is lost says so itself; one without a hash proves nothing.
  const Everything lost =
      ReadAll(Changed("demo_mc", [](std::string& text) { text.replace(0, 5, "xxxxx"); }));
  EXPECT_THAT(lost.reader->notes(), IsEmpty());
  EXPECT_EQ(lost.reader->issues().size(), 1u);
  const Everything bare = ReadAll(Changed("demo_mc", [](std::string& text) {
    text.replace(text.find("\"doc_hash\""), 10, "\"doc_hush\"");
  }));
  EXPECT_THAT(bare.reader->notes(), IsEmpty());
}

// Each file: the documents of its rows, in which "-" is a damaged row and "x" one without
// evidence of document 0, and what the note says in brackets; empty for none.
TEST(SamplesTest, TellsWhenFiltersDoNotComeOutEven) {
  struct Case {
    std::string docs;
    std::string note;
  };
  const Case cases[] = {
      {"012012", ""},
      {"0011", ""},
      {"x120", "documents that occur less often: 2"},
      {"x12012", ""},
      {"01201-", "rows that cannot be read: 1, documents that occur less often: 1"},
      {"-1212", "rows that cannot be read: 1"},
      {"01012", "documents that occur less often: 1"},
      {"001101", "documents that occur more often: 2"},
      {"-", ""},
  };
  for (const Case& c : cases) {
    RunFiles files;
    files.results = kData + "v040/results.json";
    files.samples = {{::testing::TempDir() + "/uneven.jsonl", "gen"}};
    std::ofstream file(files.samples[0].path);
    for (const char doc : c.docs) {
      if (doc == '-') {
        file << "damaged\n";
      } else {
        file << R"({"doc_id": )" << (doc == 'x' ? '0' : doc)
             << R"(, "target": "a", "arguments": [["Q", {}]], "filtered_resps": [)"
             << (doc == 'x' ? "" : "\"b\"") << R"(], "exact_match": 0.0})"
             << "\n";
      }
    }
    file.close();
    const Everything all = ReadAll(files);
    if (c.note.empty()) {
      EXPECT_THAT(all.reader->notes(), IsEmpty()) << c.docs;
      continue;
    }
    ASSERT_EQ(all.reader->notes().size(), 1u) << c.docs;
    EXPECT_EQ(all.reader->notes()[0].task, "gen");
    EXPECT_THAT(all.reader->notes()[0].text,
                HasSubstr("uneven.jsonl: the split among filters cannot be trusted"));
    EXPECT_THAT(all.reader->notes()[0].text, HasSubstr(" (" + c.note + ")")) << c.docs;
  }
}

TEST(SamplesTest, CountsFilesThatCannotBeRead) {
  RunFiles files = Demo();
  files.samples[0].path = kData + "absent.jsonl";
  files.samples[1].path = kData;
  const Everything all = ReadAll(files);
  EXPECT_EQ(all.reader->n_unreadable_files(), 2u);
  ASSERT_EQ(all.reader->issues().size(), 2u);
  EXPECT_EQ(all.reader->issues()[0].line, 0u);
  EXPECT_EQ(all.reader->issues()[0].message,
            "cannot open " + kData +
                "absent.jsonl: No such file or directory; its samples are "
                "missing");
}

// Each file: its text, and what line 0 says of it after its path; empty for nothing.
TEST(SamplesTest, SaysThatNothingOfAFileCanBeRead) {
  const std::string row = R"({"doc_id": 0, "target": "0", "arguments": [["Q", " a"], ["Q", " b"]],)"
                          R"("filtered_resps": [[-1, true], [-2, false]]})";
  const std::string none =
      "): is it a whole samples file of lm-eval? copy it again, or evaluate again with "
      "--log_samples";
  const std::string missing = "; its samples are missing";
  struct Case {
    std::string text;
    std::string before;
    std::string after;
  };
  const Case cases[] = {
      {std::string("\x1F\x8B\x08\0\n\n", 6), "",
       " is compressed with gzip: unpack it to a file of this name (gzip -dc)" + missing},
      {"\x28\xB5\x2F\xFD\n{}", "",
       " is compressed with zstd: unpack it to a file of this name (zstd -dc)" + missing},
      {std::string("\xFF\xFE{\0", 4), "",
       " is UTF-16 text: rewrite it as UTF-8 (iconv -f UTF-16 -t UTF-8)" + missing},
      {row + "\r" + row + "\r", "no row of ", " can be read (rows: 1" + none},
      {"junk\n{\n" + row.substr(0, 50), "no row of ", " can be read (rows: 3" + none},
      {"{}\n{}\n", "no row of ", " can be read (rows: 2" + none},
      {"junk\n" + row, "", ""},
      {"", "", ""},
      {"\n\n", "", ""},
      {"[]", "", ""},
  };
  for (const Case& c : cases) {
    RunFiles files;
    files.samples = {{::testing::TempDir() + "/unreadable.jsonl", "t"}};
    const std::string& path = files.samples[0].path;
    std::ofstream(path, std::ios::binary) << c.text;
    const Everything all = ReadAll(files);
    if (c.after.empty()) {
      EXPECT_EQ(all.reader->n_unreadable_files(), 0u) << c.text;
      continue;
    }
    EXPECT_EQ(all.reader->n_unreadable_files(), 1u) << c.text;
    ASSERT_FALSE(all.reader->issues().empty()) << c.text;
    EXPECT_EQ(all.reader->issues()[0].line, 0u);
    EXPECT_EQ(all.reader->issues()[0].message, c.before + path + c.after);
    EXPECT_THAT(all.batches, IsEmpty());
  }
}

TEST(SamplesTest, ReportsResultsThatCannotBeRead) {
  RunFiles files;
  EXPECT_EQ(OpenRun(files).status(),
            absl::NotFoundError("the run has neither a results file nor samples"));
  files.results = kData + "broken/truncated/results_" + kDate + ".json";
  EXPECT_EQ(
      OpenRun(files).status(),
      absl::InvalidArgumentError(
          files.results + " ends inside a string (line 3, byte 48): it may have been cut off or "
                          "edited; copy it again or repeat the evaluation"));
  files.results = kData + "absent.json";
  EXPECT_EQ(OpenRun(files).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace mirage::integrations::lm_eval
