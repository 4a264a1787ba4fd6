#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

#include "protocol/base/bytes.h"
#include "protocol/base/executor.h"
#include "server/http/asio.h"
#include "server/http/http.h"

namespace aster::http {

using HeadParser = beast::http::request_parser<beast::http::buffer_body>;

/// What all connections of one server share.
struct ServerContext {
  std::shared_ptr<asio::io_context> io;
  const Router& router;
  ServerLimits limits;
  BlockPool pool{8 << 20};
  std::atomic<bool> draining{false};  ///< answers close their connections, no new request is read
  /// Reads of files that are not in the page cache; those that are never leave the I/O thread.
  Executor file_reads{{.name = "http-file", .threads = 2}};
};

/// Guards against a peer that keeps a transfer alive byte by byte: time spent waiting adds up until
/// kPaceBytes have moved, and may not exceed the stall timeout.
class Pace {
 public:
  explicit Pace(Duration limit) : limit_(limit) {}
  /// How long the next operation may wait; zero when it must not begin.
  Duration left() const { return std::max(limit_ - spent_, Duration::zero()); }
  void moved(size_t bytes, Duration waited) {
    bytes_ += bytes;
    spent_ += waited;
    if (bytes_ >= kPaceBytes) *this = Pace(limit_);
  }

 private:
  static constexpr size_t kPaceBytes = 32 * 1024;  // 1 KiB/s with the default timeout
  Duration limit_;
  Duration spent_{0};
  size_t bytes_ = 0;
};

/// One socket with its read buffer and its deadlines. All of it belongs to the connection's strand.
class Connection {
 public:
  Connection(Socket socket, const ServerContext& context);

  const Strand& strand() const { return strand_; }
  /// To be awaited by a coroutine that wants to touch this connection.
  HopTo home() const { return {io_, strand_}; }
  std::string peer() const;
  bool has_buffered() const { return buffer_.size() > 0; }

  /// Waits for the first byte of a request; false when none came in time.
  Task<bool> await_bytes(std::chrono::milliseconds timeout);
  /// Reads one head within the head timeout, counted from here.
  Task<error_code> read_head(std::shared_ptr<HeadParser> parser);
  /// A new body begins: it is not charged for what its predecessors waited.
  void restart_pace() { read_pace_ = Pace(limits_.stall_timeout); }
  /// What is buffered, else one read from the socket. 0 bytes only with an error.
  Task<IoResult> read_some(std::span<std::byte> out);
  /// Some decoded bytes of a chunked body; 0 without an error is its end.
  Task<IoResult> read_chunked(std::shared_ptr<HeadParser> parser, std::span<std::byte> out);
  /// Writes both pieces whole, at the pace that the stall timeout demands.
  Task<Result<void>> write(ByteView first, ByteView second = {});

  /// Calls `gone` once if the other side closes before unwatch() or the next read.
  void watch_disconnect(std::function<void()> gone, std::shared_ptr<void> keep_alive);
  void unwatch();

  /// Ends the sending side and swallows what still comes for a short while, so that the last answer
  /// is not lost to a reset.
  Task<void> linger();
  /// Every operation under way fails. Safe to call again.
  void close();

 private:
  const std::shared_ptr<asio::io_context> io_;
  Stream stream_;
  Strand strand_;
  ServerLimits limits_;
  Pace read_pace_{limits_.stall_timeout};
  beast::flat_buffer buffer_;
};

}  // namespace aster::http
