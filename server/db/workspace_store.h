#pragma once

#include <optional>
#include <string_view>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// What a workspace uses, or a change of it.
struct Usage {
  int64_t inodes = 0;
  int64_t bytes = 0;            ///< that extents cover
  int64_t pending_objects = 0;  ///< granted, not committed
  bool zero() const noexcept { return inodes == 0 && bytes == 0 && pending_objects == 0; }
};

/// Rows of workspaces. Failures are kept by the Txn.
class WorkspaceStore {
 public:
  explicit WorkspaceStore(Txn& txn) : txn_(txn) {}

  /// Returns its number; the root is set when it has one.
  uint64_t insert(std::string_view name, int64_t now);
  void set_root(uint64_t workspace, InodeNo root);
  std::optional<InodeNo> root(uint64_t workspace);
  std::optional<Usage> usage(uint64_t workspace);
  void add_usage(uint64_t workspace, const Usage& delta);
  /// Bytes that its files may cover; 0 = no limit.
  uint64_t quota(uint64_t workspace);
  void set_quota(uint64_t workspace, uint64_t bytes);
  /// Bytes of files that have no name and no holder any more: they still count as used until they
  /// are collected.
  int64_t bytes_of_removed(uint64_t workspace);

 private:
  Txn& txn_;
};

}  // namespace aster::db
