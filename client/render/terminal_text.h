// Text that comes from outside, made safe and measurable for a terminal.
#ifndef MIRAGE_CLIENT_RENDER_TERMINAL_TEXT_H_
#define MIRAGE_CLIENT_RENDER_TERMINAL_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mirage::client {

// Replaces what could move the cursor, colour the screen or reorder the line:
// control characters (as \x1b), bidirectional marks and line separators (as
// \u202e), and bytes that are not UTF-8 (as \xff). O(n).
std::string SafeText(std::string_view text);

// Columns that a terminal gives to `text`: wide characters take two, combining ones
// none. The text must be safe.
size_t DisplayWidth(std::string_view text);

// `text` padded with spaces to `width` columns, on the right or (for numbers) on the
// left. Longer text is returned as it is.
std::string PadRight(std::string_view text, size_t width);
std::string PadLeft(std::string_view text, size_t width);

// As much of the beginning of `text` as fits into `columns`, with … in the last of them where
// something is missing. The text must be safe. O(n).
std::string Shortened(std::string_view text, size_t columns);

// Lines of at most `width` columns (0: no limit), broken at spaces; runs of spaces count as one.
// A longer word has a line of its own, as it is. No line but the first begins with what Markdown
// would take for the begin of an item or a heading, unless it does not fit. At least one line.
std::vector<std::string> Wrapped(std::string_view text, size_t width);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_TERMINAL_TEXT_H_
