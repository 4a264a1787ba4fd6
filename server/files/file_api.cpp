#include "server/files/file_api.h"

#include <boost/json.hpp>

#include "protocol/base/log.h"
#include "protocol/fs/json.h"
#include "protocol/json_reader.h"
#include "server/content/namespace_call.h"
#include "server/content/serve_file.h"
#include "server/primary/client_api.h"

namespace aster::files {

namespace json = boost::json;

namespace {

constexpr uint64_t kListMax = 1000;
constexpr uint64_t kListUsual = 200;
constexpr int kStoreAttempts = 4;

http::Response reply(int status, std::string_view data) {
  return http::Response::json(status, fs::success_envelope(data));
}

Result<bool> flag_of(const QueryList& query, std::string_view name) {
  const std::string value = http::query_value(query, name).value_or("false");
  if (value != "true" && value != "false") {
    return fail(Errc::bad_request, std::string(name) + " is true or false");
  }
  return value == "true";
}

Result<uint64_t> number_of(const QueryList& query, std::string_view name, uint64_t usual,
                           uint64_t most) {
  const auto text = http::query_value(query, name);
  if (!text) return usual;
  const auto number = parse_decimal<uint64_t>(*text);
  if (!number || *number > most) {
    return fail(Errc::bad_request,
                std::string(name) + " is a number of at most " + std::to_string(most));
  }
  return *number;
}

Result<void> judge_holder(primary::LockHolder holder, const content::Path& path) {
  const std::string where = " (" + content::encode_path(path) + ")";
  switch (holder) {
    case primary::LockHolder::none: return ok();
    case primary::LockHolder::mount:
      return fail(Errc::locked, "a program on a mount has locked it" + where);
    case primary::LockHolder::guest:
      return fail(Errc::locked, "a WebDAV client has locked it" + where);
  }
  return ok();
}

/// What the failures of many steps are told as: the first, and where it was.
Result<void> outcome_of(const content::Failures& failures) {
  if (failures.empty()) return ok();
  Error first = failures.front().error;
  first.context += " (" + content::encode_path(failures.front().path);
  if (failures.size() > 1) first.context += " and " + std::to_string(failures.size() - 1) + " more";
  first.context += ")";
  return first;
}

}  // namespace

FileApi::FileApi(const primary::FrontEndParts& parts, FileApiOptions options)
    : parts_(parts),
      options_(options),
      locks_(primary::guest_locks_of(parts.namespaces)),
      places_(
          parts.database,
          [&backends = parts.backends](PolicyId policy) { return backends.driver(policy); },
          parts.work),
      reader_(parts.namespaces, places_, parts.disk),
      writer_(parts.namespaces, places_, parts.work),
      uploads_(parts.database, parts.work, parts.clock),
      limit_(static_cast<uint64_t>(parts.config.integer("webdav.payload_limit"))) {}

void FileApi::add_routes(http::Router& router) {
  const auto add = [&](const char* method, const std::string& path, Method handler) {
    router.add(method, path,
               [this, handler](http::Request& request) { return answer(request, handler); });
  };
  const auto add_tree = [&](const char* method, const std::string& path, Method handler) {
    add(method, path, handler);
    add(method, path + "/{...}", handler);
  };
  add_tree("GET", "/api/v1/files", &FileApi::download);
  add_tree("HEAD", "/api/v1/files", &FileApi::download);
  add_tree("PUT", "/api/v1/files", &FileApi::upload);
  add_tree("DELETE", "/api/v1/files", &FileApi::remove);
  add_tree("GET", "/api/v1/info", &FileApi::info);
  add_tree("GET", "/api/v1/folders", &FileApi::list);
  add_tree("POST", "/api/v1/folders", &FileApi::make_folder);
  add("POST", "/api/v1/copy", &FileApi::copy);
  add("POST", "/api/v1/move", &FileApi::move);
  add_tree("GET", "/api/v1/search", &FileApi::search);
  add("POST", "/api/v1/uploads", &FileApi::begin_upload);
  add("GET", "/api/v1/uploads/{}", &FileApi::show_upload);
  add("DELETE", "/api/v1/uploads/{}", &FileApi::drop_upload);
  add("PUT", "/api/v1/uploads/{}/{}", &FileApi::put_part);
  add("POST", "/api/v1/uploads/{}/complete", &FileApi::complete_upload);
}

Task<http::Response> FileApi::answer(http::Request& request, Method method) {
  Result<http::Response> answered = co_await admit_and_run(request, method);
  if (answered.ok()) co_return std::move(*answered);
  Error error = std::move(answered).error();
  // A file that changed under a conditional request is what the condition was for.
  if (error.code == Errc::stale_version) error.code = Errc::precondition_failed;
  co_return primary::fs_failure(error);
}

FileApi::Answer FileApi::admit_and_run(http::Request& request, Method method) {
  ASTER_CO_TRY(const primary::Identity who,
               co_await parts_.gate.identify(request, primary::Access::token));
  ASTER_CO_TRY(QueryList query, form_decode_query(request.raw_query()));
  std::string workspace = http::query_value(query, "workspace").value_or(std::string());
  ASTER_CO_TRY(const primary::Caller caller,
               co_await parts_.workspaces.enter(who, std::move(workspace)));
  const auto root = [&] { return parts_.namespaces.root_of(caller.workspace); };
  ASTER_CO_TRY(const InodeNo top, co_await parts_.work.run(root));
  std::string_view rest;
  if (!request.path_args.empty()) rest = request.path_args.front();
  Exchange exchange{request, caller, content::Tree(parts_.namespaces, caller, top),
                    std::move(query), rest};
  co_return co_await (this->*method)(exchange);
}

Task<Result<content::Spot>> FileApi::spot_of(Exchange& exchange) {
  ASTER_CO_TRY(content::Path path, content::decode_path(exchange.rest));
  co_return co_await exchange.tree.find(std::move(path));
}

Result<void> FileApi::spare_locks(const content::Spot& spot) const {
  if (locks_ == nullptr || !spot.node) return ok();
  std::vector<InodeNo> above;
  for (const fs::Attr& directory : spot.above) above.push_back(directory.ino);
  return judge_holder(locks_->holder(spot.node->ino, above), spot.path);
}

Task<Result<void>> FileApi::spare_locks_below(const content::Spot& spot) const {
  ASTER_CO_TRY(spare_locks(spot));
  if (locks_ == nullptr || !spot.is_directory()) co_return ok();
  ASTER_CO_TRY(const auto held, co_await locks_->held_below(spot.node->ino));
  if (held.empty()) co_return ok();
  content::Path path = spot.path;
  path.insert(path.end(), held.front().path.begin(), held.front().path.end());
  co_return judge_holder(held.front().holder, path);
}

FileApi::Answer FileApi::download(Exchange& exchange) {
  ASTER_CO_TRY(content::Spot spot, co_await spot_of(exchange));
  if (!spot.node) co_return fail(Errc::not_found, "nothing is there");
  if (spot.is_directory()) co_return fail(Errc::is_directory, "a folder has no content");
  if (!spot.is_file()) co_return fail(Errc::forbidden, "this is no regular file");
  const std::string name = spot.name();
  co_return co_await content::serve_file(reader_, exchange.caller, exchange.request,
                                         std::move(*spot.node), name);
}

FileApi::Answer FileApi::info(Exchange& exchange) {
  ASTER_CO_TRY(const content::Spot spot, co_await spot_of(exchange));
  if (!spot.node) co_return fail(Errc::not_found, "nothing is there");
  co_return reply(200, info_json(*spot.node, spot.path));
}

FileApi::Answer FileApi::list(Exchange& exchange) {
  ASTER_CO_TRY(const content::Spot spot, co_await spot_of(exchange));
  if (!spot.node) co_return fail(Errc::not_found, "nothing is there");
  if (!spot.is_directory()) co_return fail(Errc::not_directory, "this is no folder");
  ASTER_CO_TRY(const uint64_t limit, number_of(exchange.query, "limit", kListUsual, kListMax));
  ASTER_CO_TRY(const uint64_t after, number_of(exchange.query, "after", 0, UINT64_MAX));
  const auto count = static_cast<uint32_t>(std::max<uint64_t>(limit, 1));
  ASTER_CO_TRY(const auto page, co_await exchange.tree.list(spot.node->ino, after, count));
  std::vector<std::string> items;
  for (const fs::DirEntry& entry : page.entries) {
    content::Path path = spot.path;
    path.push_back(entry.name);
    items.push_back(info_json(entry.attr, path));
  }
  const bool more = !page.end && !page.entries.empty();
  const std::string next = more ? std::to_string(page.entries.back().cookie) : "null";
  co_return reply(200, "{\"items\":" + items_json(items) + ",\"next\":" + next + "}");
}

FileApi::Answer FileApi::make_folder(Exchange& exchange) {
  ASTER_CO_TRY(const bool parents, flag_of(exchange.query, "parents"));
  ASTER_CO_TRY(const content::Path path, content::decode_path(exchange.rest));
  if (path.empty()) co_return fail(Errc::exists, "the root is there");
  for (size_t depth = parents ? 1 : path.size(); depth <= path.size(); ++depth) {
    content::Path upper(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(depth));
    if (depth < path.size() && !exchange.tree.admits(upper)) continue;
    ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(std::move(upper)));
    if (depth < path.size() && spot.is_directory()) continue;
    if (spot.node) co_return fail(Errc::exists, "there is something of this name");
    if (!spot.has_parent) co_return fail(Errc::not_found, "the folder above is missing");
    ASTER_CO_TRY(const fs::Attr made, co_await exchange.tree.make_directory(std::move(spot)));
    if (depth == path.size()) co_return reply(201, info_json(made, path));
  }
  co_return fail(Errc::internal, "no folder was made");
}

FileApi::Answer FileApi::upload(Exchange& exchange) {
  ASTER_CO_TRY(content::Spot spot, co_await spot_of(exchange));
  if (spot.is_root() || spot.is_directory()) {
    co_return fail(Errc::is_directory, "a folder has no content");
  }
  if (!spot.has_parent) co_return fail(Errc::not_found, "the folder above is missing");
  if (spot.node && !spot.is_file()) co_return fail(Errc::forbidden, "this is no regular file");
  const http::Request& request = exchange.request;
  const fs::Attr* const existing = spot.node ? &*spot.node : nullptr;
  if (content::judge_conditions(request, existing) != content::Verdict::go_on) {
    co_return fail(Errc::precondition_failed, "the file is another one than expected");
  }
  ASTER_CO_TRY(spare_locks(spot));
  const bool conditional = request.header("If-Match") || request.header("If-None-Match");
  content::Incoming incoming{request.body, request.content_length, limit_};
  const InodeNo near = existing != nullptr ? existing->ino : spot.parent().ino;
  ASTER_CO_TRY(const content::Uploaded uploaded,
               co_await writer_.upload(exchange.caller, near, std::move(incoming),
                                       request.content_length.value_or(0)));
  for (int attempt = 1;; ++attempt) {
    const bool replaces = spot.is_file();
    Result<fs::Attr> stored = fail(Errc::internal);
    if (replaces) {
      ASTER_CO_TRY(spare_locks(spot));  // taken while the bytes came in
      content::CommitOptions options;
      if (conditional) options.base = spot.node->data_version;
      stored = co_await writer_.replace(exchange.caller, spot.node->ino, uploaded, options);
    } else {
      stored = co_await writer_.create(exchange.caller, spot.parent(), spot.name(), uploaded, {});
    }
    if (stored.ok()) co_return reply(replaces ? 200 : 201, info_json(*stored, spot.path));
    const bool changed = stored.failed_with(Errc::exists) || stored.failed_with(Errc::stale_handle);
    if (changed && conditional) {
      co_return fail(Errc::precondition_failed, "the file was changed meanwhile");
    }
    if (!changed || attempt == kStoreAttempts) co_return stored.error();
    ASTER_CO_TRY(spot, co_await exchange.tree.find(spot.path));
    if (!spot.has_parent) co_return fail(Errc::not_found, "the folder above is gone");
    if (spot.node && !spot.is_file()) co_return fail(Errc::is_directory, "it became a folder");
  }
}

FileApi::Answer FileApi::remove(Exchange& exchange) {
  ASTER_CO_TRY(const bool recursive, flag_of(exchange.query, "recursive"));
  ASTER_CO_TRY(const content::Spot spot, co_await spot_of(exchange));
  if (spot.is_fixed) co_return fail(Errc::forbidden, "the root cannot be removed");
  if (!spot.node) co_return fail(Errc::not_found, "nothing is there");
  if (content::judge_conditions(exchange.request, &*spot.node) != content::Verdict::go_on) {
    co_return fail(Errc::precondition_failed, "the file is another one than expected");
  }
  ASTER_CO_TRY(co_await spare_locks_below(spot));
  if (spot.is_directory() && !recursive) {
    fs::Rmdir rmdir{spot.parent().ino, spot.name()};
    const auto removed =
        co_await content::call<fs::Removed>(parts_.namespaces, exchange.caller, std::move(rmdir));
    if (removed.failed_with(Errc::not_empty)) {
      co_return fail(Errc::not_empty, "the folder is not empty: recursive=true removes it all");
    }
    if (!removed.ok()) co_return removed.error();
    co_return reply(200, {});
  }
  const content::Failures failures = co_await exchange.tree.remove(spot);
  ASTER_CO_TRY(outcome_of(failures));
  co_return reply(200, {});
}

Task<Result<FileApi::Transfer>> FileApi::plan_transfer(Exchange& exchange, bool is_move) {
  ASTER_CO_TRY(const std::string body,
               co_await primary::read_body(exchange.request, primary::kMaxApiBody));
  ASTER_CO_TRY(const json::object object, parse_json_object(body, primary::kMaxApiBody));
  JsonReader reader(object);
  std::string from;
  std::string to;
  bool overwrite = false;
  reader.required("from", from);
  reader.required("to", to);
  reader.optional("overwrite", overwrite);
  ASTER_CO_TRY(overwrite, reader.finish(overwrite));
  ASTER_CO_TRY(content::Path from_path, content::decode_path(from));
  ASTER_CO_TRY(content::Path to_path, content::decode_path(to));
  Transfer plan;
  ASTER_CO_TRY(plan.from, co_await exchange.tree.find(std::move(from_path)));
  ASTER_CO_TRY(plan.to, co_await exchange.tree.find(std::move(to_path)));
  if (!plan.from.node) co_return fail(Errc::not_found, "nothing is at \"from\"");
  if (content::is_within(plan.from.path, plan.to.path) ||
      (plan.from.is_directory() && content::is_within(plan.to.path, plan.from.path))) {
    co_return fail(Errc::bad_request, "\"from\" and \"to\" contain one another");
  }
  if (!plan.to.has_parent) co_return fail(Errc::not_found, "the folder above \"to\" is missing");
  if (is_move) ASTER_CO_TRY(co_await spare_locks_below(plan.from));
  if (!plan.to.node) co_return plan;
  if (!overwrite) co_return fail(Errc::exists, "something is at \"to\": overwrite replaces it");
  if (plan.to.is_fixed) co_return fail(Errc::forbidden, "the root cannot be replaced");
  ASTER_CO_TRY(co_await spare_locks_below(plan.to));
  // A file takes the place of a file in one step; whatever else is there goes first.
  if (plan.to.is_file() && plan.from.is_file()) co_return plan;
  const content::Failures failures = co_await exchange.tree.remove(plan.to);
  ASTER_CO_TRY(outcome_of(failures));
  plan.to.node.reset();
  co_return plan;
}

FileApi::Answer FileApi::copy(Exchange& exchange) {
  ASTER_CO_TRY(Transfer plan, co_await plan_transfer(exchange, false));
  content::Path target = plan.to.path;
  const content::Failures failures =
      co_await exchange.tree.copy(std::move(plan.from), std::move(plan.to), true);
  ASTER_CO_TRY(outcome_of(failures));
  ASTER_CO_TRY(const content::Spot made, co_await exchange.tree.find(std::move(target)));
  if (!made.node) co_return fail(Errc::not_found, "the copy was removed meanwhile");
  co_return reply(201, info_json(*made.node, made.path));
}

FileApi::Answer FileApi::move(Exchange& exchange) {
  ASTER_CO_TRY(Transfer plan, co_await plan_transfer(exchange, true));
  if (plan.from.is_fixed) co_return fail(Errc::forbidden, "the root cannot be moved");
  const content::Path target = plan.to.path;
  ASTER_CO_TRY(const fs::Attr moved,
               co_await exchange.tree.move(std::move(plan.from), std::move(plan.to)));
  co_return reply(200, info_json(moved, target));
}

Result<std::unique_ptr<primary::FrontEnd>> make_front_end(const primary::FrontEndParts& parts) {
  return std::unique_ptr<primary::FrontEnd>(std::make_unique<FileApi>(parts, FileApiOptions()));
}

primary::MakeFrontEnd make_front_end_with(FileApiOptions options) {
  return [options](const primary::FrontEndParts& parts) {
    return Result<std::unique_ptr<primary::FrontEnd>>(std::make_unique<FileApi>(parts, options));
  };
}

}  // namespace aster::files
