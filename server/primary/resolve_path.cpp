#include "server/primary/resolve_path.h"

#include <algorithm>

namespace aster::primary {

Result<InodeNo> resolve_path(db::FsStore& store, uint64_t workspace, const std::string& path) {
  const std::optional<InodeNo> root = store.workspaces.root(workspace);
  if (!root) return fail(Errc::not_found, "workspace " + std::to_string(workspace));
  InodeNo at = *root;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) {
      const auto child = store.inodes.child(at, path.substr(begin, end - begin));
      if (!child) return fail(Errc::not_found, "there is no " + path);
      at = child->attr.ino;
    }
    begin = end + 1;
  }
  return at;
}

}  // namespace aster::primary
