#pragma once

#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fuse/vfs/types.h"
#include "protocol/base/guarded.h"
#include "protocol/base/result.h"

namespace aster {

/// Open handles by number. Thread-safe. A number that is not (or no longer) here is stale_handle,
/// never a crash.
template <class H>
class HandleTable {
 public:
  HandleId add(std::shared_ptr<H> handle) {
    auto state = state_.lock();
    const HandleId id = state->next++;
    state->handles.emplace(id, std::move(handle));
    return id;
  }
  Result<std::shared_ptr<H>> find(HandleId id) const {
    auto state = state_.lock();
    const auto it = state->handles.find(id);
    if (it == state->handles.end()) return fail(Errc::stale_handle, "no such open handle");
    return it->second;
  }
  /// Null when it is not there.
  std::shared_ptr<H> remove(HandleId id) {
    auto state = state_.lock();
    const auto it = state->handles.find(id);
    if (it == state->handles.end()) return nullptr;
    std::shared_ptr<H> handle = std::move(it->second);
    state->handles.erase(it);
    return handle;
  }
  size_t size() const { return state_.lock()->handles.size(); }

 private:
  struct State {
    HandleId next = 1;
    std::unordered_map<HandleId, std::shared_ptr<H>> handles;
  };
  Guarded<State> state_;
};

}  // namespace aster
