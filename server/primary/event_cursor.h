#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/ids.h"

namespace aster::primary {

/// A place in the change journal. Opaque to clients: "<epoch in hex>.<position>". Only means
/// something within one epoch (one history of one database).
struct EventCursor {
  Guid epoch;
  uint64_t position = 0;

  std::string text() const { return epoch.hex() + "." + std::to_string(position); }

  static std::optional<EventCursor> parse(std::string_view text) {
    const size_t dot = text.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const std::optional<Guid> epoch = Guid::from_hex(text.substr(0, dot));
    const std::string_view digits = text.substr(dot + 1);
    EventCursor cursor;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), cursor.position);
    if (!epoch || error != std::errc() || end != digits.data() + digits.size() ||
        cursor.position > INT64_MAX) {
      return std::nullopt;
    }
    cursor.epoch = *epoch;
    return cursor;
  }
};

}  // namespace aster::primary
