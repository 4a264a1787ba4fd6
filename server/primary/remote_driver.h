#pragma once

#include "server/primary/follower_registry.h"
#include "server/primary/object_driver.h"
#include "server/primary/policies.h"

namespace aster::primary {

/// Objects on a follower.
class RemoteDriver final : public ObjectDriver {
 public:
  /// `client` speaks to the policy's target; `executor` runs what streams between two connections.
  RemoteDriver(std::shared_ptr<FollowerClient> client, const Policy& policy, Executor& executor);

  Task<Result<void>> put(ObjectId object, ObjectUpload upload) override;
  Task<ApiResult<ObjectBody>> open(ObjectId object, WantedRange wanted) override;
  Task<Result<uint64_t>> stat(ObjectId object) override;
  Task<Result<void>> remove(ObjectId object) override;
  Task<std::vector<Result<void>>> remove_many(std::vector<ObjectId> objects) override;
  Task<Result<ObjectBackends::Composed>> compose(ObjectId target, std::vector<ObjectId> parts,
                                                 uint64_t expected_size) override;
  bool joins_pieces() const override { return client_->endpoint().joins_ranges; }
  Task<Result<uint64_t>> join_pieces(ObjectId target,
                                     std::vector<ObjectBackends::Piece> pieces) override;
  Task<Result<ObjectBackends::Capacity>> capacity() override;
  Result<std::optional<std::string>> presigned_url(std::string_view method, const ObjectId& object,
                                                   int64_t expires) const override;

 private:
  std::string key(const ObjectId& object) const { return object_name(base_path_, object); }
  Task<ApiResult<std::optional<ByteRange>>> part_of(std::string key, WantedRange wanted);
  Task<ApiResult<ObjectBody>> begin(std::string key, std::optional<ByteRange> range);

  const std::shared_ptr<FollowerClient> client_;
  const std::string base_path_;
  const uint64_t max_file_size_;
  Executor& executor_;
};

}  // namespace aster::primary
