#pragma once

#include <cstdint>
#include <string_view>

namespace aster {

/// Tells whoever started this process that it serves on `port`: systemd through $NOTIFY_SOCKET, and
/// one line with the port to the descriptor in $ASTER_READY_FD (closed afterwards). No-op without.
void notify_ready(uint16_t port);
/// systemd: the stop has begun.
void notify_stopping();

}  // namespace aster
