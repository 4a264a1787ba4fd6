#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/content/path.h"
#include "server/primary/namespace_service.h"

namespace aster::content {

/// What a path leads to.
struct Spot {
  Path path;
  /// The directories that lead there, the tree's root first; only as far as they exist.
  std::vector<fs::Attr> above;
  bool has_parent = false;       ///< the last of `above` is the directory of the last name
  std::optional<fs::Attr> node;  ///< nullopt: nothing has this name

  /// The root of the tree, or the folder that a limited caller starts at: it has its place.
  bool is_fixed = false;

  bool is_root() const { return path.empty(); }
  bool is_directory() const { return node && node->type == fs::FileType::directory; }
  bool is_file() const { return node && node->type == fs::FileType::regular; }
  const fs::Attr& parent() const { return above.back(); }
  const std::string& name() const { return path.back(); }
};

struct Failure {
  Path path;
  Error error;
};
using Failures = std::vector<Failure>;

/// One tree by paths, for callers without a mount. Symbolic links are not followed. Each step is an
/// operation of the namespace; removing and copying a directory are many, so others may see them
/// half done. Cheap to make; its tasks must not outlive it.
class Tree {
 public:
  Tree(primary::NamespaceService& namespaces, primary::Caller caller, InodeNo root)
      : namespaces_(namespaces), caller_(caller), root_(root) {}

  const primary::Caller& caller() const { return caller_; }

  /// False for what is outside of the folders that the caller is limited to.
  bool admits(const Path& path) const;
  /// What is missing is an answer, not an error; stale_handle when the root itself is gone,
  /// forbidden for what is not admitted.
  Task<Result<Spot>> find(Path path);
  /// At most `limit` entries after a cookie.
  Task<Result<fs::DirPage>> list(InodeNo directory, uint64_t after, uint32_t limit);

  /// `exists`; the spot has a parent. Owned as its directory is.
  Task<Result<fs::Attr>> make_directory(Spot at);
  /// With everything below. What could not be removed, without the directories that stay because of
  /// it; empty when all is gone.
  Task<Failures> remove(Spot at);
  /// Extents, not bytes, with the users' extended attributes. Onto an existing file: its content;
  /// otherwise nothing may be there. A directory with all it has if `deep`, else empty. What could
  /// not be copied.
  Task<Failures> copy(Spot from, Spot to, bool deep);
  /// Replaces a file, or an empty directory by a directory; anything else there is an error.
  Task<Result<fs::Attr>> move(Spot from, Spot to);

  /// The extended attributes whose names start with `prefix`, for each inode, in order.
  struct Attribute {
    std::string name;
    std::string value;
  };
  Task<Result<std::vector<std::vector<Attribute>>>> attributes(std::vector<InodeNo> inodes,
                                                               std::string prefix);

 private:
  struct Item;
  Task<Result<void>> remove_members(InodeNo directory, Path path, Failures& failures);
  Task<Result<void>> remove_entries(InodeNo directory, const Path& path,
                                    std::vector<fs::DirEntry> entries, Failures& failures);
  Task<Result<void>> remove_directory(InodeNo parent, Path path, InodeNo directory,
                                      Failures& failures);
  Task<Result<void>> copy_members(InodeNo from, fs::Attr to, Path path, Failures& failures);
  Task<Result<void>> copy_items(fs::Attr to, std::vector<Item> items, Failures& failures);
  Task<Result<void>> copy_attributes(const std::vector<Item>& items);
  Task<Result<void>> overwrite(fs::Attr from, fs::Attr to);

  primary::NamespaceService& namespaces_;
  const primary::Caller caller_;
  const InodeNo root_;
};

}  // namespace aster::content
