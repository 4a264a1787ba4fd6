#include <algorithm>

#include "protocol/http_text.h"
#include "server/content/namespace_call.h"
#include "server/content/serve_file.h"
#include "server/http/status_map.h"
#include "server/primary/api_call.h"
#include "server/webdav/dav.h"
#include "server/webdav/properties.h"
#include "server/webdav/xml_text.h"

namespace aster::webdav {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int kStoreAttempts = 4;
constexpr std::string_view kWin32 = "urn:schemas-microsoft-com:";

http::Response empty(int status) {
  http::Response answer;
  answer.status = status;
  return answer;
}

/// What some clients know as the only way to keep a file's time; unix seconds.
std::optional<int64_t> announced_mtime(const http::Request& request) {
  const std::string* const header = request.header("X-OC-Mtime");
  if (header == nullptr) return std::nullopt;
  const std::string_view text = trim(*header);
  const auto seconds = parse_decimal<int64_t>(text.substr(0, text.find('.')));
  if (!seconds || *seconds > INT64_MAX / kSecond || *seconds < INT64_MIN / kSecond) {
    return std::nullopt;
  }
  return *seconds * kSecond;
}

/// Storage that cannot take data now is not a condition that the client set.
Error seen_by_client(Error error) {
  if (error.code == Errc::precondition_failed) error.code = Errc::unavailable;
  return error;
}

}  // namespace

Task<Result<http::Response>> Dav::put(Exchange& exchange) {
  const http::Request& request = exchange.request;
  if (request.header("Content-Range") != nullptr) {
    co_return fail(Errc::bad_request, "a part of a file cannot be PUT");
  }
  ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (spot.is_root() || spot.is_directory() || exchange.trailing_slash) {
    co_return fail(Errc::is_directory, "a collection has no content: use MKCOL");
  }
  if (!spot.has_parent) co_return fail(Errc::conflict, "the collection above is missing");
  if (spot.node && !spot.is_file()) co_return fail(Errc::forbidden, "this is no regular file");
  const fs::Attr* const existing = spot.node ? &*spot.node : nullptr;
  if (content::judge_conditions(request, existing) != content::Verdict::go_on) {
    co_return fail(Errc::precondition_failed, "the file is another one than expected");
  }
  ASTER_CO_TRY(may_write(exchange, spot));
  content::Incoming incoming{request.body, request.content_length, options_.payload_limit};
  const InodeNo near = existing != nullptr ? existing->ino : spot.parent().ino;
  const uint64_t size = request.content_length.value_or(0);
  auto uploaded = co_await writer_.upload(exchange.visitor.caller, near, std::move(incoming), size);
  if (!uploaded.ok()) co_return seen_by_client(uploaded.error());
  const bool replaced = existing != nullptr;
  ASTER_CO_TRY(const fs::Attr file,
               co_await store(exchange, std::move(spot), std::move(*uploaded)));
  http::Response answer = empty(replaced ? 204 : 201);
  answer.headers.emplace_back("ETag", content::etag_of(file));
  if (announced_mtime(request)) answer.headers.emplace_back("X-OC-MTime", "accepted");
  co_return answer;
}

Task<Result<fs::Attr>> Dav::store(Exchange& exchange, content::Spot spot,
                                  content::Uploaded content) {
  content::CommitOptions options{.mtime = announced_mtime(exchange.request)};
  const bool conditional = exchange.request.header("If-Match") != nullptr ||
                           exchange.request.header("If-None-Match") != nullptr;
  for (int attempt = 1;; ++attempt) {
    Result<fs::Attr> stored = fail(Errc::internal);
    if (spot.is_file()) {
      if (conditional) options.base = spot.node->data_version;
      stored = co_await writer_.replace(exchange.visitor.caller, spot.node->ino, content, options);
    } else {
      stored = co_await writer_.create(exchange.visitor.caller, spot.parent(), spot.name(), content,
                                       options);
    }
    if (stored.ok()) co_return stored;
    const bool changed = stored.failed_with(Errc::exists) ||
                         stored.failed_with(Errc::stale_handle) ||
                         stored.failed_with(Errc::stale_version);
    if (!changed || attempt == kStoreAttempts) co_return seen_by_client(stored.error());
    // Somebody made, removed or changed it while the bytes came in.
    if (conditional) {
      co_return fail(Errc::precondition_failed, "the file was changed meanwhile");
    }
    ASTER_CO_TRY(spot, co_await exchange.tree.find(exchange.path));
    if (!spot.has_parent) co_return fail(Errc::conflict, "the collection above is gone");
    if (spot.node && !spot.is_file()) co_return fail(Errc::is_directory, "it became a collection");
    ASTER_CO_TRY(may_write(exchange, spot));
  }
}

Task<Result<http::Response>> Dav::make_collection(Exchange& exchange) {
  const http::Request& request = exchange.request;
  const bool has_body =
      request.content_length.value_or(0) > 0 || request.header("Transfer-Encoding") != nullptr;
  if (has_body) co_return http::Response::text(415, "MKCOL takes no body\n");
  ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (spot.node) co_return fail(Errc::is_directory, "there is something already");
  if (!spot.has_parent) co_return fail(Errc::conflict, "the collection above is missing");
  ASTER_CO_TRY(may_write(exchange, spot));
  const Result<fs::Attr> made = co_await exchange.tree.make_directory(std::move(spot));
  if (made.failed_with(Errc::exists))
    co_return fail(Errc::is_directory, "there is something already");
  if (!made.ok()) co_return made.error();
  co_return empty(201);
}

Task<Result<http::Response>> Dav::remove(Exchange& exchange) {
  ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (spot.is_fixed) co_return fail(Errc::forbidden, "the root cannot be removed");
  if (!spot.node) co_return fail(Errc::not_found, "nothing is there");
  const std::string* const depth = exchange.request.header("Depth");
  if (spot.is_directory() && depth != nullptr && !equals_ignoring_case(trim(*depth), "infinity")) {
    co_return fail(Errc::bad_request, "a collection goes with all it has: Depth is infinity");
  }
  if (content::judge_conditions(exchange.request, &*spot.node) != content::Verdict::go_on) {
    co_return fail(Errc::precondition_failed, "the file is another one than expected");
  }
  ASTER_CO_TRY(may_remove(exchange, spot));
  // None of it goes: what is above a locked member has to stay, the rest can wait for it.
  ASTER_CO_TRY(const content::Failures held, co_await held_by_mounts_below(exchange, spot));
  if (!held.empty()) co_return multistatus(held, exchange);
  const LockPlace place = node_place(exchange, spot);
  const content::Failures failures = co_await exchange.tree.remove(spot);
  if (failures.size() == 1 && failures[0].path == spot.path) co_return failures[0].error;
  if (!failures.empty()) co_return multistatus(failures, exchange);
  ASTER_CO_TRY(co_await locks_.drop(place));
  co_return empty(204);
}

namespace {

/// Why a change cannot be made; nullopt when it can.
std::optional<int> refusal(const PropertyChange& change) {
  if (is_protected(change.name)) return 403;
  if (attribute_of(change.name).size() > fs::kXattrNameMax) return 507;
  if (change.xml.size() > fs::kXattrValueMax) return 507;
  return std::nullopt;
}

std::string propstat_of(const PropertyChange& change, int status) {
  return "<D:propstat><D:prop><" + change.name.local + " xmlns=\"" + xml_escape(change.name.space) +
         "\"/></D:prop><D:status>HTTP/1.1 " + std::to_string(status) + " " +
         std::string(http::reason_phrase(status)) + "</D:status></D:propstat>";
}

fs::Operation operation_of(const PropertyChange& change, InodeNo ino) {
  if (change.remove) return fs::RemoveXattr{ino, attribute_of(change.name)};
  return fs::SetXattr{ino, attribute_of(change.name), change.xml};
}

/// What puts the properties back that the changes touched.
std::vector<fs::Operation> undo_of(const std::vector<PropertyChange>& changes, InodeNo ino,
                                   const std::vector<content::Tree::Attribute>& before) {
  std::vector<fs::Operation> undo;
  for (const PropertyChange& change : changes) {
    const std::string name = attribute_of(change.name);
    const auto old = std::find_if(before.begin(), before.end(),
                                  [&](const auto& attribute) { return attribute.name == name; });
    if (old != before.end()) {
      undo.emplace_back(fs::SetXattr{ino, name, old->value});
    } else {
      undo.emplace_back(fs::RemoveXattr{ino, name});
    }
  }
  return undo;
}

/// Windows sets the times of a file it copied this way.
std::optional<int64_t> win32_mtime(const std::vector<PropertyChange>& changes) {
  std::optional<int64_t> found;
  for (const PropertyChange& change : changes) {
    if (change.remove || change.name.space != kWin32) continue;
    if (change.name.local != "Win32LastModifiedTime") continue;
    found = content::parse_http_date(change.text);
  }
  if (found && (*found > INT64_MAX / kSecond || *found < INT64_MIN / kSecond)) return std::nullopt;
  return found;
}

}  // namespace

Task<Result<http::Response>> Dav::proppatch(Exchange& exchange) {
  ASTER_CO_TRY(const std::string body,
               co_await primary::read_body(exchange.request, options_.xml_limit));
  ASTER_CO_TRY(const std::vector<PropertyChange> changes, parse_proppatch(body));
  ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (!spot.node) co_return fail(Errc::not_found, "nothing is there");
  if (exchange.visitor.caller.read_only)
    co_return fail(Errc::read_only, "this account may only read");
  ASTER_CO_TRY(may_write(exchange, spot));
  const InodeNo ino = spot.node->ino;
  std::vector<int> statuses(changes.size(), 200);
  bool refused = false;
  for (size_t i = 0; i < changes.size(); ++i) {
    const auto status = refusal(changes[i]);
    if (status) statuses[i] = *status;
    refused = refused || status.has_value();
  }
  if (!refused) {
    std::vector<InodeNo> inodes{ino};
    ASTER_CO_TRY(const auto before,
                 co_await exchange.tree.attributes(std::move(inodes), std::string(kDeadPrefix)));
    std::vector<fs::Operation> operations;
    for (const PropertyChange& change : changes) operations.push_back(operation_of(change, ino));
    const auto answers = co_await content::call_each(namespaces_, exchange.visitor.caller,
                                                     std::move(operations), fs::kBatchOpsMax);
    for (size_t i = 0; i < changes.size(); ++i) {
      // Removing what is not there is no failure.
      if (answers[i].ok() || answers[i].failed_with(Errc::no_attribute)) continue;
      statuses[i] = dav_status(answers[i].error().code);
      refused = true;
    }
    if (refused) {
      auto undo = undo_of(changes, ino, before.front());
      const auto undone = co_await content::call_each(namespaces_, exchange.visitor.caller,
                                                      std::move(undo), fs::kBatchOpsMax);
      for (const auto& one : undone) {
        if (!one.ok() && !one.failed_with(Errc::no_attribute)) co_return one.error();
      }
    }
  }
  const auto mtime = win32_mtime(changes);
  if (!refused && mtime) {
    fs::SetAttr set{.ino = ino, .mtime = *mtime * kSecond};
    ASTER_CO_TRY(const auto changed, co_await content::call<fs::Attr>(
                                         namespaces_, exchange.visitor.caller, std::move(set)));
    static_cast<void>(changed);
  }
  std::string out(kMultistatusHead);
  std::string href = options_.prefix + content::encode_path(spot.path);
  if (spot.is_directory()) href += '/';
  out += "<D:response><D:href>" + xml_escape(href) + "</D:href>";
  for (size_t i = 0; i < changes.size(); ++i) {
    out += propstat_of(changes[i], refused && statuses[i] == 200 ? 424 : statuses[i]);
  }
  out += "</D:response>\n";
  out += kMultistatusTail;
  co_return http::Response::text(207, std::move(out), "application/xml; charset=utf-8");
}

}  // namespace aster::webdav
