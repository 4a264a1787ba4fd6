#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

struct SessionRow {
  SessionId id;
  UserId user;
  uint64_t workspace = 0;
  std::string client;
  int64_t opened = 0;   ///< unix ns
  bool writes = false;  ///< has had write leases
};

/// Rows of sessions, of the inodes they hold, and of inodes without a name. Failures are kept by
/// the Txn.
class SessionStore {
 public:
  explicit SessionStore(Txn& txn) : txn_(txn) {}

  void insert(const SessionRow& row);
  bool exists(SessionId id);
  std::vector<SessionRow> all();
  void set_writes(SessionId id);
  /// Removes the session and everything it holds.
  void erase(SessionId id);

  /// Nothing happens when the session has ended: nobody would release it.
  void hold(InodeNo ino, SessionId session);
  void release(InodeNo ino, SessionId session);

  void add_orphan(InodeNo ino, int64_t now);
  void remove_orphan(InodeNo ino);
  /// Nameless since `before` or earlier and held by nobody, oldest first.
  std::vector<InodeNo> collectable_orphans(int64_t before, size_t limit);

 private:
  Txn& txn_;
};

}  // namespace aster::db
