#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace aster::log {

/// error = lost or refused work; warn = degraded; info = lifecycle; debug = per request.
enum class Level { debug, info, warn, error, off };

/// One key=value of a line. Values with spaces or quotes are quoted.
struct Field {
  std::string_view key;
  std::string value;
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  template <class T>
  requires std::is_arithmetic_v<T> Field(std::string_view k, T v)
      : key(k), value(std::to_string(v)) {}
  Field(std::string_view k, const Error& e) : key(k), value(e.message()) {}
};

bool enabled(Level level) noexcept;
void set_level(Level level) noexcept;
/// nullopt-like: bad_request for a word that is no level.
Result<Level> parse_level(std::string_view word);
/// Where lines go; standard error until set. For tests and syslog. Called with the finished line.
void set_sink(std::function<void(Level, std::string_view line)> sink);
/// One line: `level=warn event=retrying op=read ino=17`. Never a key, token, signature or content;
/// names and paths only at debug. A thread that works for a request adds `request=ID`.
void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});

}  // namespace aster::log

/// `ASTER_LOG(warn, "retrying", {"op", "read"}, {"ino", ino.value});` The fields are not evaluated
/// when the level is off.
#define ASTER_LOG(level, event, ...)                                           \
  (::aster::log::enabled(::aster::log::Level::level)                           \
       ? ::aster::log::write(::aster::log::Level::level, event, {__VA_ARGS__}) \
       : static_cast<void>(0))
