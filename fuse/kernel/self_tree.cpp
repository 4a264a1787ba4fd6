#include "fuse/kernel/self_tree.h"

#include <unistd.h>

namespace aster {

std::optional<fuse_ino_t> SelfTree::find(std::string_view name) const {
  if (name == ".") return kDirectory;
  for (size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].name == name) return node_of(i);
  }
  return std::nullopt;
}

const SelfFile* SelfTree::file(fuse_ino_t node) const {
  if (node <= kDirectory || node - kDirectory > files_.size()) return nullptr;
  return &files_[node - kDirectory - 1];
}

std::optional<struct stat> SelfTree::stat(fuse_ino_t node) const {
  if (node != kDirectory && file(node) == nullptr) return std::nullopt;
  struct stat st {};
  st.st_ino = node;
  st.st_mode = node == kDirectory ? S_IFDIR | 0555 : S_IFREG | 0444;
  st.st_nlink = node == kDirectory ? 2 : 1;
  st.st_uid = ::getuid();
  st.st_gid = ::getgid();
  st.st_blksize = 4096;
  st.st_atim = st.st_mtim = st.st_ctim = born_;
  return st;
}

}  // namespace aster
