#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "fuse/io/io_context.h"
#include "fuse/io/upload_object.h"
#include "fuse/io/uploader.h"

namespace aster {

/// Uploads the data of small files. What several of them want to send at the same moment travels as
/// one object (a pack): while packs are under way, others gather and form the next one. Alone a
/// file waits for nobody. Thread-safe.
class Packer : public std::enable_shared_from_this<Packer> {
 public:
  explicit Packer(std::shared_ptr<IoContext> context)
      : context_(std::move(context)), uploader_(context_, Uploader::SharedGrants{}) {}

  /// Files up to this size may share objects.
  static constexpr uint64_t kSmallFile = kBlockSize;

  /// False while the primary wants no sharing.
  bool usable() const { return context_->clock.steady().time_since_epoch().count() >= not_before_; }
  /// As Uploader::upload, with the deadline of whoever of the pack asked first; sets object->base.
  /// unsupported when it must travel alone, with its body untouched. All of a pack go on before any
  /// of them has a request of its own under way.
  Task<Uploader::Outcome> upload(UploadObjectPtr object, InodeNo ino, SteadyTime asked);

 private:
  struct Item {
    UploadObjectPtr object;
    InodeNo ino;
    SteadyTime asked;
    Completion<Uploader::Outcome> done;
  };
  static constexpr size_t kUnderWay = 2;
  static constexpr uint64_t kPackBytes = 1 << 20;
  static constexpr size_t kPackFiles = 256;

  void send_ready();
  std::vector<Item> take_pack();
  Task<void> send(std::vector<Item> items);

  const std::shared_ptr<IoContext> context_;
  Uploader uploader_;
  std::atomic<SteadyTime::rep> not_before_ = SteadyTime::min().time_since_epoch().count();
  std::mutex mutex_;
  std::deque<Item> queue_;
  size_t under_way_ = 0;
};

}  // namespace aster
