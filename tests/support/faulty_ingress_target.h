#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/storage/ingress_target.h"

namespace aster::testing {

/// An IngressTarget over another one that fails on cue, as a disk that is dying does.
class FaultyIngressTarget final : public storage::IngressTarget {
 public:
  explicit FaultyIngressTarget(std::shared_ptr<IngressTarget> real) : real_(std::move(real)) {}

  /// Bytes that can still be written; then every write is an I/O error.
  std::atomic<int64_t> writable{INT64_MAX};
  std::atomic<bool> commits_fail{false};
  std::atomic<bool> opens_fail{false};

  Task<Result<std::unique_ptr<storage::StagedObject>>> stage(std::string path,
                                                             uint64_t size) override {
    ASTER_CO_TRY(auto staged, co_await real_->stage(std::move(path), size));
    co_return std::unique_ptr<storage::StagedObject>(
        std::make_unique<Staged>(*this, std::move(staged)));
  }
  Task<Result<storage::OpenObject>> open(std::string path) override {
    if (opens_fail) co_return fail(Errc::io_error, "scripted");
    Result<storage::OpenObject> opened = co_await real_->open(std::move(path));
    co_return opened;
  }
  Task<Result<uint64_t>> stat(std::string path) override { return real_->stat(std::move(path)); }
  Task<Result<void>> remove(std::string path) override { return real_->remove(std::move(path)); }
  Task<Result<storage::ListPage>> list(std::string prefix, uint64_t offset,
                                       uint64_t limit) override {
    return real_->list(std::move(prefix), offset, limit);
  }
  Task<Result<storage::Capacity>> capacity() override { return real_->capacity(); }
  Task<Result<uint64_t>> compose(std::string path, std::vector<std::string> parts,
                                 storage::ComposeOptions options) override {
    return real_->compose(std::move(path), std::move(parts), options);
  }

 private:
  class Staged final : public storage::StagedObject {
   public:
    Staged(FaultyIngressTarget& owner, std::unique_ptr<StagedObject> real)
        : owner_(owner), real_(std::move(real)) {}
    Task<Result<void>> write(ByteView piece) override {
      if (owner_.writable.fetch_sub(static_cast<int64_t>(piece.size())) <
          static_cast<int64_t>(piece.size())) {
        co_return fail(Errc::io_error, "scripted");
      }
      Result<void> written = co_await real_->write(piece);
      co_return written;
    }
    Task<Result<void>> commit() override {
      if (owner_.commits_fail) co_return fail(Errc::io_error, "scripted");
      Result<void> done = co_await real_->commit();
      co_return done;
    }

   private:
    FaultyIngressTarget& owner_;
    std::unique_ptr<StagedObject> real_;
  };

  const std::shared_ptr<IngressTarget> real_;
};

}  // namespace aster::testing
