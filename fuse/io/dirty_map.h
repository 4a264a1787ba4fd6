#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "fuse/io/interval_map.h"
#include "fuse/io/upload_object.h"
#include "fuse/io/upload_plan.h"
#include "fuse/io/write_arena.h"
#include "protocol/fs/messages.h"

namespace aster {

/// A commit and the objects that it names, new or not.
struct PlannedCommit {
  fs::Commit commit;
  std::vector<std::shared_ptr<const fs::ObjectAccess>> objects;
};

/// The writes of one file that the primary does not know yet, in two layers: `fresh` lies over
/// `pending`. Writes go to fresh. Sealing moves bytes into an object and down to pending, where
/// they stay readable until a commit names the object. So a write during an upload or a commit
/// never changes what is being sent, and a commit never loses what was sealed for it. Used under
/// the file's lock.
class DirtyMap {
 public:
  DirtyMap(std::shared_ptr<DirtyBudget> budget, BlockPool& pool)
      : arena_(std::move(budget), pool) {}

  /// data.size() was acquired from the budget before and goes back when its memory is not needed.
  void write(uint64_t offset, ByteView data);
  /// Drops everything from `size` on, also from objects under way: it never comes back.
  void cut(uint64_t size);

  bool empty() const { return fresh_.empty() && pending_.empty(); }
  /// End of the last dirty byte; 0 when there is none.
  uint64_t end() const { return std::max(fresh_.end(), pending_.end()); }
  uint64_t bytes() const { return fresh_.bytes() + pending_.bytes(); }
  const IntervalMap<DirtyPiece>& fresh() const { return fresh_; }
  const IntervalMap<PendingPiece>& pending() const { return pending_; }

  /// Seals everything fresh.
  std::vector<UploadObjectPtr> seal_all(uint64_t part_size);
  /// Seals the parts that lie wholly within fresh and touch [begin, end).
  std::vector<UploadObjectPtr> seal_full_parts(uint64_t begin, uint64_t end, uint64_t part_size);
  /// Seals what makes the largest object; nullptr when nothing is fresh.
  UploadObjectPtr seal_largest(uint64_t part_size);

  /// The object arrived: its bytes leave memory unless they are kept until the commit.
  void uploaded(const UploadObjectPtr& object, std::shared_ptr<const fs::ObjectAccess> access);
  /// It did not: whatever was not overwritten since is fresh again.
  void failed(const UploadObjectPtr& object);
  /// Lets go of the memory of every uploaded object.
  void release_uploaded();
  /// Objects that are sealed and not yet uploaded.
  std::vector<UploadObjectPtr> under_way() const;

  /// What to send to the primary: one commit, or several when a limit of the protocol is reached,
  /// of all uploaded objects. Only ino, extents and objects are filled in.
  std::vector<PlannedCommit> commits(InodeNo ino) const;
  /// The primary took it.
  void committed(const fs::Commit& commit);

 private:
  UploadObjectPtr seal(const ObjectPlan& plan, bool keep_until_commit);
  std::vector<FileRange> fresh_ranges() const;

  WriteArena arena_;
  IntervalMap<DirtyPiece> fresh_;
  IntervalMap<PendingPiece> pending_;
};

}  // namespace aster
