// A progress line on standard error, where that is a terminal.
#ifndef MIRAGE_CLIENT_PROGRESS_H_
#define MIRAGE_CLIENT_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace mirage::client {

// One line that is redrawn at most ten times a second and wiped at the end. Draws
// nothing for work that takes less than a third of a second, or when disabled.
class Progress {
 public:
  // `label` is shown in front; it must be safe for a terminal.
  Progress(std::string label, bool enabled);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // States how many bytes of how many are done.
  void Update(uint64_t done, uint64_t total);

 private:
  using Clock = std::chrono::steady_clock;
  const std::string label_;
  const bool enabled_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_ = start_;
  bool visible_ = false;
};

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_PROGRESS_H_
