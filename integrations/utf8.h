// Names from the file system and from logs, made fit for proto strings.
#ifndef MIRAGE_INTEGRATIONS_UTF8_H_
#define MIRAGE_INTEGRATIONS_UTF8_H_

#include <string>
#include <string_view>

namespace mirage::integrations {

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD. A proto
// `string` must be valid: a message with another one cannot be read by its receiver.
// O(n).
std::string ValidUtf8(std::string_view text);

}  // namespace mirage::integrations

#endif  // MIRAGE_INTEGRATIONS_UTF8_H_
