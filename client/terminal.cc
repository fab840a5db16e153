#include "client/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace mirage::client {
namespace {

// Empty where it is not set.
std::string_view Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

size_t WindowColumns(int descriptor) {
  winsize size = {};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

Terminal TerminalOn(int descriptor) {
  Terminal terminal;
  if (::isatty(descriptor) != 1) return terminal;
  const std::string_view kind = Variable("TERM");
  terminal.escapes = !kind.empty() && kind != "dumb";
  terminal.color = terminal.escapes && Variable("NO_COLOR").empty();
  const std::string_view columns = Variable("COLUMNS");
  const char* const end = columns.data() + columns.size();
  const auto [stop, error] = std::from_chars(columns.data(), end, terminal.width);
  if (error == std::errc() && stop == end && terminal.width > 0) return terminal;
  terminal.width = WindowColumns(descriptor);
  return terminal;
}

}  // namespace mirage::client
