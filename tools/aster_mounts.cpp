#include "tools/aster_mounts.h"

#include <mntent.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstdio>
#include <memory>

namespace aster::cli {
namespace {

constexpr const char* kDurable = "user.aster.durable";
constexpr std::string_view kMountType = "fuse.aster";
constexpr std::string_view kTeam = "team:";

}  // namespace

Result<std::string> durability_of(const std::string& path) {
  char text[256];
  const ssize_t size = ::getxattr(path.c_str(), kDurable, text, sizeof text);
  if (size >= 0) return std::string(text, static_cast<size_t>(size));
  if (errno == ENODATA || errno == ENOTSUP) {
    return fail(Errc::bad_request, path + " is not on a mounted drive of this program");
  }
  return fail_errno(path);
}

std::vector<std::string> mounted_drives(const std::filesystem::path& file) {
  std::vector<std::string> places;
  const std::unique_ptr<FILE, int (*)(FILE*)> table(::setmntent(file.c_str(), "r"), ::endmntent);
  if (!table) return places;
  while (const mntent* entry = ::getmntent(table.get())) {
    if (entry->mnt_type == kMountType) places.emplace_back(entry->mnt_dir);
  }
  return places;
}

std::string team_of_mount(const std::filesystem::path& file, const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> table(::setmntent(file.c_str(), "r"), ::endmntent);
  std::string team;
  size_t longest = 0;
  while (const mntent* entry = table ? ::getmntent(table.get()) : nullptr) {
    const std::string place = entry->mnt_dir;
    if (entry->mnt_type != kMountType || place.size() < longest) continue;
    if (path != place && !path.starts_with(place + "/")) continue;
    longest = place.size();
    std::string_view source = entry->mnt_fsname;
    if (const size_t scheme = source.find("://"); scheme != std::string_view::npos) {
      source.remove_prefix(scheme + 3);
    }
    const size_t at = source.find('@');
    const bool is_team = source.starts_with(kTeam) && at != std::string_view::npos;
    team = is_team ? source.substr(kTeam.size(), at - kTeam.size()) : std::string_view();
  }
  return team;
}

}  // namespace aster::cli
