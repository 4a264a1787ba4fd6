#include <unistd.h>

#include <algorithm>

#include "fuse/vfs/filesystem.h"
#include "protocol/fs/acl.h"

namespace aster {
namespace {

constexpr std::string_view kTrusted = "trusted.";

/// What Linux's own file systems say to a name: only these kinds exist, each with something behind
/// the dot.
Result<void> check_kind(const std::string& name) {
  if (fs::is_acl_xattr(name)) return ok();
  for (const std::string_view kind :
       {std::string_view("user."), kTrusted, std::string_view("security.")}) {
    if (!name.starts_with(kind)) continue;
    if (name.size() == kind.size()) return fail(Errc::bad_request, "attribute without a name");
    return ok();
  }
  return fail(Errc::unsupported, "kind of attribute");
}

/// What the drive itself says: asked for by name, never listed, never kept here.
constexpr std::string_view kOwnPrefix = "user.aster.";
/// Setting it sends what is unsent.
constexpr std::string_view kSync = "user.aster.sync";

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Task<Result<std::string>> Filesystem::getxattr(InodeNo ino, std::string name, Caller who) {
  ASTER_CO_TRY(check_kind(name));
  if (fs::is_acl_xattr(name)) {
    auto list = co_await acl(ino, std::move(name), who);
    co_return list;
  }
  if (name.starts_with(kOwnPrefix)) {
    auto told = co_await own_attribute(ino, std::move(name), who);
    co_return told;
  }
  if (!inodes_.xattr_names(ino) && inodes_.trusted()) {
    auto value = co_await first_getxattr(ino, std::move(name));
    co_return value;
  }
  ASTER_CO_TRY(const std::vector<std::string> names, co_await xattr_names(ino, who));
  if (!has(names, name)) co_return fail(Errc::no_attribute);
  fs::Operation question = fs::GetXattr{ino, name};
  ASTER_CO_TRY(fs::XattrValue value,
               co_await remote_.call<fs::XattrValue>(std::move(question), who));
  co_return std::move(value.value);
}

Task<Result<std::string>> Filesystem::acl(InodeNo ino, std::string name, Caller who) {
  ASTER_CO_TRY(const Attributes now, co_await getattr(ino, who));
  const bool access = name == fs::kAclXattr;
  std::string list = access ? now.attr.acl : now.attr.default_acl;
  if (list.empty()) co_return fail(Errc::no_attribute);
  co_return list;
}

Task<Result<std::string>> Filesystem::own_attribute(InodeNo ino, std::string name, Caller who) {
  if (name == "user.aster.durable") co_return durability(ino);
  if (name == "user.aster.pid") co_return std::to_string(::getpid());
  fs::Operation question = fs::GetXattr{ino, std::move(name)};
  ASTER_CO_TRY(fs::XattrValue value,
               co_await remote_.call<fs::XattrValue>(std::move(question), who));
  co_return std::move(value.value);
}

Task<Result<std::string>> Filesystem::first_getxattr(InodeNo ino, std::string name) {
  const InodeTable::Ticket ticket = inodes_.ticket();
  std::vector<fs::Operation> questions;
  questions.push_back(fs::ListXattr{ino});
  questions.push_back(fs::GetXattr{ino, std::move(name)});
  ASTER_CO_TRY(auto answers, co_await remote_.ask_all(std::move(questions)));
  Result<fs::XattrNames> names = Remote::pick<fs::XattrNames>(std::move(answers[0]));
  if (names.ok()) inodes_.set_xattr_names(ino, std::move(names->names), ticket);
  ASTER_CO_TRY(fs::XattrValue value, Remote::pick<fs::XattrValue>(std::move(answers[1])));
  co_return std::move(value.value);
}

Task<Result<std::vector<std::string>>> Filesystem::listxattr(InodeNo ino, Caller who) {
  ASTER_CO_TRY(std::vector<std::string> names, co_await xattr_names(ino, who));
  if (who.uid != 0) {
    std::erase_if(names, [](const std::string& name) { return name.starts_with(kTrusted); });
  }
  co_return names;
}

Task<Result<std::vector<std::string>>> Filesystem::xattr_names(InodeNo ino, Caller who) {
  if (const auto known = inodes_.xattr_names(ino)) co_return *known;
  const InodeTable::Ticket ticket = inodes_.ticket();
  const auto old = inodes_.old_xattr_names(ino);
  fs::Operation question = fs::ListXattr{ino};
  Task<Result<fs::XattrNames>> asking =
      old ? remote_.refreshed<fs::XattrNames>(std::move(question), who)
          : remote_.call<fs::XattrNames>(std::move(question), who);
  Result<fs::XattrNames> names = co_await std::move(asking);
  if (!names.ok() && old && remote_.may_serve_old(names.error())) co_return *old;
  if (!names.ok()) co_return std::move(names).error();
  inodes_.set_xattr_names(ino, names->names, ticket);
  co_return std::move(names->names);
}

Task<Result<void>> Filesystem::setxattr(fs::SetXattr change, Caller who) {
  const InodeNo ino = change.ino;
  if (change.name == kSync) {
    const Result<void> synced = co_await sync_to_servers(ino, who);
    co_return synced;
  }
  if (options_.read_only) co_return fail(Errc::read_only);
  ASTER_CO_TRY(check_kind(change.name));
  fs::Operation operation = std::move(change);
  const Result<fs::Empty> done = co_await this->change<fs::Empty>(std::move(operation), who);
  inodes_.expire_xattrs(ino);
  inodes_.expire(ino);
  if (!done.ok()) co_return done.error();
  co_return ok();
}

bool Filesystem::is_acl(std::string_view name) {
  return fs::is_acl_xattr(name);
}

Task<Result<void>> Filesystem::set_acl(fs::SetXattr change, std::vector<uint32_t> groups,
                                       Caller who) {
  ASTER_CO_TRY(const Attributes now, co_await getattr(change.ino, who));
  const bool member = std::find(groups.begin(), groups.end(), now.attr.gid) != groups.end();
  change.clear_sgid = who.uid != 0 && !member;
  auto done = co_await setxattr(std::move(change), who);
  co_return done;
}

Task<Result<void>> Filesystem::removexattr(InodeNo ino, std::string name, Caller who) {
  if (options_.read_only) co_return fail(Errc::read_only);
  ASTER_CO_TRY(check_kind(name));
  fs::Operation operation = fs::RemoveXattr{ino, std::move(name)};
  const Result<fs::Empty> done = co_await this->change<fs::Empty>(std::move(operation), who);
  inodes_.expire_xattrs(ino);
  inodes_.expire(ino);
  if (!done.ok()) co_return done.error();
  co_return ok();
}

}  // namespace aster
