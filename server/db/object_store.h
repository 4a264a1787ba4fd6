#pragma once

#include <optional>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// pending: granted, not committed. live: size and checksums are known and never change. dead:
/// proved unreferenced, never to be named again, being removed from its follower; the row goes with
/// it. Only pending -> live, pending -> dead and live -> dead happen.
enum class ObjectState : uint8_t { pending, live, dead };

struct ObjectRow {
  uint64_t id = 0;  ///< this database's number
  ObjectId name;
  uint64_t workspace = 0;
  PolicyId policy;
  ObjectState state = ObjectState::pending;
  uint64_t size = 0;
  uint64_t refs = 0;  ///< extents that name it
};

/// Rows of objects and of their block checksums. Failures are kept by the Txn.
class ObjectStore {
 public:
  explicit ObjectStore(Txn& txn) : txn_(txn) {}

  std::optional<ObjectRow> find(const ObjectId& name);
  std::optional<ObjectRow> find(uint64_t id);
  /// Returns the new row's number.
  uint64_t insert_pending(const ObjectId& name, uint64_t workspace, PolicyId policy, int64_t now);
  void make_live(uint64_t id, uint64_t size, int64_t now);
  /// `since` becomes `now` when the last reference goes.
  void add_refs(uint64_t id, int64_t delta, int64_t now);
  void set_state(uint64_t id, ObjectState state, int64_t now);
  /// Removes the row and its checksums.
  void erase(uint64_t id);

  /// Unreferenced objects in `state` since `before` or earlier, oldest first. Parts and
  /// targets of compositions under way are not among them.
  std::vector<ObjectRow> idle(ObjectState state, int64_t before, size_t limit);

  /// Live objects with a number in (after, up_to], unchanged since `before`, of which extents name
  /// some, but less than half. Bytes that several extents name count several times.
  struct Window {
    uint64_t after = 0;
    uint64_t up_to = 0;
    int64_t before = 0;
    uint64_t size_max = 0;
  };
  std::vector<ObjectRow> mostly_unused(const Window& window);
  /// The highest number given so far.
  uint64_t last();

  /// The CRC32C of each block; replaces what is there.
  void put_checksums(uint64_t id, const std::vector<uint32_t>& crcs);
  /// Blocks [first, first + count), fewer where the object ends.
  std::vector<uint32_t> checksums(uint64_t id, uint64_t first, uint64_t count);

 private:
  Txn& txn_;
};

}  // namespace aster::db
