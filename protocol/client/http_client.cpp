#include "protocol/client/http_client.h"

#include <strings.h>

namespace aster {

const std::string* find_header(const HeaderList& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key.size() == name.size() && strncasecmp(key.data(), name.data(), name.size()) == 0) {
      return &value;
    }
  }
  return nullptr;
}

void CancelToken::cancel() const {
  std::map<uint64_t, std::function<void()>> actions;
  {
    std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->cancelled, true)) return;
    actions = std::move(state_->actions);
  }
  for (const auto& [registration, action] : actions) action();
}

bool CancelToken::cancelled() const {
  std::lock_guard lock(state_->mutex);
  return state_->cancelled;
}

uint64_t CancelToken::on_cancel(std::function<void()> action) const {
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->cancelled) {
      const uint64_t registration = ++state_->last_registration;
      state_->actions.emplace(registration, std::move(action));
      return registration;
    }
  }
  action();
  return 0;
}

void CancelToken::forget(uint64_t registration) const {
  std::function<void()> dropped;  // destroyed outside the lock: it may own much
  std::lock_guard lock(state_->mutex);
  const auto found = state_->actions.find(registration);
  if (found == state_->actions.end()) return;
  dropped = std::move(found->second);
  state_->actions.erase(found);
}

}  // namespace aster
