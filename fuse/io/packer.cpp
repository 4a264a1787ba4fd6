#include "fuse/io/packer.h"

#include "protocol/base/log.h"

namespace aster {
namespace {

// The primary is not asked again before, once it said that grants cannot be shared.
constexpr Duration kNoSharing = std::chrono::seconds(60);
constexpr uint32_t kGrantsAtOnce = 64;

}  // namespace

Task<Uploader::Outcome> Packer::upload(UploadObjectPtr object, InodeNo ino, SteadyTime asked) {
  const auto self = shared_from_this();
  Item item{std::move(object), ino, asked, {}};
  const Completion<Uploader::Outcome> done = item.done;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(item));
  }
  send_ready();
  Uploader::Outcome outcome = co_await done;
  co_return outcome;
}

void Packer::send_ready() {
  for (;;) {
    std::vector<Item> pack = take_pack();
    if (pack.empty()) return;
    context_->spawn(send(std::move(pack)));
  }
}

std::vector<Packer::Item> Packer::take_pack() {
  std::vector<Item> pack;
  std::lock_guard lock(mutex_);
  if (under_way_ >= kUnderWay) return pack;
  uint64_t bytes = 0;
  while (!queue_.empty() && pack.size() < kPackFiles) {
    const uint64_t size = queue_.front().object->size;
    if (!pack.empty() && bytes + size > kPackBytes) break;
    bytes += size;
    pack.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  if (!pack.empty()) ++under_way_;
  return pack;
}

Task<void> Packer::send(std::vector<Item> items) {
  const auto self = shared_from_this();
  auto pack = std::make_shared<UploadObject>();
  for (const Item& item : items) {
    item.object->base = pack->size;
    pack->body.insert(pack->body.end(), item.object->body.begin(), item.object->body.end());
    pack->size += item.object->size;
  }
  const GrantHint hint{kSmallFile, kGrantsAtOnce, items.front().ino};
  Uploader::Outcome outcome = co_await uploader_.upload(pack, hint, items.front().asked);
  if (outcome.failed_with(Errc::unsupported)) {
    not_before_ = (context_->clock.steady() + kNoSharing).time_since_epoch().count();
  }
  // The file whose name stands for all may have been removed: that is nothing to the others.
  if (outcome.failed_with(Errc::stale_handle)) outcome = Error{Errc::unsupported, "pack"};
  {
    const auto together = context_->primary.gather();
    for (const Item& item : items) {
      if (outcome.ok()) {
        item.object->body.clear();
      } else {
        item.object->base = 0;
      }
      item.done.set(outcome);
    }
  }
  {
    std::lock_guard lock(mutex_);
    --under_way_;
  }
  send_ready();
}

}  // namespace aster
