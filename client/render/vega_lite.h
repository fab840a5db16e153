// The answer of `mirage diagnose` as a Vega-Lite specification, for notebooks, web pages and
// editors.
#ifndef MIRAGE_CLIENT_RENDER_VEGA_LITE_H_
#define MIRAGE_CLIENT_RENDER_VEGA_LITE_H_

#include <string>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// One Vega-Lite 5 specification (JSON, ASCII) that needs nothing else: the numbers are inline, no
// address is read but that of the schema, which names the version. A figure a diagnosis, one below
// the other (`vconcat`). Each has the verdict and the series as its title, the main reason below;
// the sharp metric with intervals, hollow where a model was held out; the composed prediction with
// its band, dashed; forecasts and breaks where there are any; below, the counterpart with
// intervals, on a log scale where its values are all of one sign (negative ones are negated and the
// axis says so). The x axis is logarithmic; that of the loss runs down. The line goes through the
// mean of replicates.
//
// A figure's data is one row a model: family, task, filter, metric, model, scale, n, value, lower,
// upper, counterpart, counterpart_value, counterpart_lower, counterpart_upper, predicted,
// predicted_lower, predicted_upper, held_out; what is absent or not finite is left out of the row,
// and an interval without one of its ends out of the drawing. Scales that are not > 0 are left out.
// Names stand in data and titles as plain text: there is no expression in the specification, and
// `<` is escaped, so that it may be put into a page. Same report, same bytes. O(text).
std::string DiagnoseVegaLite(const v1::DiagnoseReport& report);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_VEGA_LITE_H_
