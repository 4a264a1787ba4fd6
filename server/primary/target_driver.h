#pragma once

#include "server/primary/object_driver.h"
#include "server/storage/ingress_target.h"

namespace aster::primary {

/// Objects on a storage target that the primary drives itself: a folder of its own or a bucket.
class TargetDriver final : public ObjectDriver {
 public:
  TargetDriver(std::shared_ptr<storage::IngressTarget> storage, std::string base_path)
      : storage_(std::move(storage)), base_path_(std::move(base_path)) {}

  Task<Result<void>> put(ObjectId object, ObjectUpload upload) override;
  Task<ApiResult<ObjectBody>> open(ObjectId object, WantedRange wanted) override;
  Task<Result<uint64_t>> stat(ObjectId object) override;
  Task<Result<void>> remove(ObjectId object) override;
  Task<std::vector<Result<void>>> remove_many(std::vector<ObjectId> objects) override;
  Task<Result<ObjectBackends::Composed>> compose(ObjectId target, std::vector<ObjectId> parts,
                                                 uint64_t expected_size) override;
  bool joins_pieces() const override { return true; }
  Task<Result<uint64_t>> join_pieces(ObjectId target,
                                     std::vector<ObjectBackends::Piece> pieces) override;
  Task<Result<ObjectBackends::Capacity>> capacity() override;
  Result<std::optional<std::string>> presigned_url(std::string_view, const ObjectId&,
                                                   int64_t) const override {
    return std::optional<std::string>();
  }

 private:
  Task<Result<void>> store(std::string name, ObjectUpload upload);
  std::string path(const ObjectId& object) const { return object_name(base_path_, object); }

  const std::shared_ptr<storage::IngressTarget> storage_;
  const std::string base_path_;
};

}  // namespace aster::primary
