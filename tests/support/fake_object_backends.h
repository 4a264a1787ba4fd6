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
    std::optional<Error> stat_error;
    std::optional<Error> write_error;
    bool joins_pieces = true;
    std::optional<Error> join_error;
    std::function<void()> before_join_answers;
    std::optional<Error> compose_error;  ///< refuses, nothing done
    bool compose_loses_answer = false;   ///< done, but answered with timeout
    std::function<void()> before_compose_answers;
    std::function<void()> before_write;
  };

  Guarded<Knobs> knobs;

  void put(const ObjectId& id, std::string bytes) { (*objects_.lock())[id] = std::move(bytes); }
  std::optional<std::string> get(const ObjectId& id) const {
    const auto objects = objects_.lock();
    const auto found = objects->find(id);
    if (found == objects->end()) return std::nullopt;
    return found->second;
  }
  size_t count() const { return objects_.lock()->size(); }
  /// Successful compositions so far.
  size_t composed() const { return composed_; }
  /// Pieces joined so far.
  size_t joined() const { return joined_; }

  Result<PolicyId> route(const primary::RouteRequest& request) override {
    const auto k = knobs.lock();
    if (k->route_error) return *k->route_error;
    if (request.chosen.value != 0) return request.chosen;
    return PolicyId(request.size >= k->second_policy_from ? 2 : 1);
  }
  Result<primary::PolicyLimits> limits(PolicyId) override { return knobs.lock()->limits; }
  Result<primary::ObjectUrl> upload_url(PolicyId policy, const ObjectId& object) override {
    return primary::ObjectUrl{"/put/" + std::to_string(policy.value) + "/" + object.hex(), 1};
  }
  Result<primary::ObjectUrl> read_url(PolicyId policy, const ObjectId& object) override {
    return primary::ObjectUrl{"/get/" + std::to_string(policy.value) + "/" + object.hex(), 2};
  }
  Result<Capacity> capacity(PolicyId) override { return Capacity{1000 << 20, 600 << 20}; }
  std::vector<Place> places() override {
    return {{PolicyId(1), "small", "remote", "attic", true, "", Capacity{1000 << 20, 600 << 20}},
            {PolicyId(2), "large", "local", "", false, "disk on fire", std::nullopt}};
  }

  Task<Result<uint64_t>> stat(PolicyId, ObjectId object) override {
    if (const auto error = knobs.lock()->stat_error) co_return *error;
    const std::optional<std::string> bytes = get(object);
    if (!bytes) co_return fail(Errc::not_found);
    co_return uint64_t{bytes->size()};
  }
  Task<Result<void>> remove(PolicyId, ObjectId object) override {
    if (const auto error = knobs.lock()->remove_error) co_return *error;
    objects_.lock()->erase(object);
    co_return ok();
  }
  Task<Result<Bytes>> read(PolicyId, ObjectId object, uint64_t) override {
    const std::optional<std::string> bytes = get(object);
    if (!bytes) co_return fail(Errc::not_found);
    co_return Bytes::from_string(*bytes);
  }
  Task<Result<Bytes>> read_range(PolicyId, ObjectId object, uint64_t offset,
                                 uint64_t length) override {
    const std::optional<std::string> bytes = get(object);
    if (!bytes) co_return fail(Errc::not_found);
    if (offset > bytes->size() || length > bytes->size() - offset) {
      co_return fail(Errc::io_error, "object ended early");
    }
    co_return Bytes::from_string(bytes->substr(offset, length));
  }
  Task<Result<void>> write(PolicyId, ObjectId object, Bytes bytes) override {
    if (const auto hook = knobs.lock()->before_write) hook();
    if (const auto error = knobs.lock()->write_error) co_return *error;
    put(object, std::string(as_text(bytes.view())));
    co_return ok();
  }
  Task<Result<Composed>> compose(PolicyId, ObjectId target, std::vector<ObjectId> parts,
                                 uint64_t) override {
    const Knobs now = *knobs.lock();
    if (now.compose_error) co_return *now.compose_error;
    std::string whole;
    for (const ObjectId& part : parts) {
      const std::optional<std::string> bytes = get(part);
      if (!bytes) co_return fail(Errc::not_found, "part");
      whole += *bytes;
    }
    const uint64_t size = whole.size();
    put(target, std::move(whole));
    ++composed_;
    if (!now.parts_kept) {
      for (const ObjectId& part : parts) objects_.lock()->erase(part);
    }
    if (now.before_compose_answers) now.before_compose_answers();
    if (now.compose_loses_answer) co_return fail(Errc::timeout, "answer lost");
    co_return Composed{size, now.parts_kept};
  }
  bool joins_pieces(PolicyId) override { return knobs.lock()->joins_pieces; }
  Task<Result<uint64_t>> join_pieces(PolicyId, ObjectId target,
                                     std::vector<Piece> pieces) override {
    const Knobs now = *knobs.lock();
    if (now.join_error) co_return *now.join_error;
    std::string whole;
    for (const Piece& piece : pieces) {
      const std::optional<std::string> bytes = get(piece.object);
      if (!bytes) co_return fail(Errc::not_found, "piece");
      if (piece.offset + piece.length > bytes->size()) co_return fail(Errc::bad_request, "piece");
      whole += bytes->substr(piece.offset, piece.length);
    }
    const uint64_t size = whole.size();
    put(target, std::move(whole));
    joined_ += pieces.size();
    if (now.before_join_answers) now.before_join_answers();
    co_return size;
  }

 private:
  Guarded<std::map<ObjectId, std::string>> objects_;
  std::atomic<size_t> composed_{0};
  std::atomic<size_t> joined_{0};
};

}  // namespace aster::testing
