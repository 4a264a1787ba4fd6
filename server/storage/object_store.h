#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/messages.h"
#include "server/storage/ingress_target.h"

namespace aster::storage {

struct PutOptions {
  uint64_t length = 0;             ///< bytes the body must have
  std::optional<uint32_t> crc32c;  ///< of the whole body, checked before the commit
};

/// The objects of one namespace on one target, by the keys of the protocol. Confinement of keys is
/// its job alone: whatever a key says, it stays below the namespace. bad_request for keys that
/// normalize_key refuses and for the root. Cheap to make; thread-safe.
class ObjectStore {
 public:
  /// `executor` computes digests and must outlive the tasks.
  ObjectStore(std::shared_ptr<IngressTarget> target, std::string storage_namespace,
              Executor& executor)
      : target_(std::move(target)), namespace_(std::move(storage_namespace)), executor_(executor) {}

  /// Takes exactly `options.length` bytes of `body` and makes them durable under `key`. Answers
  /// their SHA-256 as hex. corrupt when the checksum does not match, io_error when the body is
  /// short; nothing is stored then.
  Task<Result<std::string>> put(std::string key, std::shared_ptr<ByteSource> body,
                                PutOptions options) const;
  Task<Result<OpenObject>> open(std::string key) const;
  Task<Result<uint64_t>> stat(std::string key) const;
  Task<Result<void>> remove(std::string key) const;
  /// Keys below `prefix` (a folder), without the namespace. `limit` nullopt = all.
  Task<Result<ObjectList>> list(std::string prefix, uint64_t cursor,
                                std::optional<uint64_t> limit) const;
  /// bad_request also for a part that is the destination.
  Task<Result<uint64_t>> compose(std::string key, std::vector<std::string> parts,
                                 ComposeOptions options) const;
  /// Joins pieces of objects, which stay. bad_request also for a piece of the destination, or one
  /// that is not all there; corrupt when they are not `expected_size` bytes together.
  Task<Result<uint64_t>> join_pieces(std::string key, std::vector<PartRange> parts,
                                     uint64_t expected_size) const;
  /// remove() of each, in order.
  Task<std::vector<Result<void>>> remove_many(std::vector<std::string> keys) const;

 private:
  const std::shared_ptr<IngressTarget> target_;
  const std::string namespace_;
  Executor& executor_;
};

}  // namespace aster::storage
