#include "server/primary/backends.h"

#include <unistd.h>

#include <cerrno>

#include "protocol/base/log.h"
#include "protocol/checksum.h"
#include "server/primary/follower_registry.h"
#include "server/primary/memory_source.h"
#include "server/primary/remote_driver.h"
#include "server/primary/s3_storage.h"
#include "server/primary/target_driver.h"

namespace aster::primary {
namespace {

std::string_view name_of(Driver driver) {
  switch (driver) {
    case Driver::local: return "local";
    case Driver::remote: return "remote";
    case Driver::s3: return "s3";
  }
  return {};
}

Result<void> read_file(const http::FileBody& file, std::span<std::byte> room) {
  while (!room.empty()) {
    const auto at = static_cast<off_t>(file.offset + file.length - room.size());
    const ssize_t n = ::pread(file.fd.get(), room.data(), room.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read an object");
    if (n == 0) return fail(Errc::io_error, "object ended early");
    room = room.subspan(static_cast<size_t>(n));
  }
  return ok();
}

}  // namespace

Result<PolicyId> PolicyBackends::route(const RouteRequest& request) {
  // A file that was made under a choice outlives it: where the policy was removed, the usual one
  // takes its new data.
  if (const auto chosen = policies_.find(request.chosen); chosen.ok()) {
    ASTER_TRY(const auto there, driver_of(**chosen));
    static_cast<void>(there);
    return (*chosen)->id;
  }
  const auto usable_policy = [this](PolicyId id) -> Result<void> {
    ASTER_TRY(const auto found, policies_.find(id));
    ASTER_TRY(const auto there, driver_of(*found));
    static_cast<void>(there);
    return ok();
  };
  ASTER_TRY(const std::optional<PolicyId> ruled, groups_.choose(request, usable_policy));
  if (ruled) return *ruled;
  ASTER_TRY(const auto policy, policies_.default_policy());
  // Asked for here so that a full answer ("node x is disabled") comes before the first byte moves.
  ASTER_TRY(const auto usable, driver_of(*policy));
  static_cast<void>(usable);
  return policy->id;
}

Result<PolicyLimits> PolicyBackends::limits(PolicyId policy) {
  ASTER_TRY(const auto found, policies_.find(policy));
  return found->limits;
}

Result<ObjectUrl> PolicyBackends::upload_url(PolicyId policy, const ObjectId& object) {
  return url_for("PUT", policy, object);
}

Result<ObjectUrl> PolicyBackends::read_url(PolicyId policy, const ObjectId& object) {
  return url_for("GET", policy, object);
}

Result<ObjectUrl> PolicyBackends::url_for(std::string method, PolicyId policy,
                                          const ObjectId& object) const {
  ASTER_TRY(const auto found, policies_.find(policy));
  ObjectUrl out{.expires = clock_.now_seconds() + kUrlLifetime};
  const bool presigned = method == "PUT" ? found->presigned_upload : found->presigned_download;
  if (presigned) {
    ASTER_TRY(const auto driver, driver_of(*found));
    ASTER_TRY(std::optional<std::string> url, driver->presigned_url(method, object, out.expires));
    if (url) {
      out.url = std::move(*url);
      return out;
    }
  }
  out.url = relay_.path_for({std::move(method), policy, object, out.expires});
  return out;
}

Result<ObjectBackends::Capacity> PolicyBackends::capacity(PolicyId policy) {
  auto known = capacities_.lock();
  const auto found = known->find(policy);
  if (found == known->end()) return fail(Errc::unsupported, "the capacity is not known");
  return found->second;
}

std::vector<ObjectBackends::Place> PolicyBackends::places() {
  std::vector<Place> places;
  for (const db::PolicyRow& row : policies_.rows()) {
    const auto policy = policies_.find(row.id);
    if (!policy.ok()) continue;  // removed meanwhile
    Place place;
    place.id = row.id;
    place.policy = (*policy)->name;
    place.is_default = (*policy)->is_default;
    place.driver = name_of((*policy)->driver);
    if (const auto node = registry_.find((*policy)->node); node.ok()) {
      place.node = (*node)->row.name;
      place.trouble = (*node)->row.last_error;
    }
    if ((*policy)->driver == Driver::s3) place.trouble = s3_.trouble(row.id);
    if (const auto usable = driver_of(**policy); !usable.ok()) {
      place.trouble = usable.error().context;
    }
    if (const auto known = capacity(row.id); known.ok()) place.capacity = *known;
    places.push_back(std::move(place));
  }
  return places;
}

Task<Result<uint64_t>> PolicyBackends::stat(PolicyId policy, ObjectId object) {
  ASTER_CO_TRY(const auto store, driver(policy));
  co_return co_await store->stat(object);
}

Task<Result<void>> PolicyBackends::remove(PolicyId policy, ObjectId object) {
  ASTER_CO_TRY(const auto store, driver(policy));
  co_return co_await store->remove(object);
}

Task<std::vector<Result<void>>> PolicyBackends::remove_many(PolicyId policy,
                                                            std::vector<ObjectId> objects) {
  const Result<std::shared_ptr<ObjectDriver>> store = driver(policy);
  if (!store.ok()) {
    const std::vector<Result<void>> none(objects.size(), Result<void>(store.error()));
    co_return none;
  }
  co_return co_await (*store)->remove_many(std::move(objects));
}

Task<Result<Bytes>> PolicyBackends::read(PolicyId policy, ObjectId object, uint64_t size) {
  ASTER_CO_TRY(const auto store, driver(policy));
  WantedRange whole;
  ApiResult<ObjectBody> opened = co_await store->open(object, std::move(whole));
  if (!opened.ok()) co_return fail(Errc::io_error, opened.error().message);
  if (opened->size != size) co_return fail(Errc::corrupt, "object of another size");
  auto bytes = co_await read_body(*opened, size);
  co_return bytes;
}

Task<Result<Bytes>> PolicyBackends::read_range(PolicyId policy, ObjectId object, uint64_t offset,
                                               uint64_t length) {
  ASTER_CO_TRY(const auto store, driver(policy));
  WantedRange part;
  part.header = "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + length - 1);
  ApiResult<ObjectBody> opened = co_await store->open(object, std::move(part));
  if (!opened.ok()) co_return fail(Errc::io_error, opened.error().message);
  if (opened->range.offset != offset || opened->range.length != length) {
    co_return fail(Errc::corrupt, "the storage has another part of the object than asked for");
  }
  auto bytes = co_await read_body(*opened, length);
  co_return bytes;
}

Task<Result<Bytes>> PolicyBackends::read_body(const ObjectBody& body, uint64_t size) {
  std::string bytes(size, '\0');
  const std::span<std::byte> room = std::as_writable_bytes(std::span(bytes));
  if (const auto* file = std::get_if<http::FileBody>(&body.bytes)) {
    ASTER_CO_TRY(co_await executor_.run([&] { return read_file(*file, room); }));
    co_return Bytes::from_string(std::move(bytes));
  }
  const auto source = std::get<std::shared_ptr<ByteSource>>(body.bytes);
  for (size_t filled = 0; filled < size;) {
    ASTER_CO_TRY(const size_t n, co_await source->read(room.subspan(filled)));
    if (n == 0) co_return fail(Errc::io_error, "object ended early");
    filled += n;
  }
  co_return Bytes::from_string(std::move(bytes));
}

Task<Result<void>> PolicyBackends::write(PolicyId policy, ObjectId object, Bytes bytes) {
  ASTER_CO_TRY(const auto store, driver(policy));
  ObjectUpload upload;
  upload.length = bytes.size();
  upload.crc32c = crc32c(bytes.view());
  upload.body = std::make_shared<MemorySource>(std::move(bytes));
  const Result<void> stored = co_await store->put(object, std::move(upload));
  co_return stored;
}

Task<Result<ObjectBackends::Composed>> PolicyBackends::compose(PolicyId policy, ObjectId target,
                                                               std::vector<ObjectId> parts,
                                                               uint64_t expected_size) {
  ASTER_CO_TRY(const auto store, driver(policy));
  co_return co_await store->compose(target, std::move(parts), expected_size);
}

bool PolicyBackends::joins_pieces(PolicyId policy) {
  const auto store = driver(policy);
  return store.ok() && (*store)->joins_pieces();
}

Task<Result<uint64_t>> PolicyBackends::join_pieces(PolicyId policy, ObjectId target,
                                                   std::vector<Piece> pieces) {
  ASTER_CO_TRY(const auto store, driver(policy));
  co_return co_await store->join_pieces(target, std::move(pieces));
}

Result<std::shared_ptr<ObjectDriver>> PolicyBackends::driver(PolicyId policy) const {
  ASTER_TRY(const auto found, policies_.find(policy));
  return driver_of(*found);
}

Result<std::shared_ptr<ObjectDriver>> PolicyBackends::driver_of(const Policy& policy) const {
  switch (policy.driver) {
    case Driver::local: return local_driver(policy);
    case Driver::s3: return s3_driver(policy);
    case Driver::remote: return remote_driver(policy);
  }
  return fail(Errc::internal, "a driver without a name");
}

Result<std::shared_ptr<ObjectDriver>> PolicyBackends::local_driver(const Policy& policy) const {
  if (!local_) return fail(Errc::precondition_failed, "this server has no local storage");
  std::shared_ptr<ObjectDriver> made = std::make_shared<TargetDriver>(local_, policy.base_path);
  return made;
}

Result<std::shared_ptr<ObjectDriver>> PolicyBackends::s3_driver(const Policy& policy) const {
  ASTER_TRY(std::shared_ptr<storage::IngressTarget> bucket, s3_.open(policy));
  // The target puts the base path before its keys.
  std::shared_ptr<ObjectDriver> made =
      std::make_shared<TargetDriver>(std::move(bucket), std::string());
  return made;
}

Result<std::shared_ptr<ObjectDriver>> PolicyBackends::remote_driver(const Policy& policy) const {
  const ApiResult<FollowerRef> follower = registry_.usable(policy.node);
  if (!follower.ok()) {
    return fail(Errc::precondition_failed,
                "storage policy " + policy.name + ": " + follower.error().message);
  }
  std::shared_ptr<ObjectDriver> made = std::make_shared<RemoteDriver>(
      registry_.client_for(**follower, policy.target_key), policy, executor_);
  return made;
}

Task<void> PolicyBackends::refresh_capacities() {
  const std::vector<db::PolicyRow> rows = policies_.rows();
  for (const db::PolicyRow& row : rows) {
    const auto policy = policies_.find(row.id);
    if (policy.ok() && (*policy)->driver == Driver::s3) {
      co_await s3_.probe(**policy);  // a bucket has no capacity to tell
      continue;
    }
    const Result<Capacity> found = co_await refresh_capacity(row.id);
    if (!found.ok()) {
      ASTER_LOG(debug, "capacity_unknown", {"policy", row.id.value}, {"err", found.error()});
    }
  }
}

Task<Result<ObjectBackends::Capacity>> PolicyBackends::refresh_capacity(PolicyId policy) {
  ASTER_CO_TRY(const auto store, driver(policy));
  ASTER_CO_TRY(const Capacity found, co_await store->capacity());
  capacities_.lock()->insert_or_assign(policy, found);
  co_return found;
}

}  // namespace aster::primary
