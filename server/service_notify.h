#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aster {

/// Tells whoever started this process that it serves on `port`: systemd through $NOTIFY_SOCKET, and
/// one line with the port to the descriptor in $ASTER_READY_FD (closed afterwards). No-op without.
void notify_ready(uint16_t port);
/// systemd (Type=notify-reload and plain Type=notify alike): SIGHUP is being obeyed; it is done.
void notify_reloading();
void notify_reloaded();
/// systemd: the stop has begun.
void notify_stopping();

/// The beat that systemd expects of a service with WatchdogSec=; it ends and restarts one that
/// misses it. A beat is only sent when the server answers a request at that moment. Used by one
/// thread.
class Watchdog {
 public:
  /// Asks the server at `host` (a wildcard: this machine) and `port`, as often as $WATCHDOG_USEC
  /// says.
  Watchdog(std::string host, uint16_t port);
  /// How long to wait between two beats; nullopt when nobody expects them.
  std::optional<std::chrono::milliseconds> interval() const { return interval_; }
  /// Waits for the server's answer, an interval at most.
  void beat() const;

 private:
  bool answers() const;

  const std::string host_;
  const uint16_t port_;
  const std::optional<std::chrono::milliseconds> interval_;
};

}  // namespace aster
