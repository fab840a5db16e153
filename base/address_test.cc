#include "base/address.h"

#include <string>

#include "gtest/gtest.h"

namespace mirage {
namespace {

std::string Refusal(std::string_view address, bool to_listen) {
  const absl::Status status = CheckAddress(address, to_listen);
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(AddressTest, LoopbackAndUnixSockets) {
  for (const char* address : {"127.0.0.1:1", "127.0.0.1:65535", "localhost:50051", "[::1]:50051",
                              "unix:/run/mirage.sock", "unix:relative.sock"}) {
    EXPECT_EQ(Refusal(address, true), "");
    EXPECT_EQ(Refusal(address, false), "");
  }
}

TEST(AddressTest, PortZeroIsOnlyForListening) {
  EXPECT_EQ(Refusal("127.0.0.1:0", true), "");
  EXPECT_EQ(
      Refusal("127.0.0.1:0", false),
      "address \"127.0.0.1:0\": nobody listens on port 0: write the port that miraged printed");
}

TEST(AddressTest, NothingThatWouldTravelInTheClear) {
  for (const char* address : {"0.0.0.0:50051", "[::]:50051", "example.org:443", ":50051",
                              "127.0.0.1.example.org:1", "http://127.0.0.1:1"}) {
    EXPECT_NE(Refusal(address, false).find("only loopback and Unix sockets"), std::string::npos)
        << address;
  }
}

TEST(AddressTest, PortsAndPathsThatAreNone) {
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:-1",
                              "127.0.0.1:65536", "127.0.0.1: 80", "127.0.0.1:99999999999"}) {
    EXPECT_NE(Refusal(address, true).find("has no port"), std::string::npos) << address;
  }
  EXPECT_NE(Refusal("unix:", true).find("1 to 107 bytes"), std::string::npos);
  EXPECT_EQ(Refusal("unix:" + std::string(107, 'x'), true), "");
  EXPECT_NE(Refusal("unix:" + std::string(108, 'x'), true), "");
}

}  // namespace
}  // namespace mirage
