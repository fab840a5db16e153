// Parses the rows of one samples file on several threads; what comes out is in the
// file's order and the same on any number of threads.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_PARALLEL_PARSER_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_PARALLEL_PARSER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "integrations/lm_eval/row_chunk.h"
#include "integrations/lm_eval/row_parser.h"
#include "integrations/lm_eval/row_source.h"
#include "integrations/reader.h"
#include "mirage/v1/sample.pb.h"

namespace mirage::integrations::lm_eval {

// What the rows of one chunk became.
struct ParsedChunk {
  struct Batch {
    v1::SampleBatch batch;
    // Number of each sample's row.
    std::vector<uint64_t> lines;
  };
  struct Issue {
    std::string filter;
    uint64_t line = 0;
    std::string message;
  };

  // The first `n_batches` are of this chunk; the others keep their memory for later.
  std::vector<Batch> batches;
  size_t n_batches = 0;
  // The first kKeptIssues of each filter.
  std::vector<Issue> issues;
  // All of them, by filter.
  std::map<std::string, uint64_t> n_issues;
  // Rows, those with issues included.
  uint64_t n_rows = 0;
  // doc_hash, prompt_hash and target_hash of every row, one after the other.
  std::string hashes;
  // False when some row does not tell all three.
  bool has_hashes = true;
  // Of the last chunk: see RowParser.
  std::string filter_doubt;
  // See RowChunk.
  uint64_t bytes_consumed = 0;
  bool is_last = false;
  absl::Status status;
};

// Bytes of a chunk.
inline constexpr size_t kChunkBytes = size_t{1} << 20;

// Parses the rows of `chunk` in their order, replacing `parsed` but reusing its
// memory. A batch never spans two chunks.
void ParseChunk(const RowChunk& chunk, const ReadOptions& options, RowParser* parser,
                ParsedChunk* parsed);

// Not thread-safe itself. At most 4 * threads chunks are under way, and no more than
// one once their text exceeds 32 MiB, whatever the size of a row.
class ParallelParser {
 public:
  // `source` must outlive this object; nobody else may read from it.
  // options.threads as there.
  ParallelParser(RowSource* source, std::unique_ptr<RowParser> parser, const ReadOptions& options);
  // Stops the threads; rows that nobody asked for are dropped.
  ~ParallelParser();
  ParallelParser(const ParallelParser&) = delete;
  ParallelParser& operator=(const ParallelParser&) = delete;

  // The next chunk, replaced in place so that the memory of one goes to another.
  // False after the last one. Rows are parsed on the calling thread until the first
  // of them has shown what the rest will be (RowParser::IsOrderFree).
  bool Next(std::unique_ptr<ParsedChunk>* parsed);

 private:
  void Work();

  RowSource* const source_;
  const std::unique_ptr<RowParser> parser_;
  const ReadOptions options_;
  const size_t n_threads_;
  // Of the calling thread.
  RowChunk chunk_;
  bool done_ = false;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  // A chunk may be cut, or the end has come.
  std::condition_variable may_cut_;
  // A chunk is parsed.
  std::condition_variable is_parsed_;
  bool stop_ = false;
  // Whether a thread is reading from the source.
  bool cutting_ = false;
  bool source_ended_ = false;
  struct Chunk {
    // Null while it is being parsed.
    std::unique_ptr<ParsedChunk> parsed;
    // Its text in bytes; 0 while it is being cut.
    uint64_t text = 0;
  };
  // Chunks from the next one that is due on.
  std::deque<Chunk> under_way_;
  // Number of the first chunk of `under_way_`.
  uint64_t first_ = 0;
  // Text of all of them, in bytes.
  uint64_t text_under_way_ = 0;
  // Memory to use again.
  std::vector<std::unique_ptr<ParsedChunk>> spare_;
};

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_PARALLEL_PARSER_H_
