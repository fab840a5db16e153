#include "server/service/status.h"

#include <gtest/gtest.h>

namespace mirage::server {
namespace {

TEST(StatusTest, OkIsOk) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpc(absl::OkStatus()).error_message(), "");
}

TEST(StatusTest, CodesAndMessagesAreKept) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = ToGrpc({static_cast<absl::StatusCode>(code), "samples[3]: größer"});
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "samples[3]: größer");
  }
  EXPECT_EQ(ToGrpc(absl::NotFoundError("")).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ToGrpc(absl::FailedPreconditionError("")).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ToGrpc(absl::UnauthenticatedError("")).error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

}  // namespace
}  // namespace mirage::server
