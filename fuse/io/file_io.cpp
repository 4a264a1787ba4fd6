#include <bit>

#include "fuse/io/block_reader.h"
#include "fuse/io/file_content.h"
#include "fuse/io/io_context.h"
#include "fuse/io/packer.h"
#include "fuse/io/prefetcher.h"
#include "fuse/io/remote_file.h"

namespace aster {
namespace {

class RemoteFileIo final : public FileIo {
 public:
  explicit RemoteFileIo(std::shared_ptr<IoContext> context)
      : context_(std::move(context)),
        reader_(std::make_shared<BlockReader>(context_)),
        packer_(std::make_shared<Packer>(context_)) {}
  ~RemoteFileIo() override {
    context_->stop();
    context_->wait_idle();
  }

  std::shared_ptr<FileContent> content(const fs::Attr& attr) override {
    return std::make_shared<RemoteFile>(context_, reader_, packer_, attr);
  }
  std::shared_ptr<ReadAhead> read_ahead() override {
    auto ahead = std::make_shared<ReadAhead>(context_);
    auto known = context_->read_aheads.lock();
    // Now and then the closed ones are forgotten.
    if (std::has_single_bit(known->size())) {
      std::erase_if(*known, [](const std::weak_ptr<ReadAhead>& entry) { return entry.expired(); });
    }
    known->push_back(ahead);
    return ahead;
  }
  void warm(std::vector<std::shared_ptr<FileContent>> files) override {
    std::vector<std::shared_ptr<RemoteFile>> own;
    for (const auto& file : files) {
      if (auto one = std::dynamic_pointer_cast<RemoteFile>(file)) own.push_back(std::move(one));
    }
    if (!own.empty() && !context_->stopped()) context_->spawn(RemoteFile::warm(std::move(own)));
  }
  void stop() override { context_->stop(); }
  FileIoStats stats() const override {
    return {.bytes_read_remote = context_->bytes_read_remote,
            .bytes_uploaded = context_->bytes_uploaded,
            .dirty_bytes = context_->dirty_budget->in_use() + context_->dirty_budget->lent() +
                           context_->spiller.bytes(),
            .spilled_bytes = context_->spiller.bytes(),
            .corrupt_blocks = context_->corrupt_blocks,
            .failed_uploads = context_->failed_uploads};
  }
  UnsentErrors& unsent_errors() override { return context_->unsent_errors; }

 private:
  const std::shared_ptr<IoContext> context_;
  const std::shared_ptr<BlockReader> reader_;
  const std::shared_ptr<Packer> packer_;
};

}  // namespace

std::unique_ptr<FileIo> make_file_io(FileIoOptions options, PrimaryClient& primary,
                                     HttpClient& http, BlockCache& cache, Executor& executor) {
  auto context = std::make_shared<IoContext>(options, primary, http, cache, executor);
  context->dirty_budget->set_pressure([weak = std::weak_ptr(context)] {
    if (const auto alive = weak.lock()) alive->relieve();
  });
  return std::make_unique<RemoteFileIo>(std::move(context));
}

}  // namespace aster
