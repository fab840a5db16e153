// lm-eval's task_hashes: what proves that samples and results are of one run.
#ifndef MIRAGE_INTEGRATIONS_LM_EVAL_TASK_HASH_H_
#define MIRAGE_INTEGRATIONS_LM_EVAL_TASK_HASH_H_

#include <memory>
#include <string>
#include <string_view>

namespace mirage::integrations::lm_eval {

// The SHA-256 over doc_hash, prompt_hash and target_hash (in hexadecimal) of every row
// of a task, in the order of its samples file: lm_eval/loggers/evaluation_tracker.py,
// from 0.4.3 on. Any row changed, lost, added or moved gives another.
class TaskHash {
 public:
  TaskHash();
  ~TaskHash();
  TaskHash(const TaskHash&) = delete;
  TaskHash& operator=(const TaskHash&) = delete;

  // Adds rows' hashes. O(length).
  void Add(std::string_view hashes);

  // The digest of everything added, as 64 hexadecimal digits in lower case. Nothing may
  // be added after it.
  std::string Finish();

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace mirage::integrations::lm_eval

#endif  // MIRAGE_INTEGRATIONS_LM_EVAL_TASK_HASH_H_
