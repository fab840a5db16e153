// Which choice is gold, when the log leaves it open or states it ambiguously.
//
// A harness's log may give the gold as an index, as the text of a choice, as
// digits that could be either, or not at all (winogrande style). But it also gives
// the harness's own verdict on the row, and a reading of the gold is right only if
// it reproduces that verdict. Nothing is guessed: when the verdicts leave no
// reading, or more than one, the row's gold counts as unverified. Whether the rows that
// are left still stand for the task is for the caller to judge (TaskScorer::Withheld).
#ifndef MIRAGE_SERVER_ENGINE_GOLD_H_
#define MIRAGE_SERVER_ENGINE_GOLD_H_

#include <cstdint>
#include <span>
#include <vector>

#include "metrics/kernels/choices.h"

namespace mirage::server {

// A harness's verdict on a row under one decision rule.
struct GoldVerdict {
  // The choice that the rule takes.
  uint32_t decision = 0;
  // Whether the harness scored the row as right.
  bool correct = false;
};

// How the gold of a row came out.
enum class GoldOutcome {
  // The log's only reading, which no verdict contradicts.
  kStated,
  // One of several readings: the verdicts tell which. A row that was scored as right is
  // settled more often so than one that was scored as wrong.
  kToldByVerdict,
  // Unverified: several readings fit, or nothing tells.
  kOpen,
  // Unverified: no reading fits.
  kContradicted,
};

// Settles the gold of one row with `n_choices` choices.
//
// `golds` is the log's first reading (a set; empty when the log leaves it open),
// `alternative` a second one (-1 for none), `verdicts` what the harness said,
// maybe nothing. `settled` gets the settled set; it is empty when the gold is unverified.
// Without verdicts an only reading stands as it is.
// O(K) time.
GoldOutcome SettleGold(uint32_t n_choices, std::span<const uint32_t> golds, int32_t alternative,
                       std::span<const GoldVerdict> verdicts, std::vector<uint32_t>& settled);

}  // namespace mirage::server

#endif  // MIRAGE_SERVER_ENGINE_GOLD_H_
