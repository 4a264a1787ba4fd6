#pragma once

#include <memory>
#include <mutex>

#include "server/http/connection.h"

namespace aster::http {

/// The body of one request, pulled from its connection. read() may be called from any thread, one
/// call at a time; it goes on on the connection's strand. Reads after the request's end fail with
/// stale_handle, whoever still holds the body.
class RequestBody final : public ByteSource, public std::enable_shared_from_this<RequestBody> {
 public:
  struct Framing {
    uint64_t length = 0;                  ///< bytes left; unused when chunked
    std::shared_ptr<HeadParser> chunked;  ///< decodes the chunks; null for a plain length
    bool expect_continue = false;         ///< the client waits for "100 Continue"
  };
  RequestBody(std::shared_ptr<Connection> connection, Framing framing)
      : connection_(std::move(connection)), framing_(std::move(framing)) {}

  Task<Result<size_t>> read(std::span<std::byte> buffer) override;

  // For the session, on the strand:

  /// Ends access for everybody else.
  void detach();
  /// Swallows what is left so that the connection can be used again; false when it cannot: too
  /// much, a client that still waits for 100 Continue, or a read that somebody left behind.
  Task<bool> drain();
  /// Whether drain() is worth trying, so that the answer's head can say that the connection ends.
  bool drainable() const;

 private:
  struct Hop;
  Task<Result<size_t>> pull(std::span<std::byte> buffer);
  Task<Result<size_t>> pull_chunked(std::span<std::byte> buffer);
  bool ended() const { return framing_.chunked ? framing_.chunked->is_done() : !framing_.length; }

  const std::shared_ptr<Connection> connection_;
  Framing framing_;
  bool reading_ = false;
  std::mutex mutex_;
  bool detached_ = false;  ///< guarded by mutex_: posting to the strand is safe only before
};

}  // namespace aster::http
