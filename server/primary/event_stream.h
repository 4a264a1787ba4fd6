#pragma once

#include <memory>
#include <optional>
#include <string>

#include "protocol/client/http_client.h"
#include "server/primary/event_hub.h"
#include "server/primary/lease_table.h"

namespace aster {
namespace db {
class Database;
}
namespace primary {

/// The events of one session as server-sent events text: first what the journal has after the
/// cursor (or "reset" when that cannot be told completely) and the session's lease, then what is
/// published, and a comment when there was nothing for a while. Ends when the session does or opens
/// another stream.
class EventStream final : public ByteSource {
 public:
  /// `queue` must have been attached before, so that nothing falls between journal and queue.
  /// Everything handed in must outlive the stream's last read.
  EventStream(EventHub::Session session, std::string cursor, std::shared_ptr<EventQueue> queue,
              EventHub& hub, const LeaseTable& leases, db::Database& database, Executor& executor);

  Task<Result<size_t>> read(std::span<std::byte> buffer) override;

 private:
  /// What happened between the cursor and now; sets last_.
  Result<std::string> catch_up();
  std::string render(const EventQueue::Batch& batch);
  /// Its lease, and what is being called back: notices of before may have been lost.
  std::string lease_notice() const;

  const EventHub::Session session_;
  const std::optional<EventCursor> cursor_;
  const std::shared_ptr<EventQueue> queue_;
  EventHub& hub_;
  const LeaseTable& leases_;
  db::Database& database_;
  Executor& executor_;
  bool caught_up_ = false;
  uint64_t last_ = 0;  // position up to which everything was sent
  std::string text_;   // to be sent
  size_t sent_ = 0;    // of text_
};

}  // namespace primary
}  // namespace aster
