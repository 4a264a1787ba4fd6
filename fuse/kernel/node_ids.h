#pragma once

#include <fuse_lowlevel.h>

#include "protocol/base/ids.h"

namespace aster {

/// Inode numbers to the kernel's node ids and back. They are the same, but the kernel calls the
/// root 1: the root's number and 1 change places, so that an inode 1 below the root has an id too.
/// stat(2) shows the inode number in any case.
class NodeIds {
 public:
  explicit NodeIds(InodeNo root) : root_(root) {}
  fuse_ino_t node(InodeNo ino) const { return swapped(ino.value); }
  InodeNo inode(fuse_ino_t node) const { return InodeNo(swapped(node)); }

 private:
  uint64_t swapped(uint64_t id) const {
    if (id == root_.value) return FUSE_ROOT_ID;
    return id == FUSE_ROOT_ID ? root_.value : id;
  }
  InodeNo root_;
};

}  // namespace aster
