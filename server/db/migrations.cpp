#include "server/db/migrations.h"

#include <string>

#include "protocol/base/log.h"
#include "server/db/connection.h"
#include "server/db/schema/acl.h"
#include "server/db/schema/admin.h"
#include "server/db/schema/departed.h"
#include "server/db/schema/filesystem.h"
#include "server/db/schema/kept.h"
#include "server/db/schema/people.h"
#include "server/db/schema/policy_groups.h"
#include "server/db/schema/purges.h"
#include "server/db/schema/quota.h"
#include "server/db/schema/s3_policies.h"
#include "server/db/schema/tree_quotas.h"
#include "server/db/schema/uploads.h"
#include "server/db/schema/webdav.h"
#include "server/db/schema/write_leases.h"
#include "server/db/txn.h"

namespace aster::db {
namespace {

/// The whole history of the schema. Append only.
constexpr Migration kAll[] = {
    {1, "filesystem", kFilesystemSchema},
    {2, "admin", kAdminSchema},
    {3, "acl", kAclSchema},
    {4, "quota", kQuotaSchema},
    {5, "webdav", kWebdavSchema},
    {6, "uploads", kUploadsSchema},
    {7, "people", kPeopleSchema},
    {9, "kept", kKeptSchema},
    {10, "policy groups", kPolicyGroupsSchema},
    {11, "tree quotas", kTreeQuotasSchema},
    {12, "purges", kPurgesSchema},
    {13, "write leases", kWriteLeasesSchema},
    {14, "s3 policies", kS3PoliciesSchema},
    {15, "departed users", kDepartedSchema},
};

constexpr char kVersionTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations("
    "number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied INTEGER NOT NULL)";

int version_of(Txn& txn) {
  Query q = txn.query("SELECT coalesce(max(number), 0) FROM schema_migrations");
  return q.next() ? static_cast<int>(q.int64(0)) : 0;
}

Result<void> apply_missing(Connection& connection, std::span<const Migration> steps) {
  Txn txn(connection);
  const int version = version_of(txn);
  if (txn.failed()) return *txn.failure();
  const int newest = steps.empty() ? 0 : steps.back().number;
  if (version > newest) {
    return fail(Errc::precondition_failed,
                "database: its schema is number " + std::to_string(version) +
                    ", this program knows only " + std::to_string(newest) +
                    "; it was written by a newer aster_drive, use that one");
  }
  for (const Migration& step : steps) {
    if (step.number <= version) continue;
    ASTER_TRY(connection.run(std::string(step.sql)));
    txn.exec("INSERT INTO schema_migrations VALUES (?1, ?2, unixepoch())", step.number, step.name);
    if (txn.failed()) return *txn.failure();
    ASTER_LOG(info, "database_migrated", {"number", step.number}, {"name", step.name});
  }
  return ok();
}

}  // namespace

std::span<const Migration> all_migrations() {
  return kAll;
}

// The write lock is taken before the version is read, so two programs that start at once do not
// both migrate.
Result<void> migrate(Connection& connection, std::span<const Migration> steps) {
  ASTER_TRY(connection.run("BEGIN IMMEDIATE"));
  Result<void> done = connection.run(kVersionTable);
  if (done.ok()) done = apply_missing(connection, steps);
  if (done.ok()) done = connection.run("COMMIT");
  if (!done.ok() && connection.in_transaction()) (void)connection.run("ROLLBACK");
  return done;
}

}  // namespace aster::db
