#include "integrations/lm_eval/parallel_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "integrations/lm_eval/json_text.h"

namespace mirage::integrations::lm_eval {
namespace {

constexpr uint64_t kMaxTextUnderWay = uint64_t{32} << 20;
// Enough that a thread seldom waits for the one that takes them.
constexpr size_t kChunksPerThread = 4;
// More would wait for the thread that scores.
constexpr size_t kMaxThreads = 4;

// Whether the row, a last one without a newline, ends before its brackets do.
bool IsCutOff(std::string_view row) {
  size_t end = 0;
  return row.front() == '{' && MatchBrackets(row, &end) == Brackets::kOpen;
}

size_t ThreadsOf(const ReadOptions& options) {
  if (options.threads > 0) return options.threads;
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxThreads);
}

}  // namespace

void ParseChunk(const RowChunk& chunk, const ReadOptions& options, RowParser* parser,
                ParsedChunk* parsed) {
  parsed->n_batches = 0;
  parsed->issues.clear();
  parsed->n_issues.clear();
  parsed->n_rows = chunk.rows.size();
  parsed->hashes.clear();
  parsed->has_hashes = true;
  parsed->bytes_consumed = chunk.bytes_consumed;
  parsed->is_last = chunk.is_last;
  parsed->status = chunk.status;

  const auto add_issue = [&](const std::string& filter, uint64_t line, std::string message) {
    if (++parsed->n_issues[filter] > kKeptIssues) return;
    parsed->issues.push_back({filter, line, std::move(message)});
  };
  ParsedChunk::Batch* current = nullptr;
  const auto start_batch = [&] {
    if (parsed->n_batches == parsed->batches.size()) parsed->batches.emplace_back();
    current = &parsed->batches[parsed->n_batches++];
    current->lines.clear();
    parser->StartBatch(&current->batch);
  };
  for (const RowChunk::Row& row : chunk.rows) {
    switch (row.kind) {
      case RowSource::Row::Kind::kTooLong:
        add_issue(
            "", row.number,
            fmt::format(
                "the row is larger than {} bytes; skipped: --max-row-mib raises the limit, to "
                "128 at most",
                options.max_row_bytes));
        break;
      case RowSource::Row::Kind::kTruncated:
        add_issue("", row.number,
                  "the file ends inside this element; skipped: it was cut off, evaluate again");
        break;
      case RowSource::Row::Kind::kStray:
        add_issue("", row.number, "an element of the array is no object; skipped");
        break;
      case RowSource::Row::Kind::kAfterEnd:
        add_issue("", row.number,
                  "text after the array's last bracket; skipped: delete it, or evaluate again");
        break;
      case RowSource::Row::Kind::kEnd:
      case RowSource::Row::Kind::kRow:
        break;
    }
    if (row.kind != RowSource::Row::Kind::kRow) {
      parsed->has_hashes = false;
      parser->Skip();
      continue;
    }
    const std::string_view text = chunk.TextOf(row);
    if (current == nullptr) start_batch();
    RowParser::Outcome outcome = parser->Append(text, &current->batch);
    if (outcome == RowParser::Outcome::kBatchFull) {
      start_batch();
      outcome = parser->Append(text, &current->batch);
    }
    if (!parser->AppendHashes(&parsed->hashes)) parsed->has_hashes = false;
    if (outcome == RowParser::Outcome::kAppended) {
      current->lines.push_back(row.number);
      if (parser->IsFull()) current = nullptr;
      continue;
    }
    add_issue(parser->filter(), row.number,
              row.unterminated && parser->filter().empty() && IsCutOff(text)
                  ? "the file ends inside this row; skipped: it was cut off, evaluate again"
                  : parser->message());
  }
  if (current != nullptr && current->lines.empty()) --parsed->n_batches;
  // Rows that depend on each other are all read by one parser.
  parsed->filter_doubt = chunk.is_last ? parser->FilterDoubt() : "";
}

ParallelParser::ParallelParser(RowSource* source, std::unique_ptr<RowParser> parser,
                               const ReadOptions& options)
    : source_(source),
      parser_(std::move(parser)),
      options_(options),
      n_threads_(ThreadsOf(options)) {}

ParallelParser::~ParallelParser() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  may_cut_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool ParallelParser::Next(std::unique_ptr<ParsedChunk>* parsed) {
  if (done_) return false;
  if (threads_.empty()) {
    if (*parsed == nullptr) *parsed = std::make_unique<ParsedChunk>();
    ReadChunk(*source_, kChunkBytes, &chunk_);
    ParseChunk(chunk_, options_, parser_.get(), parsed->get());
    done_ = (*parsed)->is_last;
    if (!done_ && n_threads_ > 1 && parser_->IsOrderFree()) {
      chunk_ = RowChunk();
      try {
        for (size_t t = 0; t < n_threads_; ++t) threads_.emplace_back([this] { Work(); });
      } catch (const std::system_error&) {
        // The system has no more threads: those that started do the work, or this one.
      }
    }
    return true;
  }
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (*parsed != nullptr) spare_.push_back(std::move(*parsed));
    is_parsed_.wait(lock,
                    [&] { return !under_way_.empty() && under_way_.front().parsed != nullptr; });
    *parsed = std::move(under_way_.front().parsed);
    text_under_way_ -= under_way_.front().text;
    under_way_.pop_front();
    ++first_;
  }
  may_cut_.notify_one();
  done_ = (*parsed)->is_last;
  return true;
}

void ParallelParser::Work() {
  const std::unique_ptr<RowParser> parser = parser_->Fork();
  RowChunk chunk;
  while (true) {
    uint64_t number = 0;
    std::unique_ptr<ParsedChunk> parsed;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      may_cut_.wait(lock, [&] {
        return stop_ || source_ended_ ||
               (!cutting_ && under_way_.size() < kChunksPerThread * n_threads_ &&
                (under_way_.empty() || text_under_way_ < kMaxTextUnderWay));
      });
      if (stop_ || source_ended_) return;
      cutting_ = true;
      number = first_ + under_way_.size();
      under_way_.emplace_back();
      if (!spare_.empty()) {
        parsed = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    if (parsed == nullptr) parsed = std::make_unique<ParsedChunk>();
    ReadChunk(*source_, kChunkBytes, &chunk);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      cutting_ = false;
      source_ended_ = chunk.is_last;
      // `under_way_` may have lost its front meanwhile, but never this chunk.
      under_way_[number - first_].text = chunk.size;
      text_under_way_ += chunk.size;
    }
    may_cut_.notify_all();
    ParseChunk(chunk, options_, parser.get(), parsed.get());
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      under_way_[number - first_].parsed = std::move(parsed);
    }
    is_parsed_.notify_one();
  }
}

}  // namespace mirage::integrations::lm_eval
