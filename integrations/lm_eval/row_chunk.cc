#include "integrations/lm_eval/row_chunk.h"

namespace mirage::integrations::lm_eval {

void ReadChunk(RowSource& source, size_t bytes, RowChunk* chunk) {
  chunk->rows.clear();
  chunk->size = 0;
  chunk->is_last = false;
  chunk->status = absl::OkStatus();
  source.Pin();
  while (chunk->size < bytes) {
    const absl::StatusOr<RowSource::Row> row = source.Next();
    if (!row.ok()) {
      chunk->status = row.status();
      chunk->is_last = true;
      break;
    }
    if (row->kind == RowSource::Row::Kind::kEnd) {
      chunk->is_last = true;
      break;
    }
    const bool has_text = row->kind == RowSource::Row::Kind::kRow;
    const size_t offset = has_text ? source.PinnedOffset(*row) : 0;
    const size_t size = has_text ? row->text.size() : 0;
    chunk->rows.push_back({row->kind, offset, size, row->number, row->unterminated});
    if (has_text) chunk->size = offset + size;
    if (chunk->rows.size() >= kMaxChunkRows) break;
  }
  chunk->bytes_consumed = source.bytes_consumed();
  chunk->start = source.TakePinned(&chunk->buffer);
}

}  // namespace mirage::integrations::lm_eval
