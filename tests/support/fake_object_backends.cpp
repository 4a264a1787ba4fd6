#include "tests/support/fake_object_backends.h"

namespace aster::testing {

std::optional<std::string> FakeObjectBackends::get(const ObjectId& id) const {
  const auto objects = objects_.lock();
  const auto found = objects->find(id);
  if (found == objects->end()) return std::nullopt;
  return found->second;
}

Result<PolicyId> FakeObjectBackends::route(const primary::RouteRequest& request) {
  const auto k = knobs.lock();
  if (k->route_error) return *k->route_error;
  if (request.chosen.value != 0) return request.chosen;
  return PolicyId(request.size >= k->second_policy_from ? 2 : 1);
}

Result<primary::PolicyLimits> FakeObjectBackends::limits(PolicyId) {
  return knobs.lock()->limits;
}
Result<primary::ObjectUrl> FakeObjectBackends::upload_url(PolicyId policy, const ObjectId& object) {
  return primary::ObjectUrl{"/put/" + std::to_string(policy.value) + "/" + object.hex(), 1};
}

Result<primary::ObjectUrl> FakeObjectBackends::read_url(PolicyId policy, const ObjectId& object) {
  return primary::ObjectUrl{"/get/" + std::to_string(policy.value) + "/" + object.hex(), 2};
}

Result<primary::ObjectBackends::Capacity> FakeObjectBackends::capacity(PolicyId) {
  return Capacity{1000 << 20, 600 << 20};
}
std::vector<primary::ObjectBackends::Place> FakeObjectBackends::places() {
  return {{PolicyId(1), "small", "remote", "attic", true, "", Capacity{1000 << 20, 600 << 20}},
          {PolicyId(2), "large", "local", "", false, "disk on fire", std::nullopt}};
}

Task<Result<uint64_t>> FakeObjectBackends::stat(PolicyId, ObjectId object) {
  if (const auto error = knobs.lock()->stat_error) co_return *error;
  const std::optional<std::string> bytes = get(object);
  if (!bytes) co_return fail(Errc::not_found);
  co_return uint64_t{bytes->size()};
}

Task<Result<void>> FakeObjectBackends::remove(PolicyId, ObjectId object) {
  const auto before = knobs.lock()->before_remove;
  if (before) before(object);
  if (const auto error = knobs.lock()->remove_error) co_return *error;
  objects_.lock()->erase(object);
  co_return ok();
}

Task<Result<Bytes>> FakeObjectBackends::read(PolicyId, ObjectId object, uint64_t) {
  const std::optional<std::string> bytes = get(object);
  if (!bytes) co_return fail(Errc::not_found);
  co_return Bytes::from_string(*bytes);
}

Task<Result<Bytes>> FakeObjectBackends::read_range(PolicyId, ObjectId object, uint64_t offset,
                                                   uint64_t length) {
  const std::optional<std::string> bytes = get(object);
  if (!bytes) co_return fail(Errc::not_found);
  if (offset > bytes->size() || length > bytes->size() - offset) {
    co_return fail(Errc::io_error, "object ended early");
  }
  co_return Bytes::from_string(bytes->substr(offset, length));
}

Task<Result<void>> FakeObjectBackends::write(PolicyId, ObjectId object, Bytes bytes) {
  if (const auto hook = knobs.lock()->before_write) hook();
  if (const auto error = knobs.lock()->write_error) co_return *error;
  std::string stored(as_text(bytes.view()));
  const auto damage = knobs.lock()->damage_written;
  if (damage) damage(stored);
  put(object, std::move(stored));
  co_return ok();
}

Task<Result<primary::ObjectBackends::Composed>> FakeObjectBackends::compose(
    PolicyId, ObjectId target, std::vector<ObjectId> parts, uint64_t) {
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

bool FakeObjectBackends::joins_pieces(PolicyId) {
  return knobs.lock()->joins_pieces;
}
Task<Result<uint64_t>> FakeObjectBackends::join_pieces(PolicyId, ObjectId target,
                                                       std::vector<Piece> pieces) {
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

}  // namespace aster::testing
