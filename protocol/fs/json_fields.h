#pragma once

#include "protocol/fs/lease_messages.h"
#include "protocol/fs/lock_messages.h"
#include "protocol/fs/messages.h"

/// The wire fields of every message, once for writing and reading. Inside protocol/fs only.
/// `v(name, field)` is required on the wire; `v.defaulted(name, field)` is left out when it has its
/// default value.
namespace aster::fs {

template <class V, class T>
void fields(V& v, T& x);

#define ASTER_FIELDS(type) \
  template <class V>       \
  void fields(V& v, type& x)

ASTER_FIELDS(Attr) {
  v("ino", x.ino);
  v("type", x.type);
  v("mode", x.mode);
  v("uid", x.uid);
  v("gid", x.gid);
  v("nlink", x.nlink);
  v("size", x.size);
  v.defaulted("alloc", x.allocated);
  v.defaulted("rdev", x.rdev);
  v("atime", x.atime);
  v("mtime", x.mtime);
  v("ctime", x.ctime);
  v.defaulted("btime", x.btime);
  v.defaulted("data_version", x.data_version);
  v.defaulted("change", x.change);
  v.defaulted("target", x.target);
  v.defaulted("acl", x.acl);
  v.defaulted("default_acl", x.default_acl);
  v.defaulted("own_policy", x.own_policy);
  v.defaulted("no_xattrs", x.no_xattrs);
}
ASTER_FIELDS(Extent) {
  v("offset", x.offset);
  v("length", x.length);
  v.defaulted("object", x.object);
  v.defaulted("object_offset", x.object_offset);
}
ASTER_FIELDS(ObjectAccess) {
  v("id", x.id);
  v("size", x.size);
  v.defaulted("first_block", x.first_block);
  v("crc32c", x.crc32c);
  v("url", x.url);
  v("expires", x.expires);
}
ASTER_FIELDS(Lookup) {
  v("parent", x.parent);
  v("name", x.name);
}
ASTER_FIELDS(GetAttr) {
  v("ino", x.ino);
}
ASTER_FIELDS(ReadDir) {
  v("ino", x.ino);
  v.defaulted("after", x.after);
  v("limit", x.limit);
}
ASTER_FIELDS(GetXattr) {
  v("ino", x.ino);
  v("name", x.name);
}
ASTER_FIELDS(ListXattr) {
  v("ino", x.ino);
}
ASTER_FIELDS(GetManifest) {
  v("ino", x.ino);
  v("offset", x.offset);
  v("length", x.length);
}
ASTER_FIELDS(StatFs) {
  v("ino", x.ino);
}
ASTER_FIELDS(ListTrash) {
  v.defaulted("before", x.before);
  v("limit", x.limit);
  v.defaulted("parent", x.parent);
  v.defaulted("under", x.under);
  v.defaulted("tops", x.tops);
}
ASTER_FIELDS(ListVersions) {
  v("ino", x.ino);
}
ASTER_FIELDS(Grant) {
  v("ino", x.ino);
  v("size_hint", x.size_hint);
  v("count", x.count);
}
ASTER_FIELDS(Hold) {
  v("ino", x.ino);
}
ASTER_FIELDS(Release) {
  v("ino", x.ino);
}
ASTER_FIELDS(Touch) {
  v("ino", x.ino);
  v("atime", x.atime);
}
ASTER_FIELDS(ReserveInodes) {
  v("count", x.count);
}
ASTER_FIELDS(Create) {
  v("parent", x.parent);
  v("name", x.name);
  v("type", x.type);
  v("mode", x.mode);
  v("uid", x.uid);
  v("gid", x.gid);
  v.defaulted("rdev", x.rdev);
  v.defaulted("target", x.target);
  v("exclusive", x.exclusive);
  v.defaulted("umask", x.umask);
  v.defaulted("ino", x.ino);
  v.defaulted("time", x.time);
}
ASTER_FIELDS(Link) {
  v("ino", x.ino);
  v("parent", x.parent);
  v("name", x.name);
}
ASTER_FIELDS(Unlink) {
  v("parent", x.parent);
  v("name", x.name);
  v.defaulted("hold", x.hold);
  v.defaulted("skip_trash", x.skip_trash);
  v.defaulted("only", x.only);
}
ASTER_FIELDS(Rmdir) {
  v("parent", x.parent);
  v("name", x.name);
  v.defaulted("skip_trash", x.skip_trash);
  v.defaulted("only", x.only);
}
ASTER_FIELDS(Rename) {
  v("parent", x.parent);
  v("name", x.name);
  v("new_parent", x.new_parent);
  v("new_name", x.new_name);
  v.defaulted("no_replace", x.no_replace);
  v.defaulted("exchange", x.exchange);
  v.defaulted("hold", x.hold);
  v.defaulted("skip_trash", x.skip_trash);
  v.defaulted("only", x.only);
  v.defaulted("replaces", x.replaces);
}
ASTER_FIELDS(SetAttr) {
  v("ino", x.ino);
  v.defaulted("mode", x.mode);
  v.defaulted("uid", x.uid);
  v.defaulted("gid", x.gid);
  v.defaulted("size", x.size);
  v.defaulted("atime", x.atime);
  v.defaulted("mtime", x.mtime);
  v.defaulted("ctime", x.ctime);
}
ASTER_FIELDS(SetXattr) {
  v("ino", x.ino);
  v("name", x.name);
  v("value", x.value);
  v.defaulted("create_only", x.create_only);
  v.defaulted("replace_only", x.replace_only);
  v.defaulted("clear_sgid", x.clear_sgid);
}
ASTER_FIELDS(RemoveXattr) {
  v("ino", x.ino);
  v("name", x.name);
}
ASTER_FIELDS(NewObject) {
  v("id", x.id);
  v("size", x.size);
  v("crc32c", x.crc32c);
}
ASTER_FIELDS(Commit) {
  v("ino", x.ino);
  v.defaulted("base", x.base);
  v("extents", x.extents);
  v.defaulted("objects", x.objects);
  v.defaulted("min_size", x.min_size);
  v.defaulted("mtime", x.mtime);
  v.defaulted("sealed", x.sealed);
}
ASTER_FIELDS(CopyRange) {
  v("source", x.source);
  v("source_offset", x.source_offset);
  v("target", x.target);
  v("target_offset", x.target_offset);
  v("length", x.length);
}
// Not "id": that is the operation's own.
ASTER_FIELDS(RestoreTrash) {
  v("entry", x.id);
  v.defaulted("parent", x.parent);
  v.defaulted("name", x.name);
}
ASTER_FIELDS(EmptyTrash) {
  v.defaulted("entry", x.id);
  v.defaulted("until", x.until);
}
ASTER_FIELDS(RestoreVersion) {
  v("version", x.id);
}
ASTER_FIELDS(Empty) {
  static_cast<void>(v);
  static_cast<void>(x);
}
ASTER_FIELDS(DirEntry) {
  v("name", x.name);
  v("cookie", x.cookie);
  v("attr", x.attr);
}
ASTER_FIELDS(DirPage) {
  v("entries", x.entries);
  v.defaulted("end", x.end);
  v("parent", x.parent);
}
ASTER_FIELDS(XattrValue) {
  v("value", x.value);
}
ASTER_FIELDS(XattrNames) {
  v("names", x.names);
}
ASTER_FIELDS(Manifest) {
  v("attr", x.attr);
  v("window_end", x.window_end);
  v("extents", x.extents);
  v.defaulted("objects", x.objects);
}
ASTER_FIELDS(StatFsAnswer) {
  v("total_bytes", x.total_bytes);
  v("free_bytes", x.free_bytes);
  v("files", x.files);
}
ASTER_FIELDS(UploadGrant) {
  v("object", x.object);
  v("url", x.url);
  v("expires", x.expires);
}
ASTER_FIELDS(UploadGrants) {
  v("part_size", x.part_size);
  v("max_object", x.max_object);
  v.defaulted("shared_up_to", x.shared_up_to);
  v("grants", x.grants);
}
ASTER_FIELDS(Kept) {
  v("id", x.id);
  v("parent", x.parent);
  v.defaulted("name", x.name);
  v.defaulted("path", x.path);
  v("at", x.at);
  v("attr", x.attr);
}
ASTER_FIELDS(KeptPage) {
  v("entries", x.entries);
  v.defaulted("next", x.next);
}
ASTER_FIELDS(Counted) {
  v("count", x.count);
  v.defaulted("more", x.more);
}
ASTER_FIELDS(Removed) {
  v("ino", x.ino);
  v("nlink", x.nlink);
}
ASTER_FIELDS(InodeRange) {
  v("first", x.first);
  v("count", x.count);
}
ASTER_FIELDS(Renamed) {
  v("moved", x.moved);
  v.defaulted("replaced", x.replaced);
}
ASTER_FIELDS(SessionRequest) {
  v("client", x.client);
  v.defaulted("workspace", x.workspace);
}
ASTER_FIELDS(SessionAnswer) {
  v("session", x.session);
  v("root", x.root);
  v("user", x.user);
  v("cursor", x.cursor);
  v("heartbeat_ms", x.heartbeat_ms);
  v("entry_ttl_ms", x.entry_ttl_ms);
  v.defaulted("lease_ms", x.lease_ms);
}
ASTER_FIELDS(Invalidation::Inode) {
  v("ino", x.ino);
  v.defaulted("content", x.content);
  v.defaulted("unlinked", x.unlinked);
}
ASTER_FIELDS(Invalidation::Entry) {
  v("parent", x.parent);
  v("name", x.name);
}
ASTER_FIELDS(Invalidation) {
  v("cursor", x.cursor);
  v.defaulted("inodes", x.inodes);
  v.defaulted("entries", x.entries);
}

ASTER_FIELDS(LeaseNotice) {
  v("lease", x.lease);
}
ASTER_FIELDS(Ack) {
  v("session", x.session);
  v("lease", x.lease);
  v.defaulted("cursor", x.cursor);
  v.defaulted("done", x.done);
}
ASTER_FIELDS(AckAnswer) {
  v("lease", x.lease);
  v("lease_ms", x.lease_ms);
}
ASTER_FIELDS(LeaseRequest) {
  v("session", x.session);
  v.defaulted("lease", x.lease);
  v.defaulted("take", x.take);
  v.defaulted("give", x.give);
  v.defaulted("give_all", x.give_all);
}
ASTER_FIELDS(LeaseAnswer) {
  v("granted", x.granted);
  v.defaulted("attr", x.attr);
  v.defaulted("entries", x.entries);
}
ASTER_FIELDS(LeaseWanted) {
  v.defaulted("inodes", x.inodes);
  v.defaulted("all", x.all);
}

ASTER_FIELDS(LockRequest) {
  v("session", x.session);
  v("ino", x.ino);
  v("owner", x.owner);
  v.defaulted("whole", x.whole);
  v.defaulted("unlock", x.unlock);
  v.defaulted("exclusive", x.exclusive);
  v.defaulted("test", x.test);
  v.defaulted("reclaim", x.reclaim);
  v.defaulted("start", x.start);
  v.defaulted("length", x.length);
  v.defaulted("pid", x.pid);
}
ASTER_FIELDS(LockAnswer) {
  v("granted", x.granted);
  v.defaulted("conflict", x.conflict);
  v.defaulted("exclusive", x.exclusive);
  v.defaulted("start", x.start);
  v.defaulted("length", x.length);
  v.defaulted("pid", x.pid);
}

#undef ASTER_FIELDS

/// Wire names of the answers, in the order of the variant.
inline constexpr std::string_view kAnswerNames[] = {
    "empty",  "attr",    "dir",     "xattr",  "xattrs", "manifest", "statfs",
    "grants", "removed", "renamed", "inodes", "kept",   "counted"};
static_assert(std::size(kAnswerNames) == std::variant_size_v<Answer>);

inline constexpr std::string_view kTypeNames[] = {"regular", "directory", "symlink", "fifo",
                                                  "socket",  "char",      "block"};

}  // namespace aster::fs
