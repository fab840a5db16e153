#include "metrics/emergence/margin_spread.h"

#include "gtest/gtest.h"

namespace mirage::metrics {
namespace {

struct Vector {
  MarginSpread spread;
  double z;
  double share;
};

constexpr Vector kVectors[] = {
#include "metrics/emergence/margin_spread_vectors.inc"
};

TEST(MarginSpreadTest, AgreesWithSciPy) {
  for (const Vector& vector : kVectors) {
    EXPECT_NEAR(ShareAboveZero(vector.spread, vector.z), vector.share, 1e-13)
        << static_cast<int>(vector.spread) << " " << vector.z;
  }
}

TEST(MarginSpreadTest, RisesFromZeroToOne) {
  for (const MarginSpread spread : kMarginSpreads) {
    double last = 0;
    for (int i = -160; i <= 160; ++i) {
      const double z = 0.25 * i;
      const double share = ShareAboveZero(spread, z);
      ASSERT_TRUE(share >= last && share <= 1) << static_cast<int>(spread) << " " << z;
      last = share;
    }
    EXPECT_NEAR(ShareAboveZero(spread, -40), 0, 1e-12);
    EXPECT_NEAR(ShareAboveZero(spread, 40), 1, 1e-12);
  }
}

}  // namespace
}  // namespace mirage::metrics
