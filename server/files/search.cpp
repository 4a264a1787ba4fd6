#include <fnmatch.h>

#include <deque>

#include "protocol/fs/json.h"
#include "server/files/file_api.h"

namespace aster::files {
namespace {

constexpr uint64_t kFoundUsual = 50;
constexpr uint64_t kFoundMax = 1000;
/// Entries looked at for one answer: a second or two of work.
constexpr size_t kLookedAtMax = 200'000;
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
  std::vector<std::string> found;
  size_t looked_at = 0;
  bool complete = true;

  bool wants(const fs::Attr& attr) const {
    return attr.type == fs::FileType::directory ? folders : files;
  }
};

struct Folder {
  InodeNo ino;
  content::Path path;
};

/// One folder's entries; its own folders are left for later.
Task<Result<void>> look_into(content::Tree& tree, Folder folder, Search& search,
                             std::deque<Folder>& waiting) {
  uint64_t after = 0;
  for (bool end = false; !end;) {
    auto page = co_await tree.list(folder.ino, after, kPage);
    if (page.failed_with(Errc::stale_handle)) co_return ok();  // removed meanwhile
    if (!page.ok()) co_return page.error();
    if (page->entries.empty()) co_return ok();
    after = page->entries.back().cookie;
    end = page->end;
    for (fs::DirEntry& entry : page->entries) {
      if (++search.looked_at > kLookedAtMax || search.found.size() >= search.limit) {
        search.complete = false;
        co_return ok();
      }
      content::Path path = folder.path;
      path.push_back(entry.name);
      if (search.wants(entry.attr) && search.pattern.matches(entry.name)) {
        search.found.push_back(info_json(entry.attr, path));
      }
      if (entry.attr.type == fs::FileType::directory) {
        waiting.push_back({entry.attr.ino, std::move(path)});
      }
    }
  }
  co_return ok();
}

}  // namespace

FileApi::Answer FileApi::search(Exchange& exchange) {
  const std::string text = http::query_value(exchange.query, "q").value_or(std::string());
  if (text.empty() || text.size() > fs::kNameMax) {
    co_return fail(Errc::bad_request,
                   "q is a part of a name, or a pattern for one: 1 to 255 bytes");
  }
  const std::string type = http::query_value(exchange.query, "type").value_or("all");
  if (type != "all" && type != "file" && type != "folder") {
    co_return fail(Errc::bad_request, "type is all, file or folder");
  }
  const auto limit_text = http::query_value(exchange.query, "limit");
  const auto limit = limit_text ? parse_decimal<uint64_t>(*limit_text) : kFoundUsual;
  if (!limit || *limit == 0 || *limit > kFoundMax) {
    co_return fail(Errc::bad_request, "limit is 1 to " + std::to_string(kFoundMax));
  }
  Search search{.pattern = NamePattern(text)};
  search.files = type != "folder";
  search.folders = type != "file";
  search.limit = *limit;
  ASTER_CO_TRY(const content::Spot top, co_await spot_of(exchange));
  if (!top.is_directory()) co_return fail(Errc::not_found, "no such folder");
  std::deque<Folder> waiting{{top.node->ino, top.path}};
  while (!waiting.empty() && search.complete) {
    Folder next = std::move(waiting.front());
    waiting.pop_front();
    ASTER_CO_TRY(co_await look_into(exchange.tree, std::move(next), search, waiting));
  }
  co_return http::Response::json(
      200, fs::success_envelope("{\"items\":" + items_json(search.found) +
                                ",\"complete\":" + (search.complete ? "true" : "false") + "}"));
}

}  // namespace aster::files
