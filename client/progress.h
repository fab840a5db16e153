// A progress line on standard error, where that is a terminal.
#ifndef MIRAGE_CLIENT_PROGRESS_H_
#define MIRAGE_CLIENT_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace mirage::client {

// One line that is redrawn at most ten times a second and wiped at the end. Draws
// nothing for work that takes less than a third of a second, or when disabled. The line
// is shorter than the terminal is wide (80 columns where nobody says), or it could not be
// wiped: the label is cut first, then the bar is left out.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // `label` is shown in front; it must be safe for a terminal. `now` is for tests. What is done is
  // bytes, or, where `counted` says of what, a count: "series".
  Progress(std::string label, bool enabled, std::function<Clock::time_point()> now = Clock::now,
           std::string counted = "");
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // States how many bytes, or how many of what is counted, are done of how many.
  void Update(uint64_t done, uint64_t total);

 private:
  const std::string label_;
  const bool enabled_;
  const std::string counted_;
  const std::function<Clock::time_point()> now_;
  const Clock::time_point start_ = now_();
  Clock::time_point drawn_ = start_;
  bool visible_ = false;
};

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_PROGRESS_H_
