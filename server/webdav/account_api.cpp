#include "server/webdav/account_api.h"

#include <boost/json.hpp>

#include "protocol/base/ids.h"
#include "protocol/json_reader.h"
#include "server/content/namespace_call.h"
#include "server/primary/api_json.h"

namespace aster::webdav {

namespace json = boost::json;
using primary::ApiCall;
using primary::ApiReply;

namespace {

constexpr size_t kPasswordBytes = 16;

json::object account_object(const db::WebdavAccountRow& account) {
  json::object out{{"id", account.id},
                   {"username", account.name},
                   {"root_folder_id", nullptr},
                   {"root_path", account.root_path},
                   {"workspace", account.workspace},
                   {"read_only", account.read_only},
                   {"is_active", account.active},
                   {"created_at", primary::rfc3339(account.created_at)},
                   {"updated_at", primary::rfc3339(account.updated_at)}};
  if (account.root) out["root_folder_id"] = account.root.value;
  return out;
}

}  // namespace

/// What a request to make an account says.
struct AccountApi::Wanted {
  std::string name;
  std::optional<std::string> password;
  std::optional<uint64_t> root_folder;
  std::optional<std::string> root_path;
  std::string workspace;
  bool read_only = false;
};

void AccountApi::add_routes(http::Router& router) {
  const auto add = [&](const char* method, const char* path, auto handler) {
    router.add(method, path, parts_.gate.wrap(primary::Access::user, [this, handler](ApiCall call) {
      return (this->*handler)(std::move(call));
    }));
  };
  add("GET", "/api/v1/webdav-accounts", &AccountApi::list);
  add("POST", "/api/v1/webdav-accounts", &AccountApi::create);
  add("GET", "/api/v1/webdav-accounts/settings", &AccountApi::settings);
  add("DELETE", "/api/v1/webdav-accounts/{}", &AccountApi::remove);
  add("POST", "/api/v1/webdav-accounts/{}/toggle", &AccountApi::toggle);
}

Task<Result<void>> AccountApi::choose_root(primary::Identity who, const Wanted& wanted,
                                           db::WebdavAccountRow& row) {
  ASTER_CO_TRY(const primary::Caller caller,
               co_await parts_.workspaces.enter(std::move(who), wanted.workspace));
  row.workspace = wanted.workspace;
  row.root_path = "/";
  if (wanted.root_folder) {
    fs::GetAttr ask{InodeNo(*wanted.root_folder)};
    auto found = co_await content::call<fs::Attr>(parts_.namespaces, caller, std::move(ask));
    const bool fits = found.ok() && found->type == fs::FileType::directory;
    if (!fits) co_return fail(Errc::not_found, "root_folder_id is no folder of yours");
    row.root = found->ino;
    row.root_path = wanted.root_path.value_or(std::string());
    co_return ok();
  }
  if (!wanted.root_path) co_return ok();
  // A path in JSON is no URL: what looks like an escape is part of a name.
  ASTER_CO_TRY(content::Path path, primary::parse_plain_path(*wanted.root_path));
  if (path.empty()) co_return ok();
  const auto root = [&] { return parts_.namespaces.root_of(caller.workspace); };
  ASTER_CO_TRY(const InodeNo top, co_await parts_.work.run(root));
  content::Tree tree(parts_.namespaces, caller, top);
  ASTER_CO_TRY(const content::Spot spot, co_await tree.find(std::move(path)));
  if (!spot.is_directory()) co_return fail(Errc::not_found, "root_path is no folder of yours");
  row.root = spot.node->ino;
  row.root_path.clear();
  for (const std::string& name : spot.path) row.root_path += "/" + name;
  co_return ok();
}

Task<AccountApi::Reply> AccountApi::create(ApiCall call) {
  ASTER_CO_TRY(const json::object object, parse_json_object(call.body, primary::kMaxApiBody));
  JsonReader reader(object);
  Wanted wanted;
  reader.required("username", wanted.name);
  reader.optional("password", wanted.password);
  reader.optional("root_folder_id", wanted.root_folder);
  reader.optional("root_path", wanted.root_path);
  reader.optional("workspace", wanted.workspace);
  reader.optional("read_only", wanted.read_only);
  ASTER_CO_TRY(wanted, reader.finish(std::move(wanted)));
  ASTER_CO_TRY(primary::check_user_name(wanted.name));
  const std::string password = wanted.password.value_or(random_hex(kPasswordBytes));
  ASTER_CO_TRY(primary::check_new_password(password));
  db::WebdavAccountRow row;
  row.user = call.who.user;
  row.name = wanted.name;
  row.read_only = wanted.read_only;
  ASTER_CO_TRY(co_await choose_root(call.who, wanted, row));
  ASTER_CO_TRY(row.password_hash, co_await parts_.accounts.hash_password(password));
  ASTER_CO_TRY(row, co_await store_.create_account(std::move(row)));
  ASTER_CO_TRY(
      co_await parts_.account_store.audit(call.who.user, "webdav_account.create", row.name));
  json::object answer = account_object(row);
  answer["password"] = password;  // this once
  co_return ApiReply{201, json::serialize(answer)};
}

Task<AccountApi::Reply> AccountApi::list(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, primary::page_of_query(call.request.raw_query()));
  ASTER_CO_TRY(const auto found, co_await store_.list_accounts(call.who.user, page));
  std::vector<std::string> items;
  for (const auto& account : found.items) items.push_back(json::serialize(account_object(account)));
  co_return ApiReply{200, primary::list_json(items, found.total, page)};
}

Task<AccountApi::Reply> AccountApi::remove(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, primary::path_number(call.arg(0)));
  ASTER_CO_TRY(co_await store_.remove_account(call.who.user, id));
  parts_.accounts.note_revocation();
  ASTER_CO_TRY(co_await parts_.account_store.audit(call.who.user, "webdav_account.remove",
                                                   std::to_string(id)));
  co_return ApiReply{};
}

Task<AccountApi::Reply> AccountApi::toggle(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, primary::path_number(call.arg(0)));
  ASTER_CO_TRY(const auto account, co_await store_.toggle_account(call.who.user, id));
  parts_.accounts.note_revocation();
  ASTER_CO_TRY(co_await parts_.account_store.audit(
      call.who.user, account.active ? "webdav_account.enable" : "webdav_account.disable",
      account.name));
  co_return ApiReply{200, json::serialize(account_object(account))};
}

Task<AccountApi::Reply> AccountApi::settings(ApiCall) {
  co_return ApiReply{200, json::serialize(json::object{{"prefix", prefix_}})};
}

}  // namespace aster::webdav
