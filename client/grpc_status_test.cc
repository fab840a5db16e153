#include "client/grpc_status.h"

#include <gtest/gtest.h>

namespace mirage::client {
namespace {

TEST(GrpcStatusTest, CodesAreTheSame) {
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  const absl::Status status = FromGrpc({grpc::StatusCode::NOT_FOUND, "no such metric"});
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(status.message(), "no such metric");
}

TEST(GrpcStatusTest, AStatusWithoutWordsGetsSome) {
  EXPECT_EQ(FromGrpc({grpc::StatusCode::UNIMPLEMENTED, ""}).message(),
            "the sidecar answered UNIMPLEMENTED");
}

}  // namespace
}  // namespace mirage::client
