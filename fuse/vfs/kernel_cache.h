#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/base/ids.h"

namespace aster {

/// Let go of when the kernel has forgotten, for whoever waits for that. May be null.
using DropToken = std::shared_ptr<void>;

/// What the kernel remembers and has to forget. Thread-safe; calls return at once and are carried
/// out on threads of their own, because the kernel may need an answer from us first: a page that is
/// being read or written, a directory that is being changed.
class KernelCache {
 public:
  virtual ~KernelCache() = default;
  /// Cached pages and attributes.
  virtual void drop_content(InodeNo ino, DropToken token = {}) = 0;
  virtual void drop_attributes(InodeNo ino, DropToken token = {}) = 0;
  /// `name` in `parent`, there or not.
  virtual void drop_entry(InodeNo parent, std::string name, DropToken token = {}) = 0;
  /// Takes away the tokens of drop_entry() in this directory that were not let go of yet. Somebody
  /// is changing the directory: the kernel holds its lock until we have answered, and would come
  /// back from drop_entry only then.
  virtual std::vector<DropToken> pending_entries(InodeNo) { return {}; }
  /// All names at once, without any lock, before it returns. False: this kernel cannot.
  virtual bool drop_all_names() { return false; }
  virtual bool can_drop_all_names() const { return false; }
};

}  // namespace aster
