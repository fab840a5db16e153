// The answer of `mirage diagnose` as figures: what the metric did, beside what its counterpart
// predicts.
#ifndef MIRAGE_CLIENT_RENDER_CURVE_PLOT_H_
#define MIRAGE_CLIENT_RENDER_CURVE_PLOT_H_

#include <cstddef>
#include <string>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// Diagnoses that one drawing shows; the first ones of a report with more.
inline constexpr int kMaxFigures = 48;

// An SVG document, 760 wide, without scripts, styles or anything from elsewhere, readable on any
// background (it brings its own). A figure a diagnosis: two columns of small ones where there are
// several. Each has the verdict as its title; the sharp metric with intervals, hollow where a model
// was held out, the composed prediction with its band; below, the counterpart with intervals, on a
// log scale where its values are all of one sign (negative ones are negated and say so); breaks and
// forecasts where there are any. The x axis is logarithmic; that of the loss runs down, so that
// better models are on the right everywhere. Replicates are points of their own, the line goes
// through their mean. Points that are not finite, and scales that are not > 0, are left out; a
// figure without any says so. <title> and <desc> have the verdict, the reason and the numbers for
// who cannot see them. Text from files is made safe. Same report, same bytes.
std::string CurvePlotSvg(const v1::DiagnoseReport& report);

struct PlotTextOptions {
  // Colour curves and verdicts by ANSI escapes.
  bool color = false;
  // Columns of the terminal; a drawing takes 40 to 100 of them. 0 means 80.
  size_t width = 0;
};

// The same for a terminal, without the counterpart: the metric as dots (hollow where held out) with
// its intervals, the prediction as a line in Braille.
std::string CurvePlotText(const v1::DiagnoseReport& report, const PlotTextOptions& options);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_CURVE_PLOT_H_
