#include "server/follower/binding_store.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <algorithm>
#include <ctime>
#include <mutex>

#include "protocol/base/guarded.h"
#include "protocol/base/ids.h"
#include "protocol/base/unique_handle.h"

namespace aster::follower {
namespace {

using Handle = CHandle<sqlite3, sqlite3_close_v2>;

/// Numbered steps of the schema; a released one never changes.
constexpr const char* kMigrations[] = {
    // 1: first form
    "CREATE TABLE master_bindings ("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL, master_url TEXT NOT NULL,"
    " access_key TEXT NOT NULL UNIQUE, secret_key TEXT NOT NULL,"
    " storage_namespace TEXT NOT NULL UNIQUE, is_enabled INTEGER NOT NULL,"
    " resolved_transport TEXT NOT NULL, desired_revision INTEGER NOT NULL, dialect TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);"
    "CREATE TABLE storage_targets ("
    " id INTEGER PRIMARY KEY, binding_id INTEGER NOT NULL REFERENCES master_bindings(id),"
    " target_key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, driver_type TEXT NOT NULL,"
    " endpoint TEXT NOT NULL, bucket TEXT NOT NULL, access_key TEXT NOT NULL,"
    " secret_key TEXT NOT NULL, base_path TEXT NOT NULL, max_file_size INTEGER NOT NULL,"
    " is_default INTEGER NOT NULL, desired_revision INTEGER NOT NULL,"
    " applied_revision INTEGER NOT NULL, last_error TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX one_default ON storage_targets(binding_id) WHERE is_default = 1;",
};

Error database_error(sqlite3* db, int code, std::string_view doing) {
  Errc errc = Errc::io_error;
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT: errc = Errc::conflict; break;
    case SQLITE_FULL: errc = Errc::no_space; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: errc = Errc::unavailable; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: errc = Errc::corrupt; break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY: errc = Errc::access_denied; break;
    default: break;
  }
  return {errc, "database: " + std::string(doing) + ": " +
                    (db ? sqlite3_errmsg(db) : sqlite3_errstr(code))};
}

Result<void> run(sqlite3* db, const char* sql) {
  const int code = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return database_error(db, code, "statement");
  return ok();
}

/// One statement with its values bound in order.
class Statement {
 public:
  template <class... Args>
  Statement(sqlite3* db, const char* sql, const Args&... args) : db_(db) {
    sqlite3_stmt* raw = nullptr;
    code_ = sqlite3_prepare_v2(db, sql, -1, &raw, nullptr);
    handle_.reset(raw);
    int index = 0;
    if (handle_) (bind(++index, args), ...);
  }
  /// True when there is a row.
  bool next() {
    if (code_ != SQLITE_OK && code_ != SQLITE_ROW) return false;
    code_ = sqlite3_step(handle_.get());
    return code_ == SQLITE_ROW;
  }
  Result<void> outcome(std::string_view doing) const {
    if (code_ == SQLITE_OK || code_ == SQLITE_DONE || code_ == SQLITE_ROW) return ok();
    return database_error(db_, code_, doing);
  }
  Result<void> finish(std::string_view doing) {
    while (next()) {
    }
    return outcome(doing);
  }
  int64_t number(int column) const { return sqlite3_column_int64(handle_.get(), column); }
  std::string text(int column) const {
    const auto* bytes = sqlite3_column_text(handle_.get(), column);
    const int size = sqlite3_column_bytes(handle_.get(), column);
    return bytes ? std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size))
                 : std::string();
  }

 private:
  void bind(int index, int64_t value) { sqlite3_bind_int64(handle_.get(), index, value); }
  void bind(int index, const std::string& text) {
    sqlite3_bind_text(handle_.get(), index, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
  }

  sqlite3* db_;
  CHandle<sqlite3_stmt, sqlite3_finalize> handle_;
  int code_ = SQLITE_OK;
};

/// Undone unless commit() was called.
class Transaction {
 public:
  static Result<Transaction> begin(sqlite3* db) {
    ASTER_TRY(run(db, "BEGIN IMMEDIATE"));
    return Transaction(db);
  }
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  ~Transaction() {
    if (db_) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Result<void> commit() {
    ASTER_TRY(run(db_, "COMMIT"));
    db_ = nullptr;
    return ok();
  }

 private:
  explicit Transaction(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

Result<void> migrate(sqlite3* db) {
  ASTER_TRY(Transaction transaction, Transaction::begin(db));
  Statement version(db, "PRAGMA user_version");
  version.next();
  const int64_t have = version.number(0);
  ASTER_TRY(version.finish("read the schema version"));
  const int64_t want = std::size(kMigrations);
  if (have > want) {
    return fail(Errc::precondition_failed, "the database has schema " + std::to_string(have) +
                                               ", this program knows " + std::to_string(want) +
                                               ": a newer aster_drive wrote it");
  }
  for (int64_t step = have; step < want; ++step) ASTER_TRY(run(db, kMigrations[step]));
  ASTER_TRY(run(db, ("PRAGMA user_version=" + std::to_string(want)).c_str()));
  return transaction.commit();
}

Result<Handle> open_database(const std::string& path) {
  // SQLite would make the file with the umask's mode; it holds the primaries' secrets.
  const UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!made) return fail_errno("open database " + path);
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Handle handle(raw);
  if (code != SQLITE_OK) return database_error(raw, code, "open " + path);
  sqlite3_busy_timeout(raw, 10'000);  // node enroll may hold the lock for a moment
  ASTER_TRY(run(raw, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"));
  ASTER_TRY(migrate(raw));
  return handle;
}

std::string to_text(std::optional<Dialect> dialect) {
  if (!dialect) return "";
  return *dialect == Dialect::num ? "num" : "str";
}

std::optional<Dialect> dialect_from(const std::string& text) {
  if (text == "num") return Dialect::num;
  if (text == "str") return Dialect::str;
  return std::nullopt;
}

constexpr char kBindingColumns[] =
    "SELECT id, name, master_url, access_key, secret_key, storage_namespace, is_enabled,"
    " resolved_transport, desired_revision, dialect FROM master_bindings ORDER BY id";

Binding read_binding(const Statement& row) {
  Binding out;
  out.id = row.number(0);
  out.name = row.text(1);
  out.master_url = row.text(2);
  out.access_key = row.text(3);
  out.secret_key = row.text(4);
  out.storage_namespace = row.text(5);
  out.is_enabled = row.number(6) != 0;
  out.resolved_transport = row.text(7);
  out.desired_revision = row.number(8);
  out.dialect = dialect_from(row.text(9));
  return out;
}

constexpr char kTargetColumns[] =
    "SELECT id, binding_id, target_key, name, driver_type, endpoint, bucket, access_key,"
    " secret_key, base_path, max_file_size, is_default, desired_revision, applied_revision,"
    " last_error, created_at, updated_at FROM storage_targets"
    " ORDER BY is_default DESC, created_at DESC, id DESC";

Target read_target(const Statement& row) {
  Target out;
  out.id = row.number(0);
  out.binding_id = row.number(1);
  out.info.target_key = row.text(2);
  out.info.name = row.text(3);
  out.info.driver_type = row.text(4);
  out.info.endpoint = row.text(5);
  out.info.bucket = row.text(6);
  out.access_key = row.text(7);
  out.secret_key = row.text(8);
  out.info.base_path = row.text(9);
  out.info.max_file_size = row.number(10);
  out.info.is_default = row.number(11) != 0;
  out.info.desired_revision = row.number(12);
  out.info.applied_revision = row.number(13);
  out.info.last_error = row.text(14);
  out.info.created_at = rfc3339(row.number(15));
  out.info.updated_at = rfc3339(row.number(16));
  return out;
}

class SqliteBindingStore final : public BindingStore {
 public:
  SqliteBindingStore(Handle handle, const Clock& clock) : db_(std::move(handle)), clock_(clock) {}

  std::optional<Binding> find(std::string_view access_key) const override;
  std::vector<Binding> bindings() const override { return memory_.lock()->bindings; }
  Result<Enrolled> enroll(const Enrollment& enrollment) override;
  Result<void> apply_state(int64_t binding_id, const BindingState& state) override;
  Result<void> note_dialect(int64_t binding_id, Dialect dialect) override;
  std::vector<Target> targets(int64_t binding_id) const override;
  Result<Target> save_target(Target target) override;
  Result<void> remove_target(int64_t target_id) override;
  Result<void> ping() const override;

  Result<void> reload() override {
    std::lock_guard lock(writing_);
    return read_all();
  }

 private:
  /// Brings the memory in line with the database; under the lock.
  Result<void> read_all();
  struct Memory {
    std::vector<Binding> bindings;
    std::vector<Target> targets;  ///< in the order of a listing
  };
  Result<int64_t> insert_binding(const Enrollment& e);
  Result<int64_t> insert_target(const Target& t);
  Result<void> update_target(const Target& t);

  mutable std::mutex writing_;  ///< the connection is used by one thread at a time
  Handle db_;
  const Clock& clock_;
  Guarded<Memory> memory_;
};

Result<void> SqliteBindingStore::read_all() {
  Memory fresh;
  Statement bindings(db_.get(), kBindingColumns);
  while (bindings.next()) fresh.bindings.push_back(read_binding(bindings));
  ASTER_TRY(bindings.outcome("read bindings"));
  Statement targets(db_.get(), kTargetColumns);
  while (targets.next()) fresh.targets.push_back(read_target(targets));
  ASTER_TRY(targets.outcome("read targets"));
  *memory_.lock() = std::move(fresh);
  return ok();
}

std::optional<Binding> SqliteBindingStore::find(std::string_view access_key) const {
  const auto memory = memory_.lock();
  for (const Binding& binding : memory->bindings) {
    if (binding.access_key == access_key) return binding;
  }
  return std::nullopt;
}

std::vector<Target> SqliteBindingStore::targets(int64_t binding_id) const {
  std::vector<Target> out;
  const auto memory = memory_.lock();
  for (const Target& target : memory->targets) {
    if (target.binding_id == binding_id) out.push_back(target);
  }
  return out;
}

Result<int64_t> SqliteBindingStore::insert_binding(const Enrollment& e) {
  const std::string storage_namespace = e.storage_namespace.value_or("mb_" + random_hex(16));
  const int64_t now = clock_.now_seconds();
  Statement insert(db_.get(),
                   "INSERT INTO master_bindings (name, master_url, access_key, secret_key,"
                   " storage_namespace, is_enabled, resolved_transport, desired_revision, dialect,"
                   " created_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                   e.name, e.master_url, e.access_key, e.secret_key, storage_namespace,
                   int64_t{e.is_enabled}, e.resolved_transport, e.desired_revision,
                   to_text(e.dialect), now, now);
  const Result<void> inserted = insert.finish("store the binding");
  if (inserted.failed_with(Errc::conflict)) {
    return fail(Errc::conflict,
                "namespace " + storage_namespace + " is in use by another binding here");
  }
  ASTER_TRY(inserted);
  return sqlite3_last_insert_rowid(db_.get());
}

Result<BindingStore::Enrolled> SqliteBindingStore::enroll(const Enrollment& e) {
  std::lock_guard lock(writing_);
  ASTER_TRY(read_all());
  const std::optional<Binding> before = find(e.access_key);
  if (before && before->secret_key != e.secret_key) {
    return fail(Errc::conflict, "this access key is stored here with another secret");
  }
  if (before) {
    Statement update(db_.get(),
                     "UPDATE master_bindings SET name=?, master_url=?, is_enabled=?,"
                     " resolved_transport=?, desired_revision=?, dialect=?, updated_at=?"
                     " WHERE id=?",
                     e.name, e.master_url, int64_t{e.is_enabled}, e.resolved_transport,
                     e.desired_revision, to_text(e.dialect), clock_.now_seconds(), before->id);
    ASTER_TRY(update.finish("store the binding"));
  } else {
    ASTER_TRY(insert_binding(e));
  }
  ASTER_TRY(read_all());
  return Enrolled{*find(e.access_key), !before};
}

Result<void> SqliteBindingStore::apply_state(int64_t binding_id, const BindingState& state) {
  std::lock_guard lock(writing_);
  Statement update(db_.get(),
                   "UPDATE master_bindings SET name=?1, is_enabled=?2, resolved_transport=?3,"
                   " desired_revision=?4, updated_at=?5 WHERE id=?6 AND desired_revision<=?4",
                   state.name, int64_t{state.is_enabled}, state.resolved_transport,
                   state.desired_revision, clock_.now_seconds(), binding_id);
  ASTER_TRY(update.finish("store the binding"));
  return read_all();
}

Result<void> SqliteBindingStore::note_dialect(int64_t binding_id, Dialect dialect) {
  std::lock_guard lock(writing_);
  Statement update(db_.get(), "UPDATE master_bindings SET dialect=? WHERE id=?", to_text(dialect),
                   binding_id);
  ASTER_TRY(update.finish("store the dialect"));
  return read_all();
}

Result<int64_t> SqliteBindingStore::insert_target(const Target& t) {
  const TargetInfo& i = t.info;
  const int64_t now = clock_.now_seconds();
  Statement insert(db_.get(),
                   "INSERT INTO storage_targets (binding_id, target_key, name, driver_type,"
                   " endpoint, bucket, access_key, secret_key, base_path, max_file_size,"
                   " is_default, desired_revision, applied_revision, last_error, created_at,"
                   " updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                   t.binding_id, i.target_key, i.name, i.driver_type, i.endpoint, i.bucket,
                   t.access_key, t.secret_key, i.base_path, i.max_file_size, int64_t{i.is_default},
                   i.desired_revision, i.applied_revision, i.last_error, now, now);
  ASTER_TRY(insert.finish("store the target"));
  return sqlite3_last_insert_rowid(db_.get());
}

Result<void> SqliteBindingStore::update_target(const Target& t) {
  const TargetInfo& i = t.info;
  Statement update(db_.get(),
                   "UPDATE storage_targets SET name=?, driver_type=?, endpoint=?, bucket=?,"
                   " access_key=?, secret_key=?, base_path=?, max_file_size=?, is_default=?,"
                   " desired_revision=?, applied_revision=?, last_error=?, updated_at=?"
                   " WHERE id=?",
                   i.name, i.driver_type, i.endpoint, i.bucket, t.access_key, t.secret_key,
                   i.base_path, i.max_file_size, int64_t{i.is_default}, i.desired_revision,
                   i.applied_revision, i.last_error, clock_.now_seconds(), t.id);
  return update.finish("store the target");
}

Result<Target> SqliteBindingStore::save_target(Target target) {
  std::lock_guard lock(writing_);
  ASTER_TRY(Transaction transaction, Transaction::begin(db_.get()));
  if (target.info.is_default) {
    Statement others(db_.get(),
                     "UPDATE storage_targets SET is_default=0 WHERE binding_id=? AND id<>?",
                     target.binding_id, target.id);
    ASTER_TRY(others.finish("store the target"));
  }
  if (target.id == 0) {
    ASTER_TRY(target.id, insert_target(target));
  } else {
    ASTER_TRY(update_target(target));
  }
  ASTER_TRY(transaction.commit());
  ASTER_TRY(read_all());
  for (Target& stored : targets(target.binding_id)) {
    if (stored.id == target.id) return std::move(stored);
  }
  return fail(Errc::not_found, "storage target");
}

Result<void> SqliteBindingStore::remove_target(int64_t target_id) {
  std::lock_guard lock(writing_);
  Statement remove(db_.get(), "DELETE FROM storage_targets WHERE id=?", target_id);
  ASTER_TRY(remove.finish("remove the target"));
  return read_all();
}

Result<void> SqliteBindingStore::ping() const {
  auto* self = const_cast<SqliteBindingStore*>(this);
  std::lock_guard lock(self->writing_);
  Statement probe(db_.get(), "SELECT count(*) FROM master_bindings");
  return probe.finish("probe");
}

}  // namespace

Result<std::unique_ptr<BindingStore>> BindingStore::open(const std::string& path,
                                                         const Clock& clock) {
  ASTER_TRY(Handle handle, open_database(path));
  auto store = std::make_unique<SqliteBindingStore>(std::move(handle), clock);
  ASTER_TRY(store->reload());
  return std::unique_ptr<BindingStore>(std::move(store));
}

std::string rfc3339(int64_t seconds) {
  const time_t when = static_cast<time_t>(seconds);
  tm parts{};
  ::gmtime_r(&when, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace aster::follower
