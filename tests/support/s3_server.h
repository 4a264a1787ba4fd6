#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {

/// A real S3 server (tools/install-s3-server) on a free loopback port, with one bucket, on a folder
/// of its own. Its region is none that anybody would guess.
class S3Server {
 public:
  /// Why there is none on this machine; nullopt when start() can work. For GTEST_SKIP.
  static std::optional<std::string> missing();
  /// Null after a failure, which is reported to the running test.
  static std::unique_ptr<S3Server> start();

  uint16_t port() const { return port_; }
  /// Path-style, with the region.
  std::string endpoint() const { return endpoint_at(port_); }
  /// The same through a proxy.
  static std::string endpoint_at(uint16_t port) {
    return "http://127.0.0.1:" + std::to_string(port) + "?region=" + kRegion;
  }
  /// The bucket as the server keeps it: objects are files in it.
  std::filesystem::path bucket_folder() const { return dir_ / "data" / kBucket; }
  /// Unfinished multipart uploads that the server holds.
  size_t open_uploads() const;
  /// Parts of them that are stored whole.
  size_t stored_parts() const;
  Process& process() { return *process_; }

  static constexpr char kBucket[] = "test-bucket";
  static constexpr char kAccessKey[] = "ASTERTESTKEY";
  static constexpr char kSecretKey[] = "not/a+real=secret";
  static constexpr char kRegion[] = "eu-test-7";

 private:
  S3Server() = default;
  TempDir dir_;
  std::optional<Process> process_;
  uint16_t port_ = 0;
};

}  // namespace aster::testing
