#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/guarded.h"
#include "server/primary/object_backend.h"

namespace aster::testing {

/// Objects in memory, for one policy (or two: files of `second_policy_from` bytes and more go to
/// policy 2). Keeps the contract of ObjectBackends; thread-safe.
class FakeObjectBackends final : public primary::ObjectBackends {
 public:
  struct Knobs {
    primary::PolicyLimits limits;
    uint64_t second_policy_from = UINT64_MAX;
    bool parts_kept = true;
    std::optional<Error> route_error;
    std::optional<Error> remove_error;
    std::function<void(const ObjectId&)> before_remove;
    std::optional<Error> stat_error;
    std::optional<Error> write_error;
    bool joins_pieces = true;
    std::optional<Error> join_error;
    std::function<void()> before_join_answers;
    std::optional<Error> compose_error;  ///< refuses, nothing done
    bool compose_loses_answer = false;   ///< done, but answered with timeout
    std::function<void()> before_compose_answers;
    std::function<void()> before_write;
    /// Changes what write() stores; the call succeeds all the same.
    std::function<void(std::string& bytes)> damage_written;
  };

  Guarded<Knobs> knobs;

  void put(const ObjectId& id, std::string bytes) { (*objects_.lock())[id] = std::move(bytes); }
  std::optional<std::string> get(const ObjectId& id) const;
  size_t count() const { return objects_.lock()->size(); }
  /// Successful compositions so far.
  size_t composed() const { return composed_; }
  /// Pieces joined so far.
  size_t joined() const { return joined_; }

  Result<PolicyId> route(const primary::RouteRequest& request) override;
  Result<primary::PolicyLimits> limits(PolicyId policy) override;
  Result<primary::ObjectUrl> upload_url(PolicyId policy, const ObjectId& object) override;
  Result<primary::ObjectUrl> read_url(PolicyId policy, const ObjectId& object) override;
  Result<Capacity> capacity(PolicyId policy) override;
  std::vector<Place> places() override;

  Task<Result<uint64_t>> stat(PolicyId policy, ObjectId object) override;
  Task<Result<void>> remove(PolicyId policy, ObjectId object) override;
  Task<Result<Bytes>> read(PolicyId policy, ObjectId object, uint64_t largest) override;
  Task<Result<Bytes>> read_range(PolicyId policy, ObjectId object, uint64_t offset,
                                 uint64_t length) override;
  Task<Result<void>> write(PolicyId policy, ObjectId object, Bytes bytes) override;
  Task<Result<Composed>> compose(PolicyId policy, ObjectId target, std::vector<ObjectId> parts,
                                 uint64_t size) override;
  bool joins_pieces(PolicyId policy) override;
  Task<Result<uint64_t>> join_pieces(PolicyId policy, ObjectId target,
                                     std::vector<Piece> pieces) override;

 private:
  Guarded<std::map<ObjectId, std::string>> objects_;
  std::atomic<size_t> composed_{0};
  std::atomic<size_t> joined_{0};
};

}  // namespace aster::testing
