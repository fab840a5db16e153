// The answer of `mirage meta` as a figure.
#ifndef MIRAGE_CLIENT_RENDER_META_PLOT_H_
#define MIRAGE_CLIENT_RENDER_META_PLOT_H_

#include <string>

#include "mirage/v1/emergence.pb.h"

namespace mirage::client {

// An SVG document, 760 wide, without scripts, styles or anything from elsewhere, on a background of
// its own. A row a metric in the order of the report (by falling share of emergent triplets), sharp
// and continuous ones told apart by colour and by word; each evaluated triplet's emergence score
// for each step as a mark on a log axis, where 1 is a straight line: a filled diamond where it is
// emergent, else a hollow dot. Infinite scores stand in a column of their own on the right; those
// of 0.1 and less, and curves that fall, at the left end. Marks of one row are spread so that they
// do not hide each other, the same way each time. <title> and <desc> say the numbers for who cannot
// see them. Same report, same bytes.
std::string MetaPlotSvg(const v1::MetaAnalysis& analysis);

}  // namespace mirage::client

#endif  // MIRAGE_CLIENT_RENDER_META_PLOT_H_
