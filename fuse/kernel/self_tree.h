#pragma once

#include <fuse_lowlevel.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuse/vfs/types.h"
#include "protocol/base/result.h"
#include "protocol/base/task.h"

namespace aster {

/// A file of `/.aster`: what it says is made at each open(2), so a reader sees one moment.
struct SelfFile {
  std::string name;
  std::function<Task<Result<std::string>>(Caller)> text;
};

/// `/.aster`: the hidden directory in which the mount explains itself. Found by name, never listed
/// in the root, read-only, the same for everybody, known to this mount alone. Its node ids have the
/// highest bit set, which inode numbers never have. Constant once the session runs.
class SelfTree {
 public:
  static constexpr std::string_view kName = ".aster";
  static constexpr fuse_ino_t kDirectory = fuse_ino_t{1} << 63;

  void add(SelfFile file) { files_.push_back(std::move(file)); }

  static bool owns(fuse_ino_t node) { return (node & kDirectory) != 0; }
  /// True for the place of the directory itself.
  static bool is_name(fuse_ino_t parent, std::string_view name) {
    return parent == FUSE_ROOT_ID && name == kName;
  }

  /// The node of `name` in the directory.
  std::optional<fuse_ino_t> find(std::string_view name) const;
  /// Null when `node` is no file here.
  const SelfFile* file(fuse_ino_t node) const;
  const std::vector<SelfFile>& files() const { return files_; }
  static fuse_ino_t node_of(size_t index) { return kDirectory + 1 + index; }
  /// nullopt for a node that is not here. Sizes are 0, as in /proc: nobody knows them before.
  std::optional<struct stat> stat(fuse_ino_t node) const;

 private:
  std::vector<SelfFile> files_;
  const timespec born_ = [] {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now;
  }();
};

}  // namespace aster
