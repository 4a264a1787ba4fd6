#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fuse/io/file_content.h"
#include "fuse/vfs/filesystem.h"
#include "protocol/base/guarded.h"

namespace aster {

/// What `/.aster/trash` and `/.aster/versions` show, without the kernel. Nothing here can be
/// changed. Thread-safe.
///
/// trash/ID/NAME: what was deleted, with what was deleted in it; entries that lay in a deleted
/// directory are found there only. versions/PATH/ID: the earlier contents of the file PATH.
class KeptTree {
 public:
  enum class Kind : uint8_t {
    trash = 1,  ///< the directory itself
    entry,      ///< of the entry `value`; has just that under its name
    thing,      ///< the deleted inode `value`
    versions,   ///< of the inode `value`, a directory or a file; a directory in any case
    version     ///< the inode `value` that has an earlier content
  };
  struct Node {
    Kind kind = Kind::trash;
    uint64_t value = 0;
  };
  struct Item {
    std::string name;
    Node node;
    fs::Attr attr;
  };
  using Items = std::shared_ptr<const std::vector<Item>>;
  struct OpenFile {
    std::shared_ptr<FileContent> content;
    std::shared_ptr<ReadAhead> ahead;
  };

  /// Both must outlive it.
  KeptTree(Filesystem& filesystem, FileIo& io);

  static Node trash() { return {Kind::trash, 0}; }
  Node versions() const { return {Kind::versions, filesystem_.root().value}; }

  Task<Result<fs::Attr>> getattr(Node node, Caller who);
  Task<Result<Item>> lookup(Node parent, std::string name, Caller who);
  /// Without "." and "..".
  Task<Result<Items>> list(Node directory, Caller who);
  Task<Result<std::shared_ptr<OpenFile>>> open(Node node, Caller who);

 private:
  struct Listing {
    uint64_t directory = 0;
    SteadyTime until{};
    Items items;
  };
  using Entries = std::vector<fs::Kept>;

  /// Only its owner, the user of the mount, may look: what was deleted in a private directory is
  /// still private.
  fs::Attr folder() const;
  Item folder_item(std::string name, Node node) const { return {std::move(name), node, folder()}; }
  Task<Result<fs::Attr>> attr_of(InodeNo ino, Caller who);
  Task<Result<fs::Kept>> entry(uint64_t id, Caller who);
  Task<Result<Entries>> entries(fs::ListTrash query, Caller who);
  Task<Result<Items>> list_things(InodeNo directory, Caller who);
  Task<Result<Items>> list_folder(InodeNo directory, Caller who);
  Task<Result<Items>> list_versions(InodeNo file, Caller who);
  template <class A>
  Task<Result<A>> ask(fs::Operation operation, Caller who);

  Filesystem& filesystem_;
  FileIo& io_;
  const int64_t born_;
  Guarded<Listing> last_;  ///< cp -r looks up all it has listed
};

}  // namespace aster
