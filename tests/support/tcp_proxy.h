#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

namespace aster::testing {

/// A loopback TCP proxy that makes a link long, dead or silent. One event loop on one thread serves
/// every connection. Thread-safe. Listens on 127.0.0.1 at a port the system chose.
class TcpProxy {
 public:
  using Delay = std::chrono::microseconds;

  /// To 127.0.0.1:`target_port`. A connection's first bytes pay two more delays, as a handshake
  /// over such a link would.
  explicit TcpProxy(uint16_t target_port, Delay one_way_delay = Delay(0));
  /// Resets all connections.
  ~TcpProxy();

  uint16_t port() const;
  /// For bytes that arrive from now on.
  void set_delay(Delay one_way_delay);
  /// Resets all connections, and new ones as they come, until restore().
  void cut();
  /// Nothing moves any more in either direction, connections stay open, until restore().
  void stall();
  void restore();
  /// New connections go to this port.
  void set_target(uint16_t target_port);

  /// Payload that went through since the start.
  uint64_t bytes_to_target() const;
  uint64_t bytes_from_target() const;
  /// Connections accepted since the start, those reset by cut() included.
  uint64_t connections() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace aster::testing
