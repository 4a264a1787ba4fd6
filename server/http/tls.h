#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "protocol/base/guarded.h"
#include "protocol/base/result.h"

namespace aster::http {

/// Who this server says it is over TLS: a certificate with its chain and its key, read from PEM
/// files. Thread-safe. Connections keep what was current at their handshake.
class TlsIdentity {
 public:
  struct Files {
    std::filesystem::path certificate;  ///< the server's first, then what leads to its authority
    std::filesystem::path key;
  };
  /// not_found, forbidden (others could read the key) or bad_request, with the file and the reason.
  static Result<std::shared_ptr<TlsIdentity>> load(Files files);
  ~TlsIdentity();

  /// Reads the files again, for the connections to come. After a failure all stays as it was.
  Result<void> reload();

  struct Facts {
    std::string subject;
    int64_t not_after = 0;  ///< unix seconds
  };
  Facts facts() const;

  struct Context;  ///< of Asio: for server/http only
  std::shared_ptr<Context> current() const { return *current_.lock(); }

 private:
  explicit TlsIdentity(Files files) : files_(std::move(files)) {}

  const Files files_;
  mutable Guarded<std::shared_ptr<Context>> current_;
};

}  // namespace aster::http
