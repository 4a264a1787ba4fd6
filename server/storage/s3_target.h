#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/guarded.h"
#include "server/storage/ingress_target.h"
#include "server/storage/s3_client.h"
#include "server/storage/s3_compose.h"
#include "server/storage/s3_upload.h"
#include "server/storage/task_group.h"

namespace aster::storage {

/// What all S3 targets of a program share. Must outlive them and whatever they gave out; `tasks`
/// must go first.
struct S3Services {
  HttpClient& http;
  Executor& executor;
  TaskGroup& tasks;
  AsyncBudget& memory;
};

/// Objects in a bucket. A PUT is atomic there and durable when it is answered. An object that is
/// open for reading is of one version: when it is replaced meanwhile, reading it fails.
class S3Target final : public IngressTarget {
 public:
  struct Options {
    std::string endpoint;  ///< as S3Address::parse takes it
    std::string bucket;
    std::string access_key;
    std::string secret_key;
    std::string prefix;  ///< of every key, without outer '/'; empty = none
    uint64_t part_size = 8 << 20;
    S3PartLimits limits;
  };
  /// Asks nobody. bad_request names the option that is wrong.
  static Result<std::shared_ptr<S3Target>> open(Options options, S3Services services);
  S3Target(Options options, S3Address address, S3Services services);

  /// Whether the bucket can be reached, listed and written, without leaving anything in it.
  Task<Result<void>> check();
  /// Aborts the multipart uploads below `folder`, whoever began them: for the start of a program,
  /// before it serves. None that begins after `cancel` was cancelled is touched.
  Task<Result<void>> abort_leftovers(std::string folder, CancelToken cancel);

  Task<Result<std::unique_ptr<StagedObject>>> stage(std::string path, uint64_t size) override;
  Task<Result<OpenObject>> open(std::string path) override;
  Task<Result<uint64_t>> stat(std::string path) override;
  Task<Result<void>> remove(std::string path) override;
  Task<Result<ListPage>> list(std::string prefix, uint64_t offset, uint64_t limit) override;
  Task<Result<Capacity>> capacity() override;
  Task<Result<uint64_t>> compose(std::string path, std::vector<std::string> parts,
                                 ComposeOptions options) override;

 private:
  /// Where the page that begins at `offset` goes on.
  struct PageMark {
    std::string prefix;
    uint64_t offset = 0;
    std::string after;
    SteadyTime made;
  };
  struct Part {
    std::string key;
    S3Client::Head head;
  };
  Result<std::string> key_of(const std::string& path) const;
  uint64_t part_size_for(uint64_t size) const;
  PageMark page_mark(const std::string& prefix, uint64_t offset) const;
  void keep_mark(PageMark mark);

  Task<Result<std::vector<Part>>> look_at(std::vector<std::string> paths);
  Task<Result<void>> join(std::string key, std::shared_ptr<const std::vector<Part>> parts,
                          uint64_t total);
  Task<Result<void>> join_by_copy(std::string key, std::shared_ptr<const std::vector<Part>> parts,
                                  uint64_t total);
  Task<Result<void>> join_by_stream(std::string key, std::shared_ptr<const std::vector<Part>> parts,
                                    uint64_t total);
  Task<Result<std::string>> make_part(std::shared_ptr<const std::vector<Part>> parts,
                                      S3Client::Upload upload, size_t number, S3ComposeStep step);
  Task<void> remove_parts(std::shared_ptr<const std::vector<Part>> parts);

  const Options options_;
  const S3Services services_;
  const std::shared_ptr<S3Client> client_;
  const S3Sending sending_;
  Guarded<std::deque<PageMark>> marks_;
};

}  // namespace aster::storage
