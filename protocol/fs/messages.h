#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

/// The client API between `mount.aster` (and `aster`) and the primary: what travels in
/// POST /api/v1/fs/batch. See aster-api(7). Shared by both sides; the only codec is fs/json.h.
///
/// All times are nanoseconds since the Unix epoch. Names are bytes: 1 to 255 of anything but '/'
/// and NUL, not "." or "..". Offsets and lengths are bytes.
namespace aster::fs {

inline constexpr size_t kNameMax = 255;
inline constexpr size_t kSymlinkMax = 4095;
inline constexpr size_t kXattrNameMax = 255;
inline constexpr size_t kXattrValueMax = 65536;
inline constexpr size_t kXattrListMax =
    65536;  ///< all names of an inode with their NULs (listxattr(2))
inline constexpr size_t kAclMax =
    4096;  ///< bytes of one access control list: what Linux reads of it
inline constexpr uint64_t kLinkMax = 65000;  ///< names of one inode, as ext4
inline constexpr uint64_t kFileSizeMax = INT64_MAX;
inline constexpr uint32_t kReserveMax = 1 << 20;     ///< inode numbers reserved at once
inline constexpr size_t kBatchOpsMax = 1024;         ///< operations in one batch
inline constexpr size_t kBatchBytesMax = 8 << 20;    ///< body of one batch, also of its answer
inline constexpr size_t kReadDirMax = 4096;          ///< entries in one readdir answer
inline constexpr size_t kManifestExtentsMax = 4096;  ///< extents in one manifest answer or commit

enum class FileType : uint8_t {
  regular,
  directory,
  symlink,
  fifo,
  socket,
  char_device,
  block_device
};

/// An inode as everybody sees it.
struct Attr {
  InodeNo ino;
  FileType type = FileType::regular;
  uint32_t mode = 0;  ///< permission bits, 07777
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t nlink = 0;      ///< 0 for a file that is open but has no name any more
  uint64_t size = 0;       ///< bytes; length of the target for symlinks
  uint64_t allocated = 0;  ///< bytes that extents cover, for st_blocks
  uint64_t rdev = 0;
  int64_t atime = 0;
  int64_t mtime = 0;
  int64_t ctime = 0;
  int64_t btime = 0;
  uint64_t data_version = 0;  ///< grows with every change of content
  uint64_t change = 0;        ///< grows with every change of anything here or below a directory
  std::string target;         ///< symlinks only
  /// Access control lists in the form of the attributes system.posix_acl_access and _default
  /// (fs/acl.h). Empty when they say no more than `mode`, or there is none to inherit.
  std::string acl;
  std::string default_acl;  ///< directories only
  bool own_policy = false;  ///< its data has a place of its own: grants of other files do not serve
  bool no_xattrs = false;   ///< certainly no extended attributes besides the lists
};

/// `object_offset`.. of `object` stands at `offset`.. of the file. No object: a hole, reads as
/// zeros.
struct Extent {
  uint64_t offset = 0;
  uint64_t length = 0;
  std::optional<ObjectId> object;
  uint64_t object_offset = 0;
};

/// How to read an object. `url` is for ranged GETs; absolute (presigned, straight to the follower)
/// or a path on the primary that starts with '/' (relayed). It is a capability: never log it.
struct ObjectAccess {
  ObjectId id;
  uint64_t size = 0;
  uint64_t first_block = 0;      ///< index of the block that crc32c[0] belongs to
  std::vector<uint32_t> crc32c;  ///< one per kBlockSize of the object, as far as the window needs
  std::string url;
  int64_t expires = 0;  ///< unix seconds; fetch the manifest again before that
};

// ---- operations -------------------------------------------------------------------------------
// Reads first, then mutations. Each is atomic and answered on its own.

/// -> Attr. not_found, not_directory, name_too_long.
struct Lookup {
  InodeNo parent;
  std::string name;
};
/// -> Attr. stale_handle when the inode is gone.
struct GetAttr {
  InodeNo ino;
};
/// -> DirPage. Order is by cookie, which a name keeps from its creation on, so a listing stays
/// stable while the directory changes. "." and ".." are not listed.
struct ReadDir {
  InodeNo ino;
  uint64_t after = 0;     ///< cookie of the last entry seen; 0 = from the start
  uint32_t limit = 1024;  ///< 1 to kReadDirMax
};
/// -> XattrValue. no_attribute.
struct GetXattr {
  InodeNo ino;
  std::string name;
};
/// -> XattrNames.
struct ListXattr {
  InodeNo ino;
};
/// -> Manifest of the window [offset, offset + length).
struct GetManifest {
  InodeNo ino;
  uint64_t offset = 0;
  uint64_t length = UINT64_MAX;
};
/// -> StatFsAnswer of the workspace of `ino`.
struct StatFs {
  InodeNo ino;
};
/// -> KeptPage: what the trash of the workspace keeps, the latest removal first.
struct ListTrash {
  uint64_t before = 0;            ///< only older entries than this one (KeptPage::next); 0 = all
  uint32_t limit = 1024;          ///< 1 to kReadDirMax entries looked at
  std::optional<InodeNo> parent;  ///< only what was in this directory, there or in the trash
  std::string under;              ///< only this path of the tree and what was below it
  bool tops = false;              ///< not what lay in a directory that is in the trash itself
};
/// -> KeptPage: earlier contents of a file, the latest first. Each has an inode number of its own
/// by which it is read (GetManifest, CopyRange::source) and never changes.
struct ListVersions {
  InodeNo ino;
};
/// -> UploadGrants: permission and place to upload objects of up to `size_hint` bytes that will
/// belong to `ino`, or to a file that will be made in the directory `ino`. Not a mutation of the
/// namespace; unused grants are collected by the primary.
struct Grant {
  InodeNo ino;
  uint64_t size_hint = 0;  ///< size of the file as far as known; chooses the policy
  uint32_t count = 1;      ///< 1 to 64
};
/// -> Empty. This session has `ino` open although its last name may be gone: keep it.
struct Hold {
  InodeNo ino;
};
/// -> Empty. Ends Hold (and Unlink::hold).
struct Release {
  InodeNo ino;
};
/// -> Empty. The inode was read: its atime becomes `atime` unless it is later already. Not a
/// mutation: nothing else moves and nobody is told.
struct Touch {
  InodeNo ino;
  int64_t atime = 0;
};
/// -> InodeRange: numbers that no inode has or will get, but by Create::ino. Unused ones are lost.
struct ReserveInodes {
  uint32_t count = 1;  ///< 1 to kReserveMax
};

/// -> Attr of the new (or, when not exclusive, the existing regular) inode. Makes any type. What
/// the directory hands down (group, access control lists) is added by the primary: fs/acl.h.
struct Create {
  InodeNo parent;
  std::string name;
  FileType type = FileType::regular;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  std::string target;           ///< symlinks
  bool exclusive = true;        ///< false: an existing entry is answered as Lookup would
  uint32_t umask = 0;           ///< taken off `mode` unless the directory has a default list
  std::optional<InodeNo> ino;   ///< its number, a reserved one that was not used yet
  std::optional<int64_t> time;  ///< of its making; default: the primary's now
};
/// -> Attr of the inode. exists, too_many_links, not_permitted for directories.
struct Link {
  InodeNo ino;
  InodeNo parent;
  std::string name;
};
/// -> Removed. is_directory for directories. With `hold` this session keeps the inode until
/// Release.
struct Unlink {
  InodeNo parent;
  std::string name;
  bool hold = false;
  bool skip_trash = false;      ///< not to be kept
  std::optional<InodeNo> only;  ///< not_found when the name leads to another inode
};
/// -> Removed. not_empty.
struct Rmdir {
  InodeNo parent;
  std::string name;
  bool skip_trash = false;
  std::optional<InodeNo> only;  ///< as above
};
/// -> Renamed. POSIX rename(2): replaces an existing target of the same kind; into itself is
/// bad_request; two names of one inode: nothing happens.
struct Rename {
  InodeNo parent;
  std::string name;
  InodeNo new_parent;
  std::string new_name;
  bool no_replace = false;
  bool exchange = false;
  bool hold = false;                ///< this session has the replaced inode open
  bool skip_trash = false;          ///< the replaced inode is not to be kept
  std::optional<InodeNo> only;      ///< not_found when the old name leads to another inode
  std::optional<InodeNo> replaces;  ///< exists when the new name leads to another inode
};
/// -> Attr. Fields that are absent stay. Every SetAttr sets ctime to the primary's now, unless
/// given. `mode` also changes the access control list. `size` cuts or extends (with a hole) and
/// counts as a change of content.
struct SetAttr {
  InodeNo ino;
  std::optional<uint32_t> mode;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::optional<uint64_t> size;
  std::optional<int64_t> atime;
  std::optional<int64_t> mtime;
  std::optional<int64_t> ctime;
};
/// -> Empty. exists / no_attribute by the flags; too_large, no_space over the limits above. The
/// names of access control lists set them, and the mode with them; access_denied for a default list
/// of what is no directory.
struct SetXattr {
  InodeNo ino;
  std::string name;
  std::string value;
  bool create_only = false;
  bool replace_only = false;
  bool clear_sgid = false;  ///< with an access control list: the caller may not keep S_ISGID
};
/// -> Empty. no_attribute, but for access control lists, which may always be taken away.
struct RemoveXattr {
  InodeNo ino;
  std::string name;
};
/// A freshly uploaded object. Its size and block checksums are recorded once, on first commit.
struct NewObject {
  ObjectId id;
  uint64_t size = 0;
  std::vector<uint32_t> crc32c;  ///< one per kBlockSize
};
/// -> Attr. Puts `extents` (sorted, not overlapping; an extent without object punches a hole) over
/// the file's content, last writer wins per byte. The file grows to the end of the last extent,
/// never shrinks. The objects must have been uploaded in full before. stale_version when `base` is
/// given and is not the current data_version. Durable at the primary when answered.
struct Commit {
  InodeNo ino;
  std::optional<uint64_t> base;
  std::vector<Extent> extents;
  std::vector<NewObject> objects;    ///< every object named by `extents` that is new
  std::optional<uint64_t> min_size;  ///< grow the file to at least this (a hole at the end)
  std::optional<int64_t> mtime;      ///< default: the primary's now
  bool sealed = false;  ///< the writer is done: parts may be composed into one object now
};
/// -> Attr of the target. Copies extents, not bytes; both inside one workspace.
struct CopyRange {
  InodeNo source;
  uint64_t source_offset = 0;
  InodeNo target;
  uint64_t target_offset = 0;
  uint64_t length = 0;
};
/// -> Attr. Gives what is in the trash its name back, where it was: directories above it that are
/// in the trash, too, come back first, and where a new directory has the name of a removed one that
/// is taken. With `parent` it gets `name` there. Nothing below it comes back by itself. not_found,
/// exists.
struct RestoreTrash {
  uint64_t id = 0;
  std::optional<InodeNo> parent;
  std::string name;  ///< empty: its old one
};
/// -> Counted. Of the trash of the workspace: `id`, or else everything that was removed at `until`
/// or earlier, a few thousand at a time.
struct EmptyTrash {
  uint64_t id = 0;
  int64_t until = 0;
};
/// -> Attr of the file: it has the content of this version again. What it had is kept, too.
struct RestoreVersion {
  uint64_t id = 0;
};

using Operation = std::variant<Lookup, GetAttr, ReadDir, GetXattr, ListXattr, GetManifest, StatFs,
                               ListTrash, ListVersions, Grant, Hold, Release, Touch, ReserveInodes,
                               Create, Link, Unlink, Rmdir, Rename, SetAttr, SetXattr, RemoveXattr,
                               Commit, CopyRange, RestoreTrash, EmptyTrash, RestoreVersion>;

/// True for the operations that change the namespace and therefore carry an operation id.
bool is_mutation(const Operation& operation) noexcept;
/// The wire name, e.g. "lookup", "set_attr".
std::string_view operation_name(const Operation& operation) noexcept;

// ---- answers ----------------------------------------------------------------------------------

struct Empty {};
struct DirEntry {
  std::string name;
  uint64_t cookie = 0;  ///< never 0
  Attr attr;
};
struct DirPage {
  std::vector<DirEntry> entries;
  bool end = false;  ///< nothing comes after the last entry
  InodeNo parent;    ///< ".." of this directory; the root's is itself
};
struct XattrValue {
  std::string value;
};
struct XattrNames {
  std::vector<std::string> names;
};
struct Manifest {
  Attr attr;                    ///< as of the same transaction
  uint64_t window_end = 0;      ///< extents are complete for [asked offset, window_end)
  std::vector<Extent> extents;  ///< sorted by offset; gaps are holes; cut to the window
  std::vector<ObjectAccess> objects;
};
struct StatFsAnswer {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t files = 0;
};
struct UploadGrant {
  ObjectId object;
  std::string url;      ///< for one PUT; like ObjectAccess::url
  int64_t expires = 0;  ///< unix seconds
};
struct UploadGrants {
  uint64_t part_size = 0;   ///< bytes per object for large files, a multiple of kBlockSize
  uint64_t max_object = 0;  ///< largest object this policy takes
  /// The grants are also good for data of any other file of this workspace, several in one object,
  /// while none of these files is larger than this; 0: only for the file that they were asked for.
  uint64_t shared_up_to = 0;
  std::vector<UploadGrant> grants;
};
/// Numbers from `first` on.
struct InodeRange {
  InodeNo first;
  uint64_t count = 0;
};
/// What Unlink and Rmdir removed.
struct Removed {
  InodeNo ino;
  uint64_t nlink = 0;
};
struct Renamed {
  Attr moved;
  std::optional<Removed> replaced;
};
/// Something in the trash, or an earlier content of a file.
struct Kept {
  uint64_t id = 0;
  InodeNo parent;    ///< the directory it was in; of versions: the file
  std::string name;  ///< empty for versions
  std::string
      path;  ///< where it would be restored to, "/a/b"; empty when that is gone, and for versions
  int64_t at = 0;  ///< when it was removed or replaced
  Attr attr;
};
struct KeptPage {
  std::vector<Kept> entries;
  uint64_t next = 0;  ///< ListTrash::before of the next page; 0: this is the last
};
/// What EmptyTrash took away.
struct Counted {
  uint64_t count = 0;
  bool more = false;  ///< ask again
};

using Answer = std::variant<Empty, Attr, DirPage, XattrValue, XattrNames, Manifest, StatFsAnswer,
                            UploadGrants, Removed, Renamed, InodeRange, KeptPage, Counted>;

/// One operation of a batch. Mutations carry `id`; a repeated id gets the stored answer.
struct BatchItem {
  Operation operation;
  std::optional<OperationId> id;
};
/// POST /api/v1/fs/batch. Operations run in order; one that fails does not stop the next, unless
/// `stop_on_error`: then the rest is answered with `interrupted`.
struct BatchRequest {
  SessionId session;
  bool stop_on_error = false;
  std::vector<BatchItem> items;
};
struct BatchAnswer {
  std::vector<Result<Answer>> results;  ///< as many as items, same order
};

// ---- session and events -----------------------------------------------------------------------

/// POST /api/v1/fs/session
struct SessionRequest {
  std::string client;     ///< host name and mount point, for lists of sessions
  std::string workspace;  ///< empty = the user's own tree
};
struct SessionAnswer {
  SessionId session;
  InodeNo root;
  std::string user;
  std::string cursor;         ///< where the event stream of this session starts
  uint32_t heartbeat_ms = 0;  ///< the stream is never silent for longer
  uint32_t entry_ttl_ms = 0;  ///< how long names and attributes may be trusted without a lease
  uint32_t lease_ms = 0;      ///< term of leases (fs/lease_messages.h); 0: the server has none
};

/// One change that others made. Sent as server-sent event "inval" on
/// GET /api/v1/fs/events?session=N&cursor=C; the session that caused it does not get it.
/// An entry without a name stands for all names of the directory.
struct Invalidation {
  struct Inode {
    InodeNo ino;
    bool content = false;   ///< else attributes (and xattrs) only
    bool unlinked = false;  ///< its last name is gone: whoever has it open must Hold it
  };
  struct Entry {
    InodeNo parent;
    std::string name;
  };
  std::string cursor;  ///< resume after this one
  std::vector<Inode> inodes;
  std::vector<Entry> entries;
};

}  // namespace aster::fs
