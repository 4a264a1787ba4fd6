#include "server/primary/policy_migration_api.h"

#include <boost/json.hpp>

#include "protocol/base/log.h"
#include "protocol/json_reader.h"
#include "server/db/database.h"
#include "server/primary/api_json.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr size_t kListed = 1000;
constexpr size_t kPathMax = 65536;

const char* state_name(db::MigrationState state) {
  switch (state) {
    case db::MigrationState::listing: return "listing";
    case db::MigrationState::moving: return "moving";
    case db::MigrationState::done: return "done";
    case db::MigrationState::failed: return "failed";
    case db::MigrationState::cancelled: return "cancelled";
  }
  return "unknown";
}

struct Body {
  std::string path;
  uint64_t policy = 0;
  WorkspaceChoice whose;
  uint64_t rate = 0;
};

Result<Body> read_migration_body(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxApiBody));
  JsonReader reader(object);
  Body body;
  reader.required("path", body.path);
  reader.required("policy_id", body.policy);
  body.whose.read(reader);
  reader.optional("rate", body.rate);
  if (!body.path.starts_with('/') || body.path.size() > kPathMax) {
    return fail(Errc::bad_request, "path begins with '/', at most 65536 bytes");
  }
  if (body.rate > INT64_MAX) return fail(Errc::bad_request, "rate is bytes per second, or 0");
  return reader.finish(std::move(body));
}

}  // namespace

void PolicyMigrationApi::add_routes(http::Router& router) {
  using Method = Reply (PolicyMigrationApi::*)(ApiCall);
  const auto add = [&](const char* method, const char* path, Method handler) {
    router.add(method, path, gate_.wrap(Access::admin, [this, handler](ApiCall call) {
      return (this->*handler)(std::move(call));
    }));
  };
  add("GET", "/api/v1/admin/storage-migrations", &PolicyMigrationApi::list);
  add("POST", "/api/v1/admin/storage-migrations", &PolicyMigrationApi::create);
  add("GET", "/api/v1/admin/storage-migrations/{}", &PolicyMigrationApi::get);
  add("POST", "/api/v1/admin/storage-migrations/{}/cancel", &PolicyMigrationApi::cancel);
  add("POST", "/api/v1/admin/storage-migrations/{}/resume", &PolicyMigrationApi::resume);
}

std::string PolicyMigrationApi::text_of(const db::MigrationRow& row) const {
  const auto policy = policies_.row(row.policy);
  return json::serialize(
      json::object{{"id", row.id},
                   {"workspace_id", row.workspace},
                   {"path", row.path},
                   {"policy_id", row.policy.value},
                   {"policy", policy.ok() ? json::value(policy->name) : json::value()},
                   {"rate", row.rate},
                   {"state", state_name(row.state)},
                   {"files", row.files},
                   {"files_done", row.files_done},
                   {"bytes", row.bytes},
                   {"bytes_done", row.bytes_done},
                   {"problem", row.problem},
                   {"created_at", rfc3339(row.created_at)},
                   {"updated_at", rfc3339(row.updated_at)}});
}

Task<void> PolicyMigrationApi::audit(const Identity& who, std::string action,
                                     const db::MigrationRow& row) {
  const Result<void> noted = co_await accounts_.audit(who.user, std::move(action),
                                                      std::to_string(row.id) + " " + row.path);
  if (!noted.ok()) ASTER_LOG(warn, "audit_not_written", {"err", noted.error()});
}

PolicyMigrationApi::Reply PolicyMigrationApi::list(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  auto body = [](db::Txn& txn) -> Result<std::vector<db::MigrationRow>> {
    return db::MigrationStore(txn).all(kListed);
  };
  ASTER_CO_TRY(const std::vector<db::MigrationRow> all,
               co_await executor_.run([&] { return database_.read(body); }));
  std::vector<std::string> items;
  for (size_t i = page.offset; i < all.size() && items.size() < page.limit; ++i) {
    items.push_back(text_of(all[i]));
  }
  co_return ApiReply{200, list_json(items, all.size(), page)};
}

PolicyMigrationApi::Reply PolicyMigrationApi::create(ApiCall call) {
  ASTER_CO_TRY(const Body body, read_migration_body(call.body));
  ASTER_CO_TRY(const db::PolicyRow policy, policies_.row(PolicyId(body.policy)));
  ASTER_CO_TRY(const uint64_t workspace,
               co_await chosen_workspace(body.whose, call.who.workspace, accounts_, teams_));
  PolicyMigrator::Wanted wanted{workspace, body.path, policy.id, body.rate};
  ASTER_CO_TRY(const db::MigrationRow row, co_await migrator_.add(std::move(wanted)));
  co_await audit(call.who, "migration.create", row);
  co_return ApiReply{201, text_of(row)};
}

PolicyMigrationApi::Reply PolicyMigrationApi::get(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  auto body = [id](db::Txn& txn) -> Result<db::MigrationRow> {
    std::optional<db::MigrationRow> row = db::MigrationStore(txn).find(id);
    if (!row) return fail(Errc::not_found, "no migration with id " + std::to_string(id));
    return std::move(*row);
  };
  ASTER_CO_TRY(const db::MigrationRow row,
               co_await executor_.run([&] { return database_.read(body); }));
  co_return ApiReply{200, text_of(row)};
}

PolicyMigrationApi::Reply PolicyMigrationApi::cancel(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::MigrationRow row, co_await migrator_.cancel(id));
  co_await audit(call.who, "migration.cancel", row);
  co_return ApiReply{200, text_of(row)};
}

PolicyMigrationApi::Reply PolicyMigrationApi::resume(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::MigrationRow row, co_await migrator_.resume(id));
  co_await audit(call.who, "migration.resume", row);
  co_return ApiReply{200, text_of(row)};
}

}  // namespace aster::primary
