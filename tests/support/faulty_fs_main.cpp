// A folder of this machine as a file system whose disk fails on demand, for tests.
//
// usage: faulty_fs FOLDER CONTROL MOUNTPOINT
//
// While the file CONTROL holds words, what they name fails with EIO: "read", "write" (also creating
// and removing), "sync". It runs until it is unmounted.
#include <dirent.h>
#include <fcntl.h>
#include <fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

namespace {

std::string folder;   // set by main, constant afterwards
std::string control;  // likewise

std::string real(const char* path) {
  return folder + path;
}

bool fails(const char* what) {
  std::ifstream in(control);
  for (std::string word; in >> word;) {
    if (word == what) return true;
  }
  return false;
}

int outcome(int result) {
  return result == -1 ? -errno : result;
}

// What is open may have no name any more: then there is no path.
int get_attributes(const char* path, struct stat* attributes, fuse_file_info* file) {
  if (file != nullptr) return outcome(::fstat(static_cast<int>(file->fh), attributes));
  return outcome(::lstat(real(path).c_str(), attributes));
}

int open_directory(const char* path, fuse_file_info* opened) {
  DIR* const directory = ::opendir(real(path).c_str());
  opened->fh = reinterpret_cast<uint64_t>(directory);
  return directory == nullptr ? -errno : 0;
}

// All of it at once; `path` may be missing.
int list(const char*, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info* opened,
         fuse_readdir_flags) {
  auto* const directory = reinterpret_cast<DIR*>(opened->fh);
  ::rewinddir(directory);
  while (const dirent* entry = ::readdir(directory)) {
    fill(buffer, entry->d_name, nullptr, 0, fuse_fill_dir_flags(0));
  }
  return 0;
}

int close_directory(const char*, fuse_file_info* opened) {
  return outcome(::closedir(reinterpret_cast<DIR*>(opened->fh)));
}

int make_directory(const char* path, mode_t mode) {
  return fails("write") ? -EIO : outcome(::mkdir(real(path).c_str(), mode));
}

int remove_file(const char* path) {
  return fails("write") ? -EIO : outcome(::unlink(real(path).c_str()));
}

int remove_directory(const char* path) {
  return fails("write") ? -EIO : outcome(::rmdir(real(path).c_str()));
}

int rename_entry(const char* from, const char* to, unsigned flags) {
  if (flags != 0) return -EINVAL;
  return fails("write") ? -EIO : outcome(::rename(real(from).c_str(), real(to).c_str()));
}

int keep(fuse_file_info* file, int fd) {
  if (fd == -1) return -errno;
  file->fh = static_cast<uint64_t>(fd);
  return 0;
}

int open_file(const char* path, fuse_file_info* file) {
  if (fails("write") && (file->flags & O_ACCMODE) != O_RDONLY) return -EIO;
  return keep(file, ::open(real(path).c_str(), (file->flags | O_CLOEXEC) & ~O_DIRECT));
}

int create_file(const char* path, mode_t mode, fuse_file_info* file) {
  if (fails("write")) return -EIO;
  return keep(file,
              ::open(real(path).c_str(), (file->flags | O_CREAT | O_CLOEXEC) & ~O_DIRECT, mode));
}

int read_file(const char*, char* buffer, size_t size, off_t offset, fuse_file_info* file) {
  if (fails("read")) return -EIO;
  return outcome(static_cast<int>(::pread(static_cast<int>(file->fh), buffer, size, offset)));
}

int write_file(const char*, const char* buffer, size_t size, off_t offset, fuse_file_info* file) {
  if (fails("write")) return -EIO;
  return outcome(static_cast<int>(::pwrite(static_cast<int>(file->fh), buffer, size, offset)));
}

int sync_file(const char*, int, fuse_file_info* file) {
  return fails("sync") ? -EIO : outcome(::fsync(static_cast<int>(file->fh)));
}

int cut_file(const char* path, off_t size, fuse_file_info* file) {
  if (fails("write")) return -EIO;
  if (file != nullptr) return outcome(::ftruncate(static_cast<int>(file->fh), size));
  return outcome(::truncate(real(path).c_str(), size));
}

int reserve(const char*, int mode, off_t offset, off_t length, fuse_file_info* file) {
  if (fails("write")) return -EIO;
  return outcome(::fallocate(static_cast<int>(file->fh), mode, offset, length));
}

int close_file(const char*, fuse_file_info* file) {
  return outcome(::close(static_cast<int>(file->fh)));
}

int space(const char* path, struct statvfs* answer) {
  return outcome(::statvfs(real(path).c_str(), answer));
}

int set_times(const char* path, const timespec times[2], fuse_file_info* file) {
  if (file != nullptr) return outcome(::futimens(static_cast<int>(file->fh), times));
  return outcome(::utimensat(AT_FDCWD, real(path).c_str(), times, AT_SYMLINK_NOFOLLOW));
}

int set_mode(const char* path, mode_t mode, fuse_file_info* file) {
  if (file != nullptr) return outcome(::fchmod(static_cast<int>(file->fh), mode));
  return outcome(::chmod(real(path).c_str(), mode));
}

// No caches in the kernel: every read asks the disk.
void* begin(fuse_conn_info*, fuse_config* how) {
  how->direct_io = 1;
  how->attr_timeout = how->entry_timeout = how->negative_timeout = 0;
  how->hard_remove = how->nullpath_ok = 1;
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: faulty_fs FOLDER CONTROL MOUNTPOINT\n");
    return 2;
  }
  folder = argv[1];
  control = argv[2];
  fuse_operations operations{};
  operations.init = begin;
  operations.getattr = get_attributes;
  operations.opendir = open_directory;
  operations.readdir = list;
  operations.releasedir = close_directory;
  operations.mkdir = make_directory;
  operations.unlink = remove_file;
  operations.rmdir = remove_directory;
  operations.rename = rename_entry;
  operations.open = open_file;
  operations.create = create_file;
  operations.read = read_file;
  operations.write = write_file;
  operations.fsync = sync_file;
  operations.truncate = cut_file;
  operations.fallocate = reserve;
  operations.release = close_file;
  operations.statfs = space;
  operations.utimens = set_times;
  operations.chmod = set_mode;
  char* arguments[] = {argv[0], argv[3], const_cast<char*>("-f"), nullptr};
  return fuse_main(3, arguments, &operations, nullptr);
}
