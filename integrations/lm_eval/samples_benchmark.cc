// How fast samples are read, on one thread and on two: four choices, 1.26 kB a row, as
// lm-eval writes them; from the page cache to protos. CPU is that of all threads.
//
//   bazel run //integrations/lm_eval:samples_benchmark
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "integrations/lm_eval/samples.h"

namespace mirage::integrations::lm_eval {
namespace {

std::string Choices(int doc) {
  const std::string context = R"("Question: What is the capital of the country number )" +
                              std::to_string(doc) + R"(?\nAnswer:")";
  std::string arguments;
  std::string responses;
  std::string filtered;
  const char* const names[] = {" Madrid", " Cairo", " Rome", " Havana"};
  for (int i = 0; i < 4; ++i) {
    const std::string comma = i > 0 ? ", " : "";
    const std::string value = fmt::format(R"(["-5.26471575{}", "{}"])",
                                          1000000 + doc % 1000 * 4 + i, i == 2 ? "True" : "False");
    arguments += fmt::format(R"({}"gen_args_{}": {{"arg_0": {}, "arg_1": "{}"}})", comma, i,
                             context, names[i]);
    responses += fmt::format("{}[{}]", comma, value);
    filtered += comma;
    filtered += value;
  }
  return "{\"doc_id\": " + std::to_string(doc) + ", \"doc\": {\"question\": " + context +
         R"(, "choices": ["Madrid", "Cairo", "Rome", "Havana"], "answer": 2, "target": "Rome"}, )" +
         R"("target": "2", "arguments": {)" + arguments + R"(}, "resps": [)" + responses +
         R"(], "filtered_resps": [)" + filtered +
         R"(], "filter": "none", "metrics": ["acc", "acc_norm", "brier_score"], )"
         R"("doc_hash": "f98a55bea47592950370cff2655bdedb3415d7d98876b965fef5647df885033c", )"
         R"("prompt_hash": "de2e661c567a22c40ac42a5d0ede249380de9b9ab628fcf4d63babcebb1f85a2", )"
         R"("target_hash": "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35", )"
         R"("acc": 1.0, "acc_norm": 1.0, )"
         R"("brier_score": [2, "[0.00839643 0.00839643 0.6540974  0.32910974]"]})"
         "\n";
}

std::string Generation(int doc) {
  return "{\"doc_id\": " + std::to_string(doc) +
         R"(, "doc": {"question": "What is 12*13?", "answer": "156"}, "target": "156", )"
         R"("arguments": {"gen_args_0": {"arg_0": "Question: What is 12*13?\nAnswer:", "arg_1": )"
         R"({"until": ["\n"], "do_sample": false, "temperature": 0.0, "max_gen_toks": 16}}}, )"
         R"("resps": [["The answer is 153.\nIt is."]], "filtered_resps": ["153"], )"
         R"("filter": "strict-match", "metrics": ["exact_match"], )"
         R"("doc_hash": "f98a55bea47592950370cff2655bdedb3415d7d98876b965fef5647df885033c", )"
         R"("prompt_hash": "de2e661c567a22c40ac42a5d0ede249380de9b9ab628fcf4d63babcebb1f85a2", )"
         R"("target_hash": "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35", )"
         R"("exact_match": 0.0})"
         "\n";
}

void Read(benchmark::State& state, std::string (*row)(int)) {
  const char* const folder = std::getenv("TEST_TMPDIR");
  const std::string path =
      std::string(folder == nullptr ? "/tmp" : folder) + "/samples_benchmark.jsonl";
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) {
    state.SkipWithError("cannot write the samples");
    return;
  }
  size_t size = 0;
  for (int doc = 0; size < size_t{128} << 20; ++doc) {
    const std::string text = row(doc);
    std::fwrite(text.data(), 1, text.size(), file);
    size += text.size();
  }
  std::fclose(file);

  RunFiles files;
  files.samples.push_back({path, "task"});
  files.folder = "/tmp";
  ReadOptions options;
  options.threads = static_cast<uint32_t>(state.range(0));
  uint64_t n = 0;
  for (auto _ : state) {
    auto reader = OpenRun(files, options);
    v1::SampleBatch batch;
    BatchOrigin origin;
    while (*(*reader)->Next(&batch, &origin)) n += batch.n_samples();
  }
  state.SetBytesProcessed(static_cast<int64_t>(size * state.iterations()));
  state.SetItemsProcessed(static_cast<int64_t>(n));
  std::remove(path.c_str());
}

void OnOneThreadAndTwo(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("threads")->Arg(1)->Arg(2);
  benchmark->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();
}

BENCHMARK_CAPTURE(Read, multiple_choice, Choices)->Apply(OnOneThreadAndTwo);
BENCHMARK_CAPTURE(Read, generate_until, Generation)->Apply(OnOneThreadAndTwo);

}  // namespace
}  // namespace mirage::integrations::lm_eval
