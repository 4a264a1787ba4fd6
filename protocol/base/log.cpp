#include "protocol/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "protocol/base/request_id.h"

namespace aster::log {
namespace {

std::atomic<Level> g_level{Level::info};
std::mutex g_mutex;
std::function<void(Level, std::string_view)> g_sink;

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "off"};

spdlog::logger& console() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("aster",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("time=%Y-%m-%dT%H:%M:%S.%e%z %v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

void append_value(std::string& line, std::string_view value) {
  if (!value.empty() && value.find_first_of(" \"\\=\n\r\t") == std::string_view::npos) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // one event stays one line
  }
  line += '"';
}

/// Which request the line is about, unless it says so itself.
void append_request(std::string& line, std::initializer_list<Field> fields) {
  const RequestId& id = RequestId::current();
  if (id.empty()) return;
  for (const Field& field : fields) {
    if (field.key == "request") return;
  }
  line += " request=";
  append_value(line, id.text());
}

}  // namespace

bool enabled(Level level) noexcept {
  return level >= g_level.load(std::memory_order_relaxed);
}

void set_level(Level level) noexcept {
  g_level = level;
}

Result<Level> parse_level(std::string_view word) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == word) return static_cast<Level>(i);
  }
  return fail(Errc::bad_request,
              "log level \"" + std::string(word) + "\" is none of debug, info, warn, error, off");
}

void set_sink(std::function<void(Level, std::string_view)> sink) {
  std::lock_guard lock(g_mutex);
  g_sink = std::move(sink);
}

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  std::string line = "level=";
  line += kNames[static_cast<size_t>(level)];
  line += " event=";
  append_value(line, event);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  append_request(line, fields);
  std::lock_guard lock(g_mutex);
  if (g_sink) {
    g_sink(level, line);
  } else {
    console().info(line);
  }
}

}  // namespace aster::log
