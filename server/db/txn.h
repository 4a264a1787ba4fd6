#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace aster::db {

class Connection;
class Txn;
struct CachedStatement;

/// Bytes that SQL stores as a BLOB (a plain string_view is stored as TEXT). Borrowed.
struct Blob {
  std::string_view bytes;
};

/// One execution of a prepared statement. Rows are read by next(); the statement goes back to its
/// connection's cache when this object goes. Values are only valid until the next call of next().
/// A failure is kept by the transaction (see Txn): next() then says that there are no more rows.
class Query {
 public:
  Query(Query&& other) noexcept;
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  /// Moves to the first or next row; false at the end or after a failure.
  bool next();

  int64_t int64(int column) const;
  uint64_t uint64(int column) const { return static_cast<uint64_t>(int64(column)); }
  /// Copies of TEXT or BLOB columns; empty for NULL.
  std::string text(int column) const { return std::string(view(column)); }
  /// The same without a copy, until the next next().
  std::string_view view(int column) const;
  bool is_null(int column) const;
  /// All zeros when the column does not hold 16 bytes.
  template <class Id>
  Id random_id(int column) const {
    Id id;
    const std::string_view bytes = view(column);
    if (bytes.size() == id.bytes.size()) bytes.copy(reinterpret_cast<char*>(id.bytes.data()), 16);
    return id;
  }

 private:
  friend class Txn;
  Query(Txn& txn, CachedStatement* statement) : txn_(&txn), statement_(statement) {}

  void bind(int index, int64_t value);
  void bind(int index, uint64_t value) { bind(index, static_cast<int64_t>(value)); }
  void bind(int index, std::string_view text);
  void bind(int index, const char* text) { bind(index, std::string_view(text)); }
  void bind(int index, const std::string& text) { bind(index, std::string_view(text)); }
  void bind(int index, Blob blob);
  void bind(int index, std::nullopt_t);
  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) void bind(int index, T value) {
    bind(index, static_cast<int64_t>(value));
  }
  template <class Tag>
  void bind(int index, NumberId<Tag> id) {
    bind(index, static_cast<int64_t>(id.value));
  }
  template <class Tag>
  void bind(int index, const RandomId<Tag>& id) {
    bind(index, Blob{as_text(id.bytes)});
  }
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    if (value) {
      bind(index, *value);
    } else {
      bind(index, std::nullopt);
    }
  }

  Txn* txn_;
  CachedStatement* statement_;  // null after a failure to prepare
};

/// One transaction: what store classes of this folder run their SQL on. Lives on one thread, during
/// one closure of Database::read or ::write.
///
/// Failures of SQL are sticky: the first one is kept, every later statement does nothing and has no
/// rows, and the closure's outcome is replaced by that failure. So store code does not check each
/// statement; loops over rows end by themselves. A broken UNIQUE or PRIMARY KEY is Errc::conflict,
/// a full disk no_space, a busy database unavailable, damage corrupt, anything else io_error.
class Txn {
 public:
  explicit Txn(Connection& connection) : connection_(connection) {}
  Txn(const Txn&) = delete;
  Txn& operator=(const Txn&) = delete;

  /// Prepares (or takes from the cache) and binds ?1, ?2 ... in order; values are copied. `sql`
  /// must outlive the database: use literals.
  template <class... Args>
  Query query(std::string_view sql, const Args&... args) {
    Query q = prepare(sql);
    int index = 0;
    (q.bind(++index, args), ...);
    return q;
  }
  /// Runs a statement that has no rows; returns how many rows it changed.
  template <class... Args>
  int64_t exec(std::string_view sql, const Args&... args) {
    Query q = query(sql, args...);
    q.next();
    return changes();
  }
  /// The rowid of the last INSERT.
  int64_t last_insert_id() const;

  bool failed() const noexcept { return failure_.has_value(); }
  /// Whatever the closure may answer: the kept failure wins.
  const std::optional<Error>& failure() const noexcept { return failure_; }
  /// Makes the transaction fail; the first call wins.
  void fail_with(Error error);

  /// Runs `body` atomically inside this transaction: when it fails, what it changed is undone and
  /// the rest of the transaction goes on. A failure of SQL inside is the result, too, unless it
  /// ended the whole transaction.
  template <class F>
  std::invoke_result_t<F&> nested(F body) {
    if (failure_) return *failure_;
    const Mark mark = begin_nested();
    std::invoke_result_t<F&> result = body();
    if (failure_) result = *failure_;
    end_nested(mark, result.ok());
    if (failure_) return *failure_;
    return result;
  }

  /// Runs after the COMMIT, on the writer's thread, in the order of the transactions, before their
  /// tasks go on. Must be quick and must not throw. Dropped with a nested part that is undone.
  void on_commit(std::function<void()> action) { after_commit_.push_back(std::move(action)); }

 private:
  friend class Query;
  friend class Database;
  struct Mark {
    size_t actions;
  };

  Query prepare(std::string_view sql);
  int64_t changes() const;
  Mark begin_nested();
  void end_nested(Mark mark, bool keep);
  /// False once SQLite itself has ended the transaction (disk full, I/O error).
  bool alive() const;
  std::vector<std::function<void()>> take_actions() { return std::exchange(after_commit_, {}); }

  Connection& connection_;
  std::optional<Error> failure_;
  std::vector<std::function<void()>> after_commit_;
};

}  // namespace aster::db
