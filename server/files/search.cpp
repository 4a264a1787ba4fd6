#include <fnmatch.h>

#include <algorithm>
#include <deque>
#include <iterator>

#include "protocol/fs/json.h"
#include "server/files/file_api.h"

namespace aster::files {
namespace {

constexpr uint64_t kFoundUsual = 50;
constexpr uint64_t kFoundMax = 1000;
constexpr uint32_t kPage = 1000;

/// A pattern with '*', '?' or '[' has to match the whole name, another text a part of it; letters
/// of ASCII match in both cases.
class NamePattern {
 public:
  explicit NamePattern(std::string text) : text_(std::move(text)) {
    if (text_.find_first_of("*?[") == std::string::npos) {
      std::string literal;
      for (const char c : text_) literal += (c == '\\' ? "\\" : "") + std::string(1, c);
      text_ = "*" + literal + "*";
    }
  }
  bool matches(const std::string& name) const {
    return ::fnmatch(text_.c_str(), name.c_str(), FNM_CASEFOLD) == 0;
  }

 private:
  std::string text_;
};

struct Search {
  NamePattern pattern;
  bool files = true;
  bool folders = true;
  size_t limit = 0;
  size_t entries_max = 0;
  std::vector<std::string> found;
  size_t entries = 0;  ///< read so far, which bounds time and memory

  bool wants(const fs::Attr& attr) const {
    return attr.type == fs::FileType::directory ? folders : files;
  }
  bool has_enough() const { return found.size() >= limit; }
  bool has_read_enough() const { return entries >= entries_max; }
};

/// A folder that is being walked through: in it everything up to `after` has been looked at.
struct Level {
  InodeNo ino;
  uint64_t after = 0;
  std::deque<fs::DirEntry> next = {};  ///< the entries after `after`, as far as they were read
  bool end = false;                    ///< there are none after those
};

/// Folders before what follows them, each folder in the order of its listing, where names keep
/// their places: a place in the tree is the cookies of the names that lead there, and a search goes
/// on after it whatever was changed meanwhile.
class Walk {
 public:
  Walk(content::Tree& tree, InodeNo top, content::Path path)
      : tree_(tree), path_(std::move(path)), levels_{{top}} {}

  /// As cursor() said. What is gone is skipped: the walk goes on after it.
  Task<Result<void>> go_to(std::vector<uint64_t> cookies) {
    for (size_t i = 0; i < cookies.size(); ++i) {
      Level& level = levels_.back();
      level.after = cookies[i];
      if (i + 1 == cookies.size() || cookies[i] == 0) break;
      const auto page = co_await tree_.list(level.ino, cookies[i] - 1, 1);
      if (page.failed_with(Errc::stale_handle)) break;
      if (!page.ok()) co_return page.error();
      if (page->entries.empty()) break;
      const fs::DirEntry& entry = page->entries.front();
      if (entry.cookie != cookies[i] || entry.attr.type != fs::FileType::directory) break;
      enter(entry);
    }
    co_return ok();
  }
  std::string cursor() const {
    std::string text;
    for (const Level& level : levels_) {
      text += (text.empty() ? "" : ".") + std::to_string(level.after);
    }
    return text;
  }
  /// Looks at all that follows; true when the end was reached before the search was over.
  Task<Result<bool>> run(Search& search) {
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next.empty() && !level.end) {
        if (search.has_read_enough() && moved_) co_return false;
        ASTER_CO_TRY(co_await read_more(level, search));
      }
      if (level.next.empty()) {
        if (level.end) leave();
        continue;
      }
      if (search.has_enough()) co_return false;
      look_at_next(search);
    }
    co_return true;
  }

 private:
  Task<Result<void>> read_more(Level& level, Search& search) {
    const size_t left = search.entries_max - std::min(search.entries, search.entries_max);
    const auto count = static_cast<uint32_t>(std::clamp<size_t>(left, 1, kPage));
    auto page = co_await tree_.list(level.ino, level.after, count);
    if (page.failed_with(Errc::stale_handle)) {  // removed meanwhile
      level.end = true;
      co_return ok();
    }
    if (!page.ok()) co_return page.error();
    level.next.assign(std::make_move_iterator(page->entries.begin()),
                      std::make_move_iterator(page->entries.end()));
    level.end = page->end || level.next.empty();
    search.entries += level.next.size();
    co_return ok();
  }
  void look_at_next(Search& search) {
    Level& level = levels_.back();
    const fs::DirEntry entry = std::move(level.next.front());
    level.next.pop_front();
    level.after = entry.cookie;
    moved_ = true;
    if (search.wants(entry.attr) && search.pattern.matches(entry.name)) {
      path_.push_back(entry.name);
      search.found.push_back(info_json(entry.attr, path_));
      path_.pop_back();
    }
    if (entry.attr.type == fs::FileType::directory) enter(entry);
  }
  void enter(const fs::DirEntry& entry) {
    path_.push_back(entry.name);
    levels_.push_back({entry.attr.ino});
  }
  void leave() {
    levels_.pop_back();
    if (!levels_.empty()) path_.pop_back();
  }

  content::Tree& tree_;
  content::Path path_;  ///< of the last level
  std::vector<Level> levels_;
  bool moved_ = false;  ///< each answer gets further, however small its limits
};

Result<std::vector<uint64_t>> decode_cursor(std::string_view text) {
  std::vector<uint64_t> cookies;
  while (!text.empty()) {
    const size_t dot = text.find('.');
    const auto cookie = parse_decimal<uint64_t>(text.substr(0, dot));
    if (!cookie || dot + 1 == text.size()) {
      return fail(Errc::bad_request, "cursor is not one that a search answered");
    }
    cookies.push_back(*cookie);
    text.remove_prefix(dot == text.npos ? text.size() : dot + 1);
  }
  return cookies;
}

Result<Search> parse_search(const QueryList& query, size_t entries_max) {
  const std::string text = http::query_value(query, "q").value_or(std::string());
  if (text.empty() || text.size() > fs::kNameMax) {
    return fail(Errc::bad_request, "q is a part of a name, or a pattern for one: 1 to 255 bytes");
  }
  const std::string type = http::query_value(query, "type").value_or("all");
  if (type != "all" && type != "file" && type != "folder") {
    return fail(Errc::bad_request, "type is all, file or folder");
  }
  const auto limit_text = http::query_value(query, "limit");
  const auto limit = limit_text ? parse_decimal<uint64_t>(*limit_text) : kFoundUsual;
  if (!limit || *limit == 0 || *limit > kFoundMax) {
    return fail(Errc::bad_request, "limit is 1 to " + std::to_string(kFoundMax));
  }
  Search search{.pattern = NamePattern(text)};
  search.files = type != "folder";
  search.folders = type != "file";
  search.limit = *limit;
  search.entries_max = entries_max;
  return search;
}

}  // namespace

FileApi::Answer FileApi::search(Exchange& exchange) {
  ASTER_CO_TRY(Search search, parse_search(exchange.query, options_.searched_entries));
  const std::string from = http::query_value(exchange.query, "cursor").value_or(std::string());
  ASTER_CO_TRY(std::vector<uint64_t> cookies, decode_cursor(from));
  ASTER_CO_TRY(const content::Spot top, co_await spot_of(exchange));
  if (!top.is_directory()) co_return fail(Errc::not_found, "no such folder");
  Walk walk(exchange.tree, top.node->ino, top.path);
  ASTER_CO_TRY(co_await walk.go_to(std::move(cookies)));
  ASTER_CO_TRY(const bool complete, co_await walk.run(search));
  const std::string next = complete ? "null" : "\"" + walk.cursor() + "\"";
  co_return http::Response::json(
      200, fs::success_envelope("{\"items\":" + items_json(search.found) + ",\"complete\":" +
                                (complete ? "true" : "false") + ",\"cursor\":" + next + "}"));
}

}  // namespace aster::files
