#include "protocol/fs/messages.h"

namespace aster::fs {
namespace {

constexpr std::string_view kNames[] = {
    "lookup",        "getattr",        "readdir",        "getxattr",    "listxattr", "manifest",
    "statfs",        "list_trash",     "versions",       "grant",       "hold",      "release",
    "touch",         "reserve_inodes", "create",         "link",        "unlink",    "rmdir",
    "rename",        "setattr",        "setxattr",       "removexattr", "commit",    "copy_range",
    "restore_trash", "empty_trash",    "restore_version"};
static_assert(std::size(kNames) == std::variant_size_v<Operation>);

}  // namespace

bool is_mutation(const Operation& operation) noexcept {
  static constexpr size_t kFirstMutation = 14;
  static_assert(std::is_same_v<std::variant_alternative_t<kFirstMutation, Operation>, Create>);
  return operation.index() >= kFirstMutation;
}

std::string_view operation_name(const Operation& operation) noexcept {
  return kNames[operation.index()];
}

}  // namespace aster::fs
