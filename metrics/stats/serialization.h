// How accumulators become bytes: little-endian fields one after the other, behind one byte of
// version.
//
//   ByteWriter out(kVersion);                     ByteReader in(bytes, "thing", kVersion);
//   out.Uint64(count_);                           const uint64_t count = in.Uint64("count");
//   out.Part(moments_);                           Moments moments = in.Part<Moments>("moments");
//   return std::move(out).Take();                 if (auto s = in.Finish(); !s.ok()) return s;
//
// The bytes are the same on every machine. A reader remembers the first thing that is wrong and
// gives zeros from then on, so that it can be asked once, at the end; it never reads past the end
// and never allocates more than the bytes hold.
#ifndef MIRAGE_METRICS_STATS_SERIALIZATION_H_
#define MIRAGE_METRICS_STATS_SERIALIZATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/stats/exact_sum.h"

namespace mirage::metrics {

class ByteWriter {
 public:
  explicit ByteWriter(uint8_t version) { Uint8(version); }

  void Uint8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void Uint64(uint64_t value);
  // The bits of a double.
  void Double(double value);
  // A byte, 1 for true.
  void Flag(bool value) { Uint8(value ? 1 : 0); }
  // A length and the bytes.
  void Bytes(std::string_view bytes);
  // A length and accumulator.Serialize().
  template <class Accumulator>
  void Part(const Accumulator& accumulator) {
    Bytes(accumulator.Serialize());
  }
  void Sum(const ExactSum& sum) { Part(sum); }

  std::string Take() && { return std::move(out_); }

 private:
  std::string out_;
};

class ByteReader {
 public:
  // `what` names the accumulator in messages; it and the bytes must outlive the reader.
  ByteReader(std::string_view bytes, std::string_view what, uint8_t version);

  uint8_t Uint8(std::string_view field);
  uint64_t Uint64(std::string_view field);
  double Double(std::string_view field);
  // An error unless the byte is 0 or 1.
  bool Flag(std::string_view field);
  // What Uint64 wrote, an error above kMaxCount.
  uint64_t Count(std::string_view field);
  std::string_view Bytes(std::string_view field);
  // An error, `field: its message`, where Accumulator::Deserialize refuses the bytes.
  template <class Accumulator>
  Accumulator Part(std::string_view field);
  ExactSum Sum(std::string_view field) { return Part<ExactSum>(field); }
  // All bytes that are left.
  std::string_view Rest();

  // A number of elements that follow, each of at least `bytes_each` >= 1 bytes: an error if that
  // many cannot follow, so that a caller may reserve room for them.
  uint64_t Size(std::string_view field, size_t bytes_each);

  // The same of a number that the caller knows: false, and an error, if that many cannot follow.
  bool Holds(std::string_view field, uint64_t size, size_t bytes_each);

  // Whether nothing was wrong so far.
  bool ok() const { return status_.ok(); }

  // Says that what was read cannot have been written: INVALID_ARGUMENT, `what: message`.
  void Fail(std::string_view message);
  // The same as `what: field: message of why`, where `why` is an error.
  void Fail(std::string_view field, const absl::Status& why);

  // INVALID_ARGUMENT with the first thing that was wrong, or that bytes are left over.
  absl::Status Finish();

 private:
  bool Has(std::string_view field, uint64_t size);

  std::string_view bytes_;
  std::string_view what_;
  absl::Status status_;
};

template <class Accumulator>
Accumulator ByteReader::Part(std::string_view field) {
  const std::string_view bytes = Bytes(field);
  if (!status_.ok()) return {};
  absl::StatusOr<Accumulator> read = Accumulator::Deserialize(bytes);
  if (read.ok()) return *std::move(read);
  Fail(field, read.status());
  return {};
}

}  // namespace mirage::metrics

#endif  // MIRAGE_METRICS_STATS_SERIALIZATION_H_
