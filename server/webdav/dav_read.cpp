#include <algorithm>

#include "protocol/http_text.h"
#include "server/content/namespace_call.h"
#include "server/content/serve_file.h"
#include "server/primary/api_call.h"
#include "server/webdav/dav.h"
#include "server/webdav/properties.h"

namespace aster::webdav {
namespace {

constexpr uint32_t kPage = 256;

bool is_shown(const fs::Attr& attr) {
  return attr.type == fs::FileType::regular || attr.type == fs::FileType::directory;
}

/// What PROPFIND looks up besides attributes, the same for every resource of an answer.
struct Listing {
  primary::NamespaceService& namespaces;
  content::Tree tree;
  const LockTable& locks;
  const Clock& clock;
  std::string prefix;
  PropfindRequest request;
  std::optional<Quota> quota;
};

std::string href_of(const std::string& prefix, const content::Path& path, const fs::Attr& attr) {
  std::string href = prefix + content::encode_path(path);
  if (attr.type == fs::FileType::directory) href += '/';
  return href;
}

/// The response elements of these resources, which lie in one directory.
Task<Result<std::string>> describe(const Listing& listing, std::vector<fs::DirEntry> entries,
                                   content::Path directory, LockPlace inside, bool itself) {
  std::vector<std::vector<content::Tree::Attribute>> dead(entries.size());
  if (wants_dead(listing.request)) {
    std::vector<InodeNo> inodes;
    for (const fs::DirEntry& entry : entries) inodes.push_back(entry.attr.ino);
    content::Tree tree = listing.tree;
    ASTER_CO_TRY(dead, co_await tree.attributes(std::move(inodes), std::string(kDeadPrefix)));
  }
  std::string out;
  for (size_t i = 0; i < entries.size(); ++i) {
    content::Path path = directory;
    if (!itself) path.push_back(entries[i].name);
    Described one{.attr = std::move(entries[i].attr), .name = std::move(entries[i].name)};
    one.href = href_of(listing.prefix, path, one.attr);
    one.quota = listing.quota;
    std::erase_if(dead[i], [](const auto& attribute) { return !is_property(attribute); });
    one.dead = std::move(dead[i]);
    LockPlace place = inside;
    place.ino = one.attr.ino;
    one.locks =
        locks_xml(listing.locks.covering(place), listing.prefix, listing.clock.now_seconds());
    out += response_xml(one, listing.request);
  }
  co_return out;
}

/// A multistatus of a directory and its members, a page at a time, so that its size does not
/// matter.
class ListingSource final : public ByteSource {
 public:
  ListingSource(Listing listing, content::Path directory, InodeNo ino, LockPlace inside,
                std::string first)
      : listing_(std::move(listing)),
        directory_(std::move(directory)),
        ino_(ino),
        inside_(std::move(inside)),
        text_(std::move(first)) {}

  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    while (at_ == text_.size() && !ended_) ASTER_CO_TRY(co_await next_page());
    const size_t n = std::min(buffer.size(), text_.size() - at_);
    const ByteView piece = as_bytes(std::string_view(text_).substr(at_, n));
    std::copy(piece.begin(), piece.end(), buffer.begin());
    at_ += n;
    co_return n;
  }

 private:
  Task<Result<void>> next_page() {
    ASTER_CO_TRY(fs::DirPage page, co_await listing_.tree.list(ino_, after_, kPage));
    ended_ = page.end || page.entries.empty();
    if (!page.entries.empty()) after_ = page.entries.back().cookie;
    std::erase_if(page.entries, [](const fs::DirEntry& e) { return !is_shown(e.attr); });
    ASTER_CO_TRY(text_,
                 co_await describe(listing_, std::move(page.entries), directory_, inside_, false));
    if (ended_) text_ += kMultistatusTail;
    at_ = 0;
    co_return ok();
  }

  Listing listing_;
  const content::Path directory_;
  const InodeNo ino_;
  const LockPlace inside_;
  std::string text_;
  size_t at_ = 0;
  uint64_t after_ = 0;
  bool ended_ = false;
};

Task<Result<Quota>> quota_of(primary::NamespaceService& namespaces, primary::Caller caller,
                             InodeNo root) {
  fs::StatFs ask{root};
  ASTER_CO_TRY(const auto stat, co_await content::call<fs::StatFsAnswer>(namespaces, caller, ask));
  co_return Quota{stat.total_bytes - std::min(stat.total_bytes, stat.free_bytes), stat.free_bytes};
}

}  // namespace

Task<Result<http::Response>> Dav::get(Exchange& exchange) {
  ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (!spot.node || !is_shown(*spot.node)) co_return fail(Errc::not_found, "nothing is there");
  if (spot.is_directory()) {
    http::Response answer = http::Response::text(405, "this is a collection: use PROPFIND\n");
    answer.headers.emplace_back("Allow", "OPTIONS, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, LOCK");
    co_return answer;
  }
  const std::string name = spot.name();
  co_return co_await content::serve_file(reader_, exchange.visitor.caller, exchange.request,
                                         std::move(*spot.node), name);
}

Task<Result<http::Response>> Dav::propfind(Exchange& exchange) {
  const std::string* const header = exchange.request.header("Depth");
  const std::string_view depth = header == nullptr ? "0" : trim(*header);
  if (equals_ignoring_case(depth, "infinity"))
    co_return dav_condition(403, "propfind-finite-depth");
  if (depth != "0" && depth != "1") co_return fail(Errc::bad_request, "Depth is 0 or 1");
  ASTER_CO_TRY(const std::string body,
               co_await primary::read_body(exchange.request, options_.xml_limit));
  ASTER_CO_TRY(PropfindRequest request, parse_propfind(body));
  ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (!spot.node || !is_shown(*spot.node)) co_return fail(Errc::not_found, "nothing is there");

  Listing listing{namespaces_,     exchange.tree,      locks_,      clock_,
                  options_.prefix, std::move(request), std::nullopt};
  if (wants_quota(listing.request)) {
    ASTER_CO_TRY(listing.quota,
                 co_await quota_of(namespaces_, exchange.visitor.caller, exchange.visitor.root));
  }
  std::vector<fs::DirEntry> itself(1);
  itself[0].attr = *spot.node;
  if (!spot.is_root()) itself[0].name = spot.name();
  LockPlace place = node_place(exchange, spot);
  ASTER_CO_TRY(std::string first,
               co_await describe(listing, std::move(itself), spot.path, place, true));
  first.insert(0, kMultistatusHead);
  if (depth == "0" || !spot.is_directory()) {
    first += kMultistatusTail;
    co_return http::Response::text(207, std::move(first), "application/xml; charset=utf-8");
  }
  http::Response answer;
  answer.status = 207;
  answer.headers.emplace_back("Content-Type", "application/xml; charset=utf-8");
  place.above.push_back(place.ino);
  auto source = std::make_shared<ListingSource>(std::move(listing), std::move(spot.path),
                                                spot.node->ino, std::move(place), std::move(first));
  answer.body = http::StreamBody{std::move(source), std::nullopt};
  co_return answer;
}

}  // namespace aster::webdav
