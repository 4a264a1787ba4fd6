#include "server/webdav/if_header.h"

#include "protocol/http_text.h"

namespace aster::webdav {
namespace {

constexpr size_t kConditionsMax = 1000;

Error malformed() {
  return fail(Errc::bad_request, "the If header is malformed");
}

/// Reads the header from the front.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) { skip_blanks(); }

  bool at_end() const { return rest_.empty(); }
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    skip_blanks();
    return true;
  }
  /// What stands before `end`, which is taken, too.
  Result<std::string> until(char end) {
    const size_t at = rest_.find(end);
    if (at == std::string_view::npos) return malformed();
    std::string found(rest_.substr(0, at));
    rest_.remove_prefix(at + 1);
    skip_blanks();
    return found;
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) {
      rest_.remove_prefix(1);
    }
  }
  std::string_view rest_;
};

Result<IfCondition> read_condition(Reader& reader) {
  IfCondition condition;
  condition.negated = reader.take("Not");
  if (reader.take("<")) {
    ASTER_TRY(condition.value, reader.until('>'));
    if (condition.value.empty()) return malformed();
    return condition;
  }
  if (!reader.take("[")) return malformed();
  condition.is_tag = true;
  ASTER_TRY(condition.value, reader.until(']'));
  condition.value = std::string(trim(condition.value));
  const std::string_view tag = condition.value;
  const bool quoted =
      tag.size() >= 2 && tag.ends_with('"') && (tag.starts_with('"') || tag.starts_with("W/\""));
  if (!quoted) return malformed();
  return condition;
}

}  // namespace

Result<std::vector<IfList>> parse_if_header(std::string_view text) {
  Reader reader(text);
  std::vector<IfList> lists;
  std::optional<std::string> resource;
  size_t conditions = 0;
  bool named = false;  // a URL waits for its first list
  while (!reader.at_end()) {
    if (reader.take("<")) {
      if (named || (!lists.empty() && !resource)) return malformed();
      ASTER_TRY(resource, reader.until('>'));
      named = true;
      continue;
    }
    if (!reader.take("(")) return malformed();
    IfList list{resource, {}};
    while (!reader.take(")")) {
      if (++conditions > kConditionsMax) return malformed();
      ASTER_TRY(IfCondition condition, read_condition(reader));
      list.conditions.push_back(std::move(condition));
    }
    if (list.conditions.empty()) return malformed();
    lists.push_back(std::move(list));
    named = false;
  }
  if (lists.empty() || named) return malformed();
  return lists;
}

}  // namespace aster::webdav
