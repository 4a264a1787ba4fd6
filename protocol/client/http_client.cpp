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
  std::function<void()> action;
  {
    std::lock_guard lock(state_->mutex);
    if (std::exchange(state_->cancelled, true)) return;
    action = std::move(state_->action);
  }
  if (action) action();
}

bool CancelToken::cancelled() const {
  std::lock_guard lock(state_->mutex);
  return state_->cancelled;
}

void CancelToken::on_cancel(std::function<void()> action) const {
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->cancelled) {
      state_->action = std::move(action);
      return;
    }
  }
  action();
}

}  // namespace aster
