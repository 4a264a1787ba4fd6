#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <string>
#include <thread>

namespace aster {

/// `stream` when `fd`, which is behind it, is a terminal; else nullptr.
std::ostream* terminal_behind(std::ostream& stream, int fd);

/// One line of a terminal that says how far something long is, gone when the work is over. Without
/// a terminal all of this does nothing: files and pipes never get a line of progress.
class ProgressLine {
 public:
  /// Called on two threads, never at the same time; the result is cut to one line of 79 bytes.
  using Text = std::function<std::string()>;

  /// `terminal` may be nullptr, and outlives this.
  explicit ProgressLine(std::ostream* terminal) : terminal_(terminal) {}
  ~ProgressLine() { end(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// The line is what `text` returns from now on: asked for at once, then twice a second.
  void follow(Text text);
  /// The line is `doing` and for how many seconds: for work that cannot say how far it is.
  void follow_time(std::string doing);
  /// Wipes the line, so that other output can take its place.
  void end();

 private:
  void draw();
  void keep_drawing(const std::stop_token& stop);

  std::ostream* const terminal_;
  std::mutex mutex_;  ///< guards all below
  std::condition_variable_any stopped_;
  Text text_;
  size_t width_ = 0;  ///< of what is on the line, in bytes
  std::jthread thread_;
};

/// "12.3 MiB of 1 GiB, 1 %"
std::string shown_share(uint64_t done, uint64_t all);

}  // namespace aster
