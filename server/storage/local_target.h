#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/storage/directory_sync.h"
#include "server/storage/ingress_target.h"
#include "server/storage/local_tree.h"

namespace aster::storage {

/// Objects as files below a folder: temporary file, fdatasync, rename, fsync of the folder. An
/// aborted upload leaves nothing; what a killed process left is removed by open(). While the folder
/// is away (moved, removed, its disk unmounted) nothing is "not found": such calls are unavailable,
/// and go on where they were when it is back.
class LocalTarget final : public IngressTarget {
 public:
  struct Options {
    std::string root;        ///< made when missing; may itself be reached through links
    std::string base = ".";  ///< normalised, below root
    /// Temporary files there belong to uploads that are under way: leave them.
    bool keep_temps = false;
    /// False: the folder was made before. Where it is missing now (a disk that is not mounted) an
    /// empty one would look like the loss of every object: unavailable instead.
    bool create = true;
  };
  /// Blocks. `executor` does all disk work and must outlive the target and its tasks.
  static Result<std::shared_ptr<LocalTarget>> open(const Options& options, Executor& executor);

  Task<Result<std::unique_ptr<StagedObject>>> stage(std::string path, uint64_t size) override;
  Task<Result<OpenObject>> open(std::string path) override;
  Task<Result<uint64_t>> stat(std::string path) override;
  Task<Result<void>> remove(std::string path) override;
  Task<Result<ListPage>> list(std::string prefix, uint64_t offset, uint64_t limit) override;
  Task<Result<Capacity>> capacity() override;
  Task<Result<uint64_t>> compose(std::string path, std::vector<std::string> parts,
                                 ComposeOptions options) override;

  Task<Result<uint64_t>> join_pieces(std::string path, std::vector<ObjectPiece> pieces) override;

  /// What the target and its uploads share; lives as long as either.
  struct Shared;
  explicit LocalTarget(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

 private:
  Task<Result<uint64_t>> join(std::string path, std::vector<std::string> parts, uint64_t total);
  Task<Result<void>> move_single(std::string path, std::string part);
  Task<Result<void>> remove_all(std::vector<std::string> paths);

  const std::shared_ptr<Shared> shared_;
};

}  // namespace aster::storage
