#include "client/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "client/render/terminal_text.h"
#include "client/standard_error.h"
#include "client/terminal.h"

namespace mirage::client {
namespace {

constexpr std::chrono::milliseconds kQuiet{330};
constexpr std::chrono::milliseconds kBetween{100};
constexpr int kBarWidth = 24;
constexpr size_t kUsualColumns = 80;

// Asked each time: a window may be resized meanwhile.
size_t Columns() {
  const size_t columns = WindowColumns(STDERR_FILENO);
  return columns > 0 ? columns : kUsualColumns;
}

}  // namespace

Progress::Progress(std::string label, bool enabled, std::function<Clock::time_point()> now,
                   std::string counted)
    : label_(std::move(label)),
      enabled_(enabled),
      counted_(std::move(counted)),
      now_(std::move(now)) {}

Progress::~Progress() {
  if (visible_) PrintError("\r\x1b[K");
}

void Progress::Update(uint64_t done, uint64_t total) {
  if (!enabled_ || total == 0) return;
  const Clock::time_point now = now_();
  if (now - start_ < kQuiet || now - drawn_ < kBetween) return;
  drawn_ = now;
  visible_ = true;
  const double share =
      std::min(1.0, static_cast<double>(done) / static_cast<double>(total));  // a file may grow
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const int filled = static_cast<int>(share * kBarWidth);
  std::string bar;
  for (int i = 0; i < kBarWidth; ++i) bar += i < filled ? "█" : "░";
  std::string figures = fmt::format("{:3.0f} %  ", 100 * share);
  if (counted_.empty()) {
    const double mb = static_cast<double>(done) / 1e6;
    figures += fmt::format("{:.0f} of {:.0f} MB, {:.0f} MB/s", mb, static_cast<double>(total) / 1e6,
                           mb / seconds);
  } else {
    figures += fmt::format("{} of {} {}", done, total, counted_);
  }
  const size_t room = Columns() - 1;  // in the last column some terminals wrap
  std::string rest = fmt::format("{} {}", bar, figures);
  if (DisplayWidth(rest) > room) rest = Shortened(figures, room);
  const size_t used = DisplayWidth(rest) + 1;
  const std::string label = used < room ? Shortened(label_, room - used) : "";
  PrintError(fmt::format("\r\x1b[K{}{}{}", label, label.empty() ? "" : " ", rest));
}

}  // namespace mirage::client
