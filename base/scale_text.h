// How large a model is, for people.
#ifndef MIRAGE_BASE_SCALE_TEXT_H_
#define MIRAGE_BASE_SCALE_TEXT_H_

#include <string>
#include <string_view>

namespace mirage {

// A position on an axis of models in three digits: "350M", "1.3B", "4720", "3.14e23", "2.31"; whole
// numbers below 10,000 are written out. `x_axis` is "parameters", "tokens", "flops" or "loss": the
// first two are counts and have K, M, B and T from 10,000 to 1e15; FLOPs always have an exponent
// from 10,000 on. "inf", "-inf" and "NaN" stand for themselves. Two positions that are near each
// other may have the same text.
std::string ScaleText(double scale, std::string_view x_axis);

}  // namespace mirage

#endif  // MIRAGE_BASE_SCALE_TEXT_H_
