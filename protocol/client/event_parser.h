#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace aster {

/// Cuts a stream of server-sent events (WHATWG HTML, section "Server-sent events") into events.
/// Comments are skipped; fields other than "event" and "data" are ignored; lines end with LF or
/// CRLF.
class EventParser {
 public:
  using Handler = std::function<void(std::string_view name, std::string_view data)>;

  /// Longest line and longest data of one event, bytes; whatever is longer is cut off and the event
  /// reported as "reset", so that nothing is missed silently.
  static constexpr size_t kLimit = 8 << 20;

  /// Calls `handler` for each event that ends in `piece`.
  void feed(std::string_view piece, const Handler& handler) {
    while (!piece.empty()) {
      const size_t end = piece.find('\n');
      append(line_, piece.substr(0, end));
      if (end == std::string_view::npos) return;
      piece.remove_prefix(end + 1);
      finish_line(handler);
    }
  }

 private:
  void append(std::string& to, std::string_view text) {
    if (to.size() + text.size() > kLimit) {
      overflow_ = true;
      return;
    }
    to += text;
  }

  void finish_line(const Handler& handler) {
    std::string_view line = line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
      finish_event(handler);
    } else if (const size_t colon = line.find(':'); colon != 0) {
      std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
      if (value.starts_with(' ')) value.remove_prefix(1);
      take_field(line.substr(0, colon), value);
    }
    line_.clear();
  }

  void take_field(std::string_view field, std::string_view value) {
    if (field == "event") name_ = value;
    if (field != "data") return;
    if (!data_.empty()) data_ += '\n';
    append(data_, value);
  }

  void finish_event(const Handler& handler) {
    if (overflow_) {
      handler("reset", "");
    } else if (!data_.empty() || !name_.empty()) {
      handler(name_, data_);
    }
    overflow_ = false;
    name_.clear();
    data_.clear();
  }

  std::string line_;
  std::string name_;
  std::string data_;
  bool overflow_ = false;
};

}  // namespace aster
