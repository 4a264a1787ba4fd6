#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/progress_line.h"

namespace aster {

/// What `aster_drive doctor` found, in the order in which it looked.
class Diagnosis {
 public:
  /// `terminal` null: nobody watches. It must outlive this.
  explicit Diagnosis(std::ostream* terminal) : line_(terminal) {}

  /// What takes a while begins: shown on the terminal until the next or end().
  void begin(const std::string& doing) { line_.follow_time(doing); }
  void end() { line_.end(); }
  void ok(std::string topic, std::string text);
  /// `way_out` is what to do about it, never empty.
  void warn(std::string topic, std::string text, std::string way_out);
  void wrong(std::string topic, std::string text, std::string way_out);

  /// Warnings do not count.
  bool is_anything_wrong() const { return wrong_; }

  /// One line for each, and one for its way out.
  void print(std::ostream& out) const;
  /// An array of {level, topic, text, way_out} in one line; level is "ok", "warning" or "wrong".
  void print_json(std::ostream& out) const;

 private:
  enum class Level { ok, warning, wrong };
  struct Item {
    Level level;
    std::string topic;
    std::string text;
    std::string way_out;
  };
  static std::string_view word(Level level);

  std::vector<Item> items_;
  bool wrong_ = false;
  ProgressLine line_;
};

}  // namespace aster
