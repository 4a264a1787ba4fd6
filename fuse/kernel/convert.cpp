#include "fuse/kernel/convert.h"

#include "protocol/base/bytes.h"

namespace aster {

mode_t type_bits(fs::FileType type) {
  switch (type) {
    case fs::FileType::regular: return S_IFREG;
    case fs::FileType::directory: return S_IFDIR;
    case fs::FileType::symlink: return S_IFLNK;
    case fs::FileType::fifo: return S_IFIFO;
    case fs::FileType::socket: return S_IFSOCK;
    case fs::FileType::char_device: return S_IFCHR;
    case fs::FileType::block_device: return S_IFBLK;
  }
  return S_IFREG;
}

fs::FileType file_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return fs::FileType::directory;
    case S_IFLNK: return fs::FileType::symlink;
    case S_IFIFO: return fs::FileType::fifo;
    case S_IFSOCK: return fs::FileType::socket;
    case S_IFCHR: return fs::FileType::char_device;
    case S_IFBLK: return fs::FileType::block_device;
    default: return fs::FileType::regular;
  }
}

struct stat to_stat(const fs::Attr& attr) {
  struct stat st {};
  st.st_ino = attr.ino.value;
  st.st_mode = type_bits(attr.type) | (attr.mode & 07777);
  st.st_nlink = static_cast<nlink_t>(attr.nlink);
  st.st_uid = attr.uid;
  st.st_gid = attr.gid;
  st.st_rdev = attr.rdev;
  st.st_size = static_cast<off_t>(attr.size);
  // What stdio and cp take as the size of their buffers: each write(2) is a request.
  st.st_blksize = static_cast<blksize_t>(kBlockSize);
  st.st_blocks = static_cast<blkcnt_t>((attr.allocated + 511) / 512);
  st.st_atim = to_timespec(attr.atime);
  st.st_mtim = to_timespec(attr.mtime);
  st.st_ctim = to_timespec(attr.ctime);
  return st;
}

fuse_entry_param to_entry(const NodeIds& ids, const Entry& entry) {
  fuse_entry_param param{};
  param.ino = ids.node(entry.attr.ino);
  param.generation = 1;  // numbers are never used twice
  param.attr = to_stat(entry.attr);
  param.attr_timeout = seconds(entry.attr_ttl);
  param.entry_timeout = seconds(entry.entry_ttl);
  return param;
}

}  // namespace aster
