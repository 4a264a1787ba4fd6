#include <sys/xattr.h>

#include <algorithm>

#include "fuse/kernel/dispatch.h"

namespace aster {
namespace {

/// Groups of one process that are looked at: NGROUPS_MAX.
constexpr size_t kGroupsMax = 65536;

/// getxattr(2) and listxattr(2): size 0 asks how much there is, a smaller one is ERANGE.
void answer_sized(Request& request, const std::string& value, size_t size) {
  if (size == 0) {
    request.xattr_size(value.size());
  } else if (value.size() > size) {
    request.error(ERANGE);
  } else {
    request.buffer(value);
  }
}

void on_getxattr(fuse_req_t req, fuse_ino_t node, const char* name, size_t size) {
  Dispatch& d = Dispatch::of(req);
  d.serve<std::string>(
      req, "getxattr",
      [&](Caller who) { return d.filesystem().getxattr(d.ids().inode(node), name, who); },
      [size](Request& request, std::string value) { answer_sized(request, value, size); });
}

void on_listxattr(fuse_req_t req, fuse_ino_t node, size_t size) {
  Dispatch& d = Dispatch::of(req);
  d.serve<std::vector<std::string>>(
      req, "listxattr",
      [&](Caller who) { return d.filesystem().listxattr(d.ids().inode(node), who); },
      [size](Request& request, std::vector<std::string> names) {
        std::string list;
        for (const std::string& name : names) list.append(name).push_back('\0');
        answer_sized(request, list, size);
      });
}

/// The groups of the caller, as far as the system tells.
std::vector<uint32_t> groups_of(fuse_req_t req) {
  std::vector<gid_t> groups(kGroupsMax);
  const int count = fuse_req_getgroups(req, static_cast<int>(groups.size()), groups.data());
  groups.resize(count < 0 ? 0 : std::min(groups.size(), static_cast<size_t>(count)));
  groups.push_back(fuse_req_ctx(req)->gid);
  return {groups.begin(), groups.end()};
}

void on_setxattr(fuse_req_t req, fuse_ino_t node, const char* name, const char* value, size_t size,
                 int flags) {
  Dispatch& d = Dispatch::of(req);
  fs::SetXattr change{d.ids().inode(node),          name,
                      std::string(value, size),     (flags & XATTR_CREATE) != 0,
                      (flags & XATTR_REPLACE) != 0, false};
  d.serve(req, "setxattr", [&](Caller who) {
    if (!Filesystem::is_acl(change.name)) return d.filesystem().setxattr(std::move(change), who);
    return d.filesystem().set_acl(std::move(change), groups_of(req), who);
  });
}

void on_removexattr(fuse_req_t req, fuse_ino_t node, const char* name) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "removexattr",
          [&](Caller who) { return d.filesystem().removexattr(d.ids().inode(node), name, who); });
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& table) {
  table.getxattr = on_getxattr;
  table.listxattr = on_listxattr;
  table.setxattr = on_setxattr;
  table.removexattr = on_removexattr;
}

}  // namespace aster
