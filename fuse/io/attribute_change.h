#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "protocol/fs/acl.h"
#include "protocol/fs/messages.h"

/// Changes of attributes that the primary does not know yet. Sizes are not among them.
namespace aster {

/// `older` applies where `newer` says nothing.
inline void add_below(const fs::SetAttr& older, fs::SetAttr& newer) {
  if (!newer.mode) newer.mode = older.mode;
  if (!newer.uid) newer.uid = older.uid;
  if (!newer.gid) newer.gid = older.gid;
  if (!newer.atime) newer.atime = older.atime;
  if (!newer.mtime) newer.mtime = older.mtime;
  if (!newer.ctime) newer.ctime = older.ctime;
}

/// What `attr` will be after `change`, which was made here at `when`.
inline void lay_over(const std::optional<fs::SetAttr>& change, int64_t when, fs::Attr& attr) {
  if (!change) return;
  if (change->mode) fs::set_mode(attr, *change->mode);
  attr.uid = change->uid.value_or(attr.uid);
  attr.gid = change->gid.value_or(attr.gid);
  attr.atime = change->atime.value_or(attr.atime);
  attr.mtime = change->mtime.value_or(attr.mtime);
  attr.ctime = change->ctime.value_or(std::max(attr.ctime, when));
}

}  // namespace aster
