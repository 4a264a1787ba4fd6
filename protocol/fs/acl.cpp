#include "protocol/fs/acl.h"

#include <optional>
#include <vector>

namespace aster::fs {
namespace {

enum Tag : uint16_t {
  kOwner = 1,
  kUser = 2,
  kOwningGroup = 4,
  kGroup = 8,
  kMask = 16,
  kOther = 32
};

constexpr uint32_t kVersion = 2;
constexpr size_t kHeader = 4;
constexpr size_t kEntry = 8;

constexpr uint32_t kSetGid = 02000;
constexpr uint32_t kPermissions = 0777;

struct Entry {
  uint16_t tag = 0;
  uint16_t permissions = 0;
  uint32_t id = 0;
};

uint32_t read_number(std::string_view bytes, size_t at, size_t size) {
  uint32_t number = 0;
  for (size_t i = size; i-- > 0;) number = number << 8 | static_cast<uint8_t>(bytes[at + i]);
  return number;
}

void write_number(std::string& out, uint32_t number, size_t size) {
  for (size_t i = 0; i < size; ++i) out += static_cast<char>(number >> (8 * i) & 0xff);
}

Result<std::vector<Entry>> parse(std::string_view acl) {
  if (acl.size() > kAclMax) return fail(Errc::too_large, "access control list");
  if (acl.size() < kHeader || (acl.size() - kHeader) % kEntry != 0 ||
      read_number(acl, 0, 4) != kVersion) {
    return fail(Errc::bad_request, "not an access control list");
  }
  std::vector<Entry> entries;
  for (size_t at = kHeader; at < acl.size(); at += kEntry) {
    entries.push_back({static_cast<uint16_t>(read_number(acl, at, 2)),
                       static_cast<uint16_t>(read_number(acl, at + 2, 2)),
                       read_number(acl, at + 4, 4)});
  }
  return entries;
}

std::string encode(const std::vector<Entry>& entries) {
  std::string out;
  write_number(out, kVersion, 4);
  for (const Entry& entry : entries) {
    write_number(out, entry.tag, 2);
    write_number(out, entry.permissions, 2);
    write_number(out, entry.id, 4);
  }
  return out;
}

size_t count(const std::vector<Entry>& entries, Tag tag) {
  size_t found = 0;
  for (const Entry& entry : entries) found += entry.tag == tag;
  return found;
}

/// The rules of acl(5): each kind in its order, the three of the mode exactly once, and a mask
/// where users or groups are named.
Result<std::vector<Entry>> parse_valid(std::string_view acl) {
  ASTER_TRY(std::vector<Entry> entries, parse(acl));
  uint16_t last = 0;
  for (const Entry& entry : entries) {
    const bool known = entry.tag != 0 && entry.tag <= kOther && (entry.tag & (entry.tag - 1)) == 0;
    if (!known || entry.tag < last || entry.permissions > 7) {
      return fail(Errc::bad_request, "entries of the access control list");
    }
    last = entry.tag;
  }
  const bool named = count(entries, kUser) > 0 || count(entries, kGroup) > 0;
  const size_t masks = count(entries, kMask);
  if (count(entries, kOwner) != 1 || count(entries, kOwningGroup) != 1 ||
      count(entries, kOther) != 1 || masks > 1 || (named && masks == 0)) {
    return fail(Errc::bad_request, "entries of the access control list");
  }
  return entries;
}

/// The entries that the mode shows. With a mask it is that which stands for the group.
struct Shown {
  Entry* owner = nullptr;
  Entry* group = nullptr;
  Entry* other = nullptr;
};

Shown shown(std::vector<Entry>& entries) {
  Shown found;
  for (Entry& entry : entries) {
    if (entry.tag == kOwner) found.owner = &entry;
    if (entry.tag == kOther) found.other = &entry;
    const bool mask = entry.tag == kMask;
    if (mask || (entry.tag == kOwningGroup && found.group == nullptr)) found.group = &entry;
  }
  return found;
}

/// More than the three entries that every mode has.
bool extended(const std::vector<Entry>& entries) {
  return entries.size() > 3;
}

uint32_t permissions(const Shown& shown) {
  return static_cast<uint32_t>(shown.owner->permissions << 6 | shown.group->permissions << 3 |
                               shown.other->permissions);
}

void keep(Attr& attr, std::vector<Entry>& entries) {
  attr.mode = (attr.mode & ~kPermissions) | permissions(shown(entries));
  attr.acl = extended(entries) ? encode(entries) : std::string();
}

/// The access list of something new: what the default list allows, but no more than was asked for.
void inherit_list(std::vector<Entry>& entries, Attr& child) {
  const Shown bits = shown(entries);
  bits.owner->permissions &= child.mode >> 6 & 7;
  bits.group->permissions &= child.mode >> 3 & 7;
  bits.other->permissions &= child.mode & 7;
  keep(child, entries);
}

}  // namespace

Result<void> check_acl(std::string_view acl) {
  ASTER_TRY(parse_valid(acl));
  return ok();
}

Result<void> set_acl(Attr& attr, std::string_view acl) {
  ASTER_TRY(std::vector<Entry> entries, parse_valid(acl));
  keep(attr, entries);
  return ok();
}

void set_mode(Attr& attr, uint32_t mode) {
  attr.mode = mode;
  if (attr.acl.empty()) return;
  Result<std::vector<Entry>> entries = parse_valid(attr.acl);
  if (!entries.ok()) return;  // was checked when it was stored; nothing to keep in step
  const Shown bits = shown(*entries);
  bits.owner->permissions = mode >> 6 & 7;
  bits.group->permissions = mode >> 3 & 7;
  bits.other->permissions = mode & 7;
  attr.acl = encode(*entries);
}

void inherit(const Attr& directory, uint32_t umask, Attr& child) {
  if (directory.mode & kSetGid) {
    child.gid = directory.gid;
    if (child.type == FileType::directory) child.mode |= kSetGid;
  }
  if (child.type == FileType::symlink) return;
  if (!directory.default_acl.empty()) {
    Result<std::vector<Entry>> entries = parse_valid(directory.default_acl);
    if (entries.ok()) {
      inherit_list(*entries, child);
      if (child.type == FileType::directory) child.default_acl = directory.default_acl;
      return;
    }
  }
  child.mode &= ~(umask & kPermissions);
}

}  // namespace aster::fs
