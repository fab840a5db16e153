#include "client/progress.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "client/standard_error.h"

namespace mirage::client {
namespace {

constexpr std::chrono::milliseconds kQuiet{330};
constexpr std::chrono::milliseconds kBetween{100};
constexpr int kBarWidth = 24;

}  // namespace

Progress::Progress(std::string label, bool enabled) : label_(std::move(label)), enabled_(enabled) {}

Progress::~Progress() {
  if (visible_) PrintError("\r\x1b[K");
}

void Progress::Update(uint64_t done, uint64_t total) {
  if (!enabled_ || total == 0) return;
  const Clock::time_point now = Clock::now();
  if (now - start_ < kQuiet || now - drawn_ < kBetween) return;
  drawn_ = now;
  visible_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const int filled = static_cast<int>(share * kBarWidth);
  std::string bar;
  for (int i = 0; i < kBarWidth; ++i) bar += i < filled ? "█" : "░";
  PrintError(fmt::format("\r\x1b[K{} {} {:3.0f} %  {:.0f} of {:.0f} MB, {:.0f} MB/s", label_, bar,
                         100 * share, static_cast<double>(done) / 1e6,
                         static_cast<double>(total) / 1e6,
                         static_cast<double>(done) / 1e6 / seconds));
  std::fflush(stderr);
}

}  // namespace mirage::client
