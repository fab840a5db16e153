// The version of everything in this repository.
#ifndef MIRAGE_BASE_VERSION_H_
#define MIRAGE_BASE_VERSION_H_

#include <string_view>

namespace mirage {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace mirage

#endif  // MIRAGE_BASE_VERSION_H_
