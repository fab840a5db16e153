// Numbers and names as they stand in a table for people, in Markdown, CSV and XML.
#ifndef MIRAGE_CLIENT_RENDER_CELLS_H_
#define MIRAGE_CLIENT_RENDER_CELLS_H_

#include <string>
#include <string_view>

namespace mirage::client {

// Decimals of a number whose error is not known: as lm-eval prints.
inline constexpr int kUsualDecimals = 4;
// More are never shown: beyond, an exponent says more.
inline constexpr int kMostDecimals = 8;

// Decimals that show two digits of a number's error, in [kUsualDecimals, kMostDecimals];
// kUsualDecimals where the error is 0, negative or not finite.
int DecimalsFor(double error);

// A number for people, with so many decimals, or with an exponent where these would show nothing
// of it or where it is 1e7 and more: "0.0417", "6.40e-06", "inf", "NaN".
std::string NumberText(double value, int decimals = kUsualDecimals);

// What the axis is called: "Tokens", "FLOPs", "Loss"; else "Scale", because a table may order its
// family by something else than parameters.
std::string_view AxisName(std::string_view x_axis);

// A field of RFC 4180, quoted where it has to be; made safe for a terminal.
std::string CsvCell(std::string_view raw);
// All the digits that tell the number from others; "inf", "-inf", "nan".
std::string CsvNumber(double value);

// Text for XML, inside an element or an attribute in double quotes; made safe for a terminal.
std::string XmlText(std::string_view text);

// Text that Markdown shows as it is, also inside a table; made safe for a terminal.
std::string MarkdownCell(std::string_view text);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_CELLS_H_
