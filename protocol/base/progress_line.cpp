#include "protocol/base/progress_line.h"

#include <unistd.h>

#include <algorithm>
#include <ostream>

#include "protocol/base/text.h"

namespace aster {
namespace {

constexpr std::chrono::milliseconds kPause{500};
/// A longer line would be wrapped by a terminal of 80 columns, and could not be wiped.
constexpr size_t kWidthMax = 79;

}  // namespace

std::ostream* terminal_behind(std::ostream& stream, int fd) {
  return ::isatty(fd) != 0 ? &stream : nullptr;
}

void ProgressLine::end() {
  if (!terminal_) return;
  thread_ = {};  // stops and joins
  if (width_ > 0) *terminal_ << '\r' << std::string(width_, ' ') << '\r' << std::flush;
  width_ = 0;
}

void ProgressLine::follow(Text text) {
  if (!terminal_) return;
  const std::lock_guard lock(mutex_);
  text_ = std::move(text);
  draw();
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { keep_drawing(stop); });
}

void ProgressLine::follow_time(std::string doing) {
  const auto begin = std::chrono::steady_clock::now();
  follow([doing = std::move(doing), begin] {
    const auto since = std::chrono::steady_clock::now() - begin;
    return doing + ", " +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(since).count()) + " s";
  });
}

void ProgressLine::draw() {
  std::string line = text_();
  line.resize(std::min({line.size(), line.find('\n'), kWidthMax}));
  const size_t width = line.size();
  line.resize(std::max(width, width_), ' ');  // over what is there
  *terminal_ << '\r' << line << std::flush;
  width_ = width;
}

void ProgressLine::keep_drawing(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, stop, kPause, [&] { return stop.stop_requested(); })) draw();
}

std::string shown_share(uint64_t done, uint64_t all) {
  done = std::min(done, all);
  const uint64_t percent =
      all == 0 ? 100
               : static_cast<uint64_t>(100 * static_cast<double>(done) / static_cast<double>(all));
  return shown_bytes(done) + " of " + shown_bytes(all) + ", " + std::to_string(percent) + " %";
}

}  // namespace aster
