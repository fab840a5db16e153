// How long a table of series takes to read.
//
//   bazel run -c opt //client/tables:series_table_benchmark
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "client/tables/series_table.h"
#include "client/tables/text_source.h"

namespace mirage::client {
namespace {

constexpr int kRows = 1'000'000;

// 10 models of 50 families on 200 tasks and 10 metrics; sorted as a program would write them, or by
// model, so that the series change with every row.
std::string Table(bool by_model) {
  std::string text = "family,task,model,scale,metric,value,stderr,n\n";
  for (int i = 0; i < kRows; ++i) {
    const int model = by_model ? i / (kRows / 10) : i % 10;
    const int series = by_model ? i % (kRows / 10) : i / 10;
    text +=
        fmt::format("family-{},task_{},model-{},{}e8,metric_{},0.{:06},0.01,1000\n", series % 50,
                    series / 50 % 200, model, model + 1, series / 10000, (i * 7919LL) % 1000000);
  }
  return text;
}

void ReadSeriesTable(benchmark::State& state) {
  const std::string text = Table(state.range(0) != 0);
  for (auto _ : state) {
    const auto table = ReadSeries("s.csv", TextSource(text));
    if (!table.ok() || table->series.size() != kRows / 10) std::abort();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(ReadSeriesTable)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mirage::client
