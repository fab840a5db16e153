// What the terminal on a descriptor can show.
#ifndef MIRAGE_CLIENT_TERMINAL_H_
#define MIRAGE_CLIENT_TERMINAL_H_

#include <cstddef>

namespace mirage::client {

struct Terminal {
  // Whether there is one that understands escapes: not where TERM is unset, empty or "dumb".
  bool escapes = false;
  // Whether it may be coloured: it understands escapes, and NO_COLOR is unset or empty
  // (no-color.org).
  bool color = false;
  // Columns: COLUMNS where that is a number above 0, else what the terminal says; 0 where
  // neither is known.
  size_t width = 0;
};

// Columns of the window behind `descriptor`, whatever the environment says; 0 where it has none.
size_t WindowColumns(int descriptor);

// Looks at `descriptor` and the environment. All is off where there is no terminal.
Terminal TerminalOn(int descriptor);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_TERMINAL_H_
