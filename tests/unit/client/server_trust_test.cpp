#include "protocol/client/server_trust.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace aster {
namespace {

const std::string kPin = "sha256//uwZ/ibegCkhgAnTLp8mVOzutjJMKtCb56QkflvjTLVY=";

TEST(ServerTrust, is_kept_and_forgotten) {
  const testing::TempDir dir;
  EXPECT_TRUE(read_trust(dir.path())->empty());
  ASSERT_TRUE(write_trust(dir.path(), {"/etc/aster/ca.pem", kPin}).ok());
  const auto kept = read_trust(dir.path());
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->ca_file, "/etc/aster/ca.pem");
  EXPECT_EQ(kept->pin, kPin);
  ASSERT_TRUE(write_trust(dir.path(), {}).ok());
  EXPECT_TRUE(read_trust(dir.path())->empty());
  EXPECT_TRUE(write_trust(dir.path(), {}).ok()) << "nothing to forget";
}

TEST(ServerTrust, a_file_that_says_something_else_is_refused) {
  const testing::TempDir dir;
  testing::write_file(dir / "trust", "trust everybody\n");
  EXPECT_TRUE(read_trust(dir.path()).failed_with(Errc::bad_request));
  testing::write_file(dir / "trust", "pin=sha256//short\n");
  EXPECT_TRUE(read_trust(dir.path()).failed_with(Errc::bad_request));
}

TEST(ServerTrust, pins_are_checked) {
  EXPECT_TRUE(check_pin(kPin).ok());
  EXPECT_TRUE(check_pin(kPin + ";" + kPin).ok());
  for (const std::string& wrong :
       {std::string(), kPin.substr(8), kPin + ";", ";" + kPin, "sha1//" + kPin.substr(8),
        kPin.substr(0, 51), kPin + "=", kPin.substr(0, 20) + " " + kPin.substr(21)}) {
    EXPECT_TRUE(check_pin(wrong).failed_with(Errc::bad_request)) << wrong;
  }
}

TEST(ServerTrust, a_pin_is_for_its_server_alone) {
  const CurlHttpClientOptions options = trusting({"/ca", kPin}, "https://drive.example.com:3000");
  EXPECT_EQ(options.ca_file, "/ca");
  EXPECT_EQ(options.pinned_key, kPin);
  EXPECT_EQ(options.pinned_host, "drive.example.com:3000");
  EXPECT_EQ(authority_of("https://node/objects?x=y"), "node");
  EXPECT_EQ(authority_of("nonsense"), "");
}

}  // namespace
}  // namespace aster
