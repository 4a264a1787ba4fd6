#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "server/storage/ingress_target.h"
#include "server/storage/s3_client.h"
#include "server/storage/task_group.h"

namespace aster::storage {

/// What uploads to one bucket share. All references must outlive `tasks`.
struct S3Sending {
  std::shared_ptr<S3Client> client;
  Executor& executor;
  TaskGroup& tasks;     ///< aborts go on here
  AsyncBudget& memory;  ///< bytes of parts that are filled or under way
};

/// A multipart upload that is aborted unless it was completed.
class S3PartSet {
 public:
  S3PartSet(S3Sending sending, S3Client::Upload upload)
      : sending_(std::move(sending)), upload_(std::move(upload)) {}
  ~S3PartSet();
  S3PartSet(const S3PartSet&) = delete;
  S3PartSet& operator=(const S3PartSet&) = delete;

  const S3Client::Upload& upload() const noexcept { return upload_; }
  /// No part may be under way.
  Task<Result<void>> complete(std::vector<std::string> etags, uint64_t size);

 private:
  static Task<void> discard(S3Sending sending, S3Client::Upload upload);

  const S3Sending sending_;
  const S3Client::Upload upload_;
  bool completed_ = false;
};

/// A new object of `size` bytes: one PUT up to `part_size`, else parts of that size, one filled
/// while the one before is sent. Memory is drawn from the budget at the first byte.
class S3Upload final : public StagedObject {
 public:
  S3Upload(S3Sending sending, std::string key, uint64_t size, uint64_t part_size)
      : sending_(std::move(sending)), key_(std::move(key)), size_(size), part_size_(part_size) {}
  ~S3Upload() override;

  Task<Result<void>> write(ByteView piece) override;
  Task<Result<void>> commit() override;

 private:
  struct Buffer {
    std::shared_ptr<std::byte[]> memory;
    uint64_t filled = 0;
  };
  using PartOutcome = Result<std::string>;
  uint64_t memory_wanted() const { return std::min(size_, 2 * part_size_); }
  /// Full, or the last one.
  bool is_part_ready() const;
  Task<Result<void>> send_part();
  Task<Result<void>> wait_for_part();
  Task<Result<void>> put_whole();
  static Task<void> release(S3Sending sending, std::shared_ptr<Completion<PartOutcome>> under_way,
                            std::unique_ptr<S3PartSet> parts, uint64_t memory, CancelToken cancel);

  const S3Sending sending_;
  const std::string key_;
  const uint64_t size_;
  const uint64_t part_size_;
  uint64_t written_ = 0;
  uint64_t held_ = 0;  ///< of the budget
  Buffer filling_;
  std::shared_ptr<std::byte[]> sent_;  ///< memory of the part before; used again once it is through
  std::unique_ptr<S3PartSet> parts_;
  std::vector<std::string> etags_;
  std::shared_ptr<Completion<PartOutcome>> under_way_;
  CancelToken cancel_;
};

}  // namespace aster::storage
