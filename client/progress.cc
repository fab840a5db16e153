#include "client/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
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

// As much of the beginning of `text` as fits, with … where something is missing.
std::string Cut(std::string_view text, size_t columns) {
  if (DisplayWidth(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  size_t end = text.size();
  while (end > 0 && DisplayWidth(text.substr(0, end)) > columns - 1) {
    --end;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace

Progress::Progress(std::string label, bool enabled, std::function<Clock::time_point()> now)
    : label_(std::move(label)), enabled_(enabled), now_(std::move(now)) {}

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
  const std::string figures = fmt::format(
      "{:3.0f} %  {:.0f} of {:.0f} MB, {:.0f} MB/s", 100 * share, static_cast<double>(done) / 1e6,
      static_cast<double>(total) / 1e6, static_cast<double>(done) / 1e6 / seconds);
  const size_t room = Columns() - 1;  // in the last column some terminals wrap
  std::string rest = fmt::format("{} {}", bar, figures);
  if (DisplayWidth(rest) > room) rest = Cut(figures, room);
  const size_t used = DisplayWidth(rest) + 1;
  const std::string label = used < room ? Cut(label_, room - used) : "";
  PrintError(fmt::format("\r\x1b[K{}{}{}", label, label.empty() ? "" : " ", rest));
}

}  // namespace mirage::client
