#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/task.h"

namespace aster::primary {

/// A place for one PUT or for ranged GETs of one object. A capability: never log `url`.
struct ObjectUrl {
  std::string url;      ///< absolute (presigned) or a path on this primary (relay)
  int64_t expires = 0;  ///< unix seconds
};

struct PolicyLimits {
  uint64_t part_size = 16ull << 20;  ///< a multiple of kBlockSize
  uint64_t max_object = UINT64_MAX;  ///< largest single object
  uint64_t max_file = UINT64_MAX;    ///< largest file; larger ones fail with too_large
};

/// What new data is for.
struct RouteRequest {
  UserId user;
  uint64_t workspace = 0;
  uint64_t size = 0;  ///< of the file, as far as known
  PolicyId chosen;    ///< for this file by a directory above it; 0 = the usual rules decide
};

/// The objects of all storage policies. One object name on a follower is `files/<hex id>`; names
/// are never used twice. Thread-safe; the first group answers from memory, the tasks talk to
/// followers.
class ObjectBackends {
 public:
  virtual ~ObjectBackends() = default;

  /// The policy for new data. precondition_failed with a clear text when there is no usable one.
  virtual Result<PolicyId> route(const RouteRequest& request) = 0;
  virtual Result<PolicyLimits> limits(PolicyId policy) = 0;
  virtual Result<ObjectUrl> upload_url(PolicyId policy, const ObjectId& object) = 0;
  virtual Result<ObjectUrl> read_url(PolicyId policy, const ObjectId& object) = 0;
  /// Bytes on the policy's storage: {total, free}; unsupported when it cannot say.
  struct Capacity {
    uint64_t total = 0;
    uint64_t free = 0;
  };
  virtual Result<Capacity> capacity(PolicyId policy) = 0;

  /// Where the data of a policy lies, for people. Names come from administrators.
  struct Place {
    PolicyId id;
    std::string policy;
    std::string driver;  ///< "local", "remote", "s3"
    std::string node;    ///< empty: the primary itself writes it
    bool is_default = false;
    std::string trouble;  ///< why it takes no data now; empty = it does
    std::optional<Capacity> capacity;
  };
  /// Every policy, by id.
  virtual std::vector<Place> places() = 0;

  /// Size of a stored object; not_found.
  virtual Task<Result<uint64_t>> stat(PolicyId policy, ObjectId object) = 0;
  /// Missing objects count as removed.
  virtual Task<Result<void>> remove(PolicyId policy, ObjectId object) = 0;
  /// remove() of each, in order; in few calls where the storage can.
  virtual Task<std::vector<Result<void>>> remove_many(PolicyId policy,
                                                      std::vector<ObjectId> objects) {
    std::vector<Task<Result<void>>> each;
    for (ObjectId& object : objects) each.push_back(remove(policy, object));
    co_return co_await when_all(std::move(each));
  }
  /// All of a small object, of `size` bytes.
  virtual Task<Result<Bytes>> read(PolicyId policy, ObjectId object, uint64_t size) = 0;
  /// Part of an object: exactly `length` bytes from `offset`.
  virtual Task<Result<Bytes>> read_range(PolicyId policy, ObjectId object, uint64_t offset,
                                         uint64_t length) = 0;
  /// Stores a small object; durable when answered.
  virtual Task<Result<void>> write(PolicyId policy, ObjectId object, Bytes bytes) = 0;
  /// Joins whole objects of one policy, in order, into `target`; durable when answered. Whether the
  /// parts are still there afterwards is answered: foreign followers delete them.
  struct Composed {
    uint64_t size = 0;
    bool parts_kept = false;
  };
  virtual Task<Result<Composed>> compose(PolicyId policy, ObjectId target,
                                         std::vector<ObjectId> parts, uint64_t expected_size) = 0;
  /// A piece of an object, not empty.
  struct Piece {
    ObjectId object;
    uint64_t offset = 0;
    uint64_t length = 0;
  };
  /// True when join_pieces() works there now: foreign followers cannot.
  virtual bool joins_pieces(PolicyId policy) = 0;
  /// Joins pieces of objects of one policy, in order, into `target`; durable when answered. The
  /// objects stay. Its size is answered.
  virtual Task<Result<uint64_t>> join_pieces(PolicyId policy, ObjectId target,
                                             std::vector<Piece> pieces) = 0;
};

}  // namespace aster::primary
