#include "server/db/txn.h"

#include "server/db/connection.h"

namespace aster::db {

Query::Query(Query&& other) noexcept
    : txn_(other.txn_), statement_(std::exchange(other.statement_, nullptr)) {}

Query::~Query() {
  if (statement_ != nullptr) txn_->connection_.give_back(statement_);
}

bool Query::next() {
  if (statement_ == nullptr || txn_->failed()) return false;
  const int code = sqlite3_step(statement_->handle.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    const std::string_view sql = sqlite3_sql(statement_->handle.get());
    txn_->fail_with(txn_->connection_.error(code, sql.substr(0, 60)));
  }
  return false;
}

int64_t Query::int64(int column) const {
  return statement_ == nullptr ? 0 : sqlite3_column_int64(statement_->handle.get(), column);
}

std::string_view Query::view(int column) const {
  if (statement_ == nullptr) return {};
  const void* data = sqlite3_column_blob(statement_->handle.get(), column);
  const int size = sqlite3_column_bytes(statement_->handle.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

bool Query::is_null(int column) const {
  return statement_ == nullptr ||
         sqlite3_column_type(statement_->handle.get(), column) == SQLITE_NULL;
}

void Query::bind(int index, int64_t value) {
  if (statement_ != nullptr) sqlite3_bind_int64(statement_->handle.get(), index, value);
}

void Query::bind(int index, std::string_view text) {
  if (statement_ == nullptr) return;
  const char* data = text.data() == nullptr ? "" : text.data();
  sqlite3_bind_text64(statement_->handle.get(), index, data, text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
}

void Query::bind(int index, Blob blob) {
  if (statement_ == nullptr) return;
  const char* data = blob.bytes.data() == nullptr ? "" : blob.bytes.data();
  sqlite3_bind_blob64(statement_->handle.get(), index, data, blob.bytes.size(), SQLITE_TRANSIENT);
}

void Query::bind(int index, std::nullopt_t) {
  if (statement_ != nullptr) sqlite3_bind_null(statement_->handle.get(), index);
}

Query Txn::prepare(std::string_view sql) {
  if (failed()) return Query(*this, nullptr);
  Result<CachedStatement*> statement = connection_.prepare(sql);
  if (!statement.ok()) {
    fail_with(std::move(statement).error());
    return Query(*this, nullptr);
  }
  return Query(*this, *statement);
}

int64_t Txn::changes() const {
  return failed() ? 0 : sqlite3_changes64(connection_.handle());
}

int64_t Txn::last_insert_id() const {
  return sqlite3_last_insert_rowid(connection_.handle());
}

void Txn::fail_with(Error error) {
  if (!failure_) failure_ = std::move(error);
}

bool Txn::alive() const {
  return connection_.in_transaction();
}

// Savepoints of one name nest: RELEASE and ROLLBACK TO mean the innermost.
Txn::Mark Txn::begin_nested() {
  exec("SAVEPOINT part");
  return {after_commit_.size()};
}

void Txn::end_nested(Mark mark, bool keep) {
  if (keep) {
    exec("RELEASE part");
    if (!failure_) return;
  }
  after_commit_.resize(mark.actions);
  if (!alive()) {  // SQLite rolled everything back: no part of this transaction can be kept
    if (!failure_) fail_with(fail(Errc::io_error, "database: the transaction was lost"));
    return;
  }
  const std::optional<Error> cause = std::exchange(failure_, std::nullopt);
  exec("ROLLBACK TO part");
  exec("RELEASE part");
  if (failure_ || (keep && cause)) failure_ = failure_ ? failure_ : cause;
}

}  // namespace aster::db
