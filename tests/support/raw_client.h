#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/unique_handle.h"

namespace aster::testing {

/// One answer as it came over the wire.
struct RawAnswer {
  int status = 0;
  std::string head;  ///< status line and fields, without the empty line
  std::string body;  ///< decoded when chunked

  /// Value of a header field; nullopt when absent.
  std::optional<std::string> field(std::string_view name) const;
};

/// A blocking TCP client that sends exactly the bytes it is given. Waits at most 20 s for anything.
class RawClient {
 public:
  explicit RawClient(uint16_t port) : RawClient("127.0.0.1", port) {}
  RawClient(const std::string& host, uint16_t port);

  /// False when the other side has closed.
  bool send(std::string_view bytes);
  /// One whole answer; nullopt when the connection ended before it was complete. `head_only` is for
  /// answers to HEAD.
  std::optional<RawAnswer> receive(bool head_only = false);
  std::optional<RawAnswer> exchange(std::string_view request) {
    send(request);
    return receive();
  }
  /// Up to the given text, including it; empty when the connection ended first.
  std::string receive_until(std::string_view end);
  /// True when the other side closes without sending more.
  bool closed_by_peer();
  /// Sends no more; answers can still come.
  void end_sending();
  /// Ends the connection with a reset, as a process that is killed may.
  void reset();

 private:
  bool fill();
  bool fill_to(size_t bytes);
  std::optional<std::string> chunked_body();

  UniqueFd fd_;
  std::string buffer_;
};

}  // namespace aster::testing
