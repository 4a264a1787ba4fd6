#pragma once

#include <optional>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// An intent to join `parts` (object numbers, in order) into the object number `target`.
struct ComposeJob {
  uint64_t id = 0;
  InodeNo ino;
  uint64_t target = 0;
  int64_t started = 0;  ///< unix ns
  std::vector<uint64_t> parts;
};

/// Rows of files that may be worth composing and of compositions under way. Failures are kept by
/// the Txn.
class ComposeStore {
 public:
  explicit ComposeStore(Txn& txn) : txn_(txn) {}

  /// Looks at the file at `due`, whatever was said before.
  void enqueue(InodeNo ino, int64_t due);
  void dequeue(InodeNo ino);
  std::vector<InodeNo> due(int64_t now, size_t limit);
  /// The earliest due time.
  std::optional<int64_t> next_due();

  /// Gives the job its id.
  void insert(ComposeJob& job);
  bool has_job(InodeNo ino);
  std::optional<ComposeJob> find(uint64_t id);
  std::vector<uint64_t> jobs();
  void erase(uint64_t id);

 private:
  Txn& txn_;
};

}  // namespace aster::db
