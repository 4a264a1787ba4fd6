#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_handle.h"

namespace aster::storage {

using SharedFd = std::shared_ptr<const UniqueFd>;

/// The folder of a path and its last segment.
struct ParentDir {
  SharedFd dir;
  std::string leaf;
};

/// A temporary file in the tree's own temporary folder.
struct TempFile {
  UniqueFd fd;
  std::string name;
};

/// Files below one folder. Every path is resolved by the kernel beneath it: no "..", no symbolic
/// link, whatever somebody may have put there. All calls block. Thread-safe.
class LocalTree {
 public:
  /// Opens `base` below `root` ("." = the root itself). With `create` both are made when they are
  /// missing; else a tree that was there before is demanded: unavailable when it is not.
  static Result<LocalTree> open(const std::string& root, const std::string& base, bool create);

  /// Whether the path it was opened by still leads here: not after its folder was moved, removed,
  /// or covered by another mount.
  bool is_in_place() const;

  /// For reading; not_found for anything but a regular file.
  Result<UniqueFd> open_file(const std::string& path) const;
  /// open_file() when the kernel has all of the path in memory, so that it cannot block; else none,
  /// whatever the reason.
  UniqueFd open_cached(const std::string& path) const noexcept;
  Result<uint64_t> file_size(const std::string& path) const;
  /// With `create`, missing folders are made, durably.
  Result<ParentDir> parent_of(const std::string& path, bool create) const;
  /// not_found for anything but a regular file.
  static Result<void> unlink_file(const ParentDir& where);

  /// Removes all temporary files: those that a dead process left.
  void remove_leftovers() const noexcept;
  Result<TempFile> make_temp() const;
  void remove_temp(const std::string& name) const noexcept;
  /// Moves a temporary file to its place, over what is there.
  Result<void> publish(const std::string& temp_name, const ParentDir& where) const;

  /// Sorted paths of all regular files below `prefix`; empty when it is no folder.
  Result<std::vector<std::string>> list(const std::string& prefix) const;

  int fd() const noexcept { return base_->get(); }

 private:
  LocalTree(std::string root, std::string path, SharedFd base, SharedFd temp)
      : root_(std::move(root)),
        path_(std::move(path)),
        base_(std::move(base)),
        temp_(std::move(temp)) {}
  Result<UniqueFd> make_folders(const std::string& path) const;

  std::string root_;
  std::string path_;  ///< of the base, below root_

  SharedFd base_;
  SharedFd temp_;
};

}  // namespace aster::storage
