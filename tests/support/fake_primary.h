#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/guarded.h"
#include "protocol/client/lock_client.h"
#include "protocol/client/primary_client.h"
#include "protocol/client/reachability.h"
#include "protocol/fs/range_locks.h"

namespace aster::testing {

/// A primary in memory: one tree, the rules of the client API, no data objects. Content is a plain
/// string per file, reached through content()/put_content() (FakeFileIo uses these), so it needs
/// no follower. Thread-safe.
///
/// Answers at once on the caller's thread, unless stalled (calls wait for resume(), or for
/// drop_stalled(), which stands for their deadline) or away (every call is `unavailable`).
class FakePrimary final : public PrimaryClient, public LockClient, public Reachability {
 public:
  /// The root is `root`, so that tests can make it any number; new inodes count up from there.
  explicit FakePrimary(InodeNo root = InodeNo(1000));
  ~FakePrimary() override;

  // ---- PrimaryClient
  Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                      std::chrono::milliseconds deadline) override;
  Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest request) override;
  Task<Result<void>> close_session() override;
  Task<Result<void>> follow_events(EventHandlers handlers, CancelToken cancel) override;
  Task<Result<fs::LockAnswer>> lock(fs::LockRequest request,
                                    std::chrono::milliseconds deadline) override;
  /// Answers `lease`, for `lease_ms`.
  Task<Result<fs::AckAnswer>> acknowledge(fs::Ack ack, std::chrono::milliseconds deadline) override;
  /// Grants everything unless told otherwise.
  Task<Result<fs::LeaseAnswer>> lease(fs::LeaseRequest request,
                                      std::chrono::milliseconds deadline) override;
  Task<bool> refuses_connections() override;
  std::string absolute(const std::string& url) const override { return url; }

  // ---- what others do
  InodeNo root() const { return root_; }
  /// Runs an operation as another client; followed by its event when that is wanted.
  Result<fs::Answer> as_other(const fs::Operation& operation);
  /// Another client replaces the content.
  void put_content(InodeNo ino, std::string bytes);
  /// Own commit: content, new size and version.
  fs::Attr commit_content(InodeNo ino, std::string bytes, std::optional<int64_t> mtime);
  Result<std::string> content(InodeNo ino) const;
  Result<fs::Attr> attr(InodeNo ino) const;
  /// Inodes this session keeps though they have no name.
  size_t held() const;

  void set_lease(uint64_t lease, uint32_t lease_ms = 10000);
  std::vector<fs::Ack> acks() const;
  void set_granting(bool granting);
  std::vector<fs::LeaseRequest> lease_requests() const;

  // ---- faults
  void set_away(bool away);
  /// While away: whether it certainly does not run (the default), or only cannot be reached.
  void set_refusing(bool refusing);
  /// Calls wait from now on; resume() lets them go on.
  void stall();
  void resume();
  /// Ends the waiting calls with `timeout`, as their deadlines would.
  void drop_stalled();

  /// Calls seen since the start, by operation name.
  size_t calls(const std::string& operation) const;
  size_t round_trips() const;

 private:
  struct Node {
    fs::Attr attr;
    std::string data;
    std::map<std::string, std::pair<InodeNo, uint64_t>> children;  // name -> inode, cookie
    InodeNo parent;
    std::map<std::string, std::string> xattrs;
    bool held = false;
  };
  struct State {
    std::map<uint64_t, Node> nodes;
    uint64_t next_ino;
    uint64_t next_cookie = 1;
    uint64_t changes = 0;
    int64_t now = 1'700'000'000'000'000'000;
    std::map<std::string, size_t> calls;
    std::map<OperationId, fs::Answer> answers;  // of mutations
    size_t round_trips = 0;
    fs::AckAnswer lease{1, 10000};
    std::vector<fs::Ack> acks;
    std::vector<fs::LeaseRequest> lease_requests;
    bool granting = true;
    std::map<std::pair<uint64_t, bool>, fs::RangeLocks<uint64_t>> locks;
    bool away = false;
    bool refusing = true;
    bool stalled = false;
    std::vector<Completion<bool>> waiting;
  };
  class Rules;

  const InodeNo root_;
  Guarded<State> state_;
};

}  // namespace aster::testing
