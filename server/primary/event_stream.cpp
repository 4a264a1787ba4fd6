#include "server/primary/event_stream.h"

#include <algorithm>
#include <cstring>

#include "protocol/fs/json.h"
#include "server/db/database.h"
#include "server/db/journal_store.h"

namespace aster::primary {
namespace {

/// Journal entries (of all workspaces) that a stream goes through to resume; whoever missed more
/// is better off with a reset.
constexpr uint64_t kResumeMax = 10000;

/// Anything after `cursor` may have been lost: another history, pruned, or too much.
bool resumable(const std::optional<EventCursor>& cursor, const Guid& epoch, uint64_t oldest,
               uint64_t newest) {
  return cursor && cursor->epoch == epoch && cursor->position <= newest &&
         cursor->position + 1 >= oldest && newest - cursor->position <= kResumeMax;
}

}  // namespace

EventStream::EventStream(EventHub::Session session, std::string cursor,
                         std::shared_ptr<EventQueue> queue, EventHub& hub, const LeaseTable& leases,
                         db::Database& database, Executor& executor)
    : session_(session),
      cursor_(EventCursor::parse(cursor)),
      queue_(std::move(queue)),
      hub_(hub),
      leases_(leases),
      database_(database),
      executor_(executor) {}

std::string EventStream::lease_notice() const {
  std::string text = render_lease(leases_.lease_of(session_.id));
  const fs::LeaseWanted wanted = leases_.wanted(session_.id);
  if (wanted.all || !wanted.inodes.empty()) text += render_wanted(wanted);
  return text;
}

Result<std::string> EventStream::catch_up() {
  return database_.read([this](db::Txn& txn) -> Result<std::string> {
    db::JournalStore journal(txn);
    const Guid epoch = hub_.epoch();
    const uint64_t newest = journal.newest();
    last_ = newest;
    if (!resumable(cursor_, epoch, journal.oldest(), newest)) {
      return render_reset({epoch, newest}) + lease_notice();
    }
    std::string text;
    for (const db::JournalStore::Event& event :
         journal.events(cursor_->position, newest, session_.workspace, session_.id)) {
      ASTER_TRY(fs::Invalidation invalidation, fs::decode_invalidation(event.invalidation));
      text += render_invalidation(std::move(invalidation), {epoch, event.position});
    }
    // Own changes and those elsewhere are not told; the cursor says that they are behind us.
    text += render_invalidation({}, {epoch, newest});
    return text + lease_notice();
  });
}

std::string EventStream::render(const EventQueue::Batch& batch) {
  std::string text;
  if (batch.lost) {
    text = render_reset({hub_.epoch(), batch.lost_position}) + lease_notice();
    last_ = batch.lost_position;
  }
  for (const EventQueue::Event& event : batch.events) {
    if (event.position == 0) {
      text += *event.text;
      continue;
    }
    if (event.position <= last_) continue;  // came from the journal already
    text += *event.text;
    last_ = event.position;
  }
  if (text.empty()) text = ": alive\n\n";
  return text;
}

Task<Result<size_t>> EventStream::read(std::span<std::byte> buffer) {
  if (!caught_up_) {
    ASTER_CO_TRY(text_, co_await executor_.run([this] { return catch_up(); }));
    caught_up_ = true;
  }
  if (sent_ == text_.size()) {
    const EventQueue::Batch batch = co_await queue_->wait();
    if (batch.ended) co_return size_t{0};
    hub_.touch(session_);  // somebody takes what is sent
    text_ = render(batch);
    sent_ = 0;
  }
  const size_t n = std::min(buffer.size(), text_.size() - sent_);
  std::memcpy(buffer.data(), text_.data() + sent_, n);
  sent_ += n;
  co_return n;
}

}  // namespace aster::primary
