#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// One change of a namespace. Guids are the same on every drive that shares the file.
struct JournalRow {
  uint64_t position = 0;  ///< given by append()
  int64_t at = 0;         ///< unix ns
  uint64_t workspace = 0;
  SessionId session;  ///< who caused it
  std::string_view op;
  std::optional<Guid> inode;
  std::optional<Guid> parent;
  std::string name;
  std::optional<Guid> new_parent;
  std::string new_name;
  std::string invalidation;  ///< fs::Invalidation as JSON, without a cursor
};

/// The change journal and the stored answers of mutations. Failures are kept by the Txn.
class JournalStore {
 public:
  explicit JournalStore(Txn& txn) : txn_(txn) {}

  /// Random, made anew with each creation or restore of the database.
  Guid epoch();
  /// After a restore from a backup: positions of the lost history must not be taken for ours.
  void renew_epoch();

  /// Returns the position.
  uint64_t append(const JournalRow& row);
  /// 0 when the journal is empty.
  uint64_t newest();
  uint64_t oldest();
  struct Event {
    uint64_t position = 0;
    std::string invalidation;
  };
  /// What others than `session` changed in `workspace` in (after, upto], in order.
  std::vector<Event> events(uint64_t after, uint64_t upto, uint64_t workspace, SessionId session);
  /// Removes entries older than `before`, at most `limit`, never the newest; returns how many.
  int64_t prune(int64_t before, size_t limit);

  struct StoredAnswer {
    uint64_t workspace = 0;
    std::string op;
    std::string answer;
  };
  std::optional<StoredAnswer> answer(const OperationId& id);
  void put_answer(const OperationId& id, int64_t now, uint64_t workspace, std::string_view op,
                  std::string_view answer);
  int64_t prune_answers(int64_t before, size_t limit);

 private:
  Txn& txn_;
};

}  // namespace aster::db
