#include "integrations/utf8.h"

#include <utf8proc.h>

namespace mirage::integrations {

std::string ValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t codepoint = -1;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at;
    const utf8proc_ssize_t n =
        utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &codepoint);
    if (n > 0) {
      out += text.substr(at, static_cast<size_t>(n));
      at += static_cast<size_t>(n);
    } else {
      out += "\xef\xbf\xbd";
      ++at;
    }
  }
  return out;
}

}  // namespace mirage::integrations
