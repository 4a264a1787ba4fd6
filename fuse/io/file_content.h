#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/task.h"
#include "protocol/fs/messages.h"

namespace aster {

/// Read-ahead state of one open handle, used only by FileContent::read. Reads of one handle may
/// overlap, as the kernel sends them.
class ReadAhead;
struct RecoveredWrites;

/// The bytes of one regular file as this client sees them: the manifest from the primary with the
/// writes that were not committed yet laid over it. Shared by all handles of the inode.
/// Thread-safe; operations may overlap. A read after a completed write on this client sees it.
///
/// Write path: write() copies into dirty memory -> a sealed part is uploaded in the background
/// -> flush() uploads the rest, then commits extents at the primary. What survives kill -9: before
/// flush() returned, nothing is promised and the file is as its last commit left it (uploaded
/// objects without a commit are collected by the primary); after it returned, everything. With a
/// journal (durability=local) flush() returns when the journal has the data; uploads follow.
class FileContent {
 public:
  virtual ~FileContent() = default;

  /// Up to `length` bytes from `offset`, fewer only at the end of the file; pieces in order.
  /// corrupt/io_error/unavailable/timeout when the bytes cannot be had and verified.
  virtual Task<Result<std::vector<Bytes>>> read(uint64_t offset, uint64_t length,
                                                std::shared_ptr<ReadAhead> ahead) = 0;
  /// Takes the bytes. When too much is dirty, some of it moves to the disk (spill_dir); when that
  /// is full, too, or the servers refuse the data, it waits (back-pressure). A failed background
  /// upload does not fail later writes, unless there is no room left and uploads keep failing for
  /// the timeout: then with why they fail.
  virtual Task<Result<void>> write(uint64_t offset, Bytes data) = 0;
  /// Appends at the end as known here; returns the offset used.
  virtual Task<Result<uint64_t>> append(Bytes data) = 0;
  /// Cuts or extends to change.size, together with the other attributes of `change`, at once at the
  /// primary (dirty data below the new size stays dirty). Returns the primary's attributes. Without
  /// change.size it sets the attributes alone, in turn with commits; an mtime set like this holds
  /// for everything written before, also when that is committed later.
  virtual Task<Result<fs::Attr>> truncate(fs::SetAttr change) = 0;
  /// Uploads and commits everything written before the call. Durable when it returns ok: what a
  /// background upload failed to send is tried again here. After an error the data stays dirty and
  /// readable, nothing of it is visible to others, and the next flush tries again. `sealed`: the
  /// last writer closes.
  virtual Task<Result<void>> flush(bool sealed) = 0;
  /// flush() that always goes to the servers, also with a journal: others see everything when it
  /// returns ok.
  virtual Task<Result<void>> drain(bool sealed) { return flush(sealed); }
  /// Takes over a change of attributes (not of the size), to be sent with the data that flush()
  /// sends next, in one transaction, or alone soon. False: there is no unsent data it could travel
  /// with; send it at once.
  virtual bool defer(const fs::SetAttr& /*change*/) { return false; }
  /// With a journal: a name of the file, in case a conflict copy must be put beside it.
  virtual void known_as(InodeNo /*parent*/, const std::string& /*name*/) {}
  /// What the journal of an earlier mount holds of this file: dirty again, and journaled already.
  virtual Task<Result<void>> recover(std::shared_ptr<const RecoveredWrites> /*writes*/) {
    return unsupported_here();
  }

  /// Attributes from the primary with the size, mtime and blocks of dirty data laid over. When this
  /// content knows newer ones (by `change`) from its own commit, truncate or manifest, those are
  /// the base: an answer that was under way during a commit must not bring the old size back.
  virtual fs::Attr overlay(fs::Attr attr) const = 0;
  virtual bool dirty() const = 0;
  /// Size with dirty data; nullopt after invalidate() until the manifest was fetched.
  virtual std::optional<uint64_t> size() const = 0;
  /// Somebody else changed the content: the manifest is fetched anew before the next read.
  virtual void invalidate() = 0;
  /// Attributes that came from the primary by another way; an unknown data_version invalidates.
  virtual void observe(const fs::Attr& attr) = 0;

  /// Data (or hole, `hole` = true) at or after `offset`, lseek(2) SEEK_DATA/SEEK_HOLE.
  /// no_attribute stands for ENXIO (past the end).
  virtual Task<Result<uint64_t>> seek(uint64_t offset, bool hole) = 0;

 private:
  static Task<Result<void>> unsupported_here() { co_return fail(Errc::unsupported); }
};

class WritebackJournal;
class UnsentErrors;

struct FileIoOptions {
  WritebackJournal* journal = nullptr;       ///< null: durability=remote
  uint64_t dirty_limit = 256ull << 20;       ///< bytes of unsent writes in memory, whole mount
  std::filesystem::path spill_dir = {};      ///< for more of them; empty: writers wait instead
  uint64_t spill_limit = 1ull << 30;         ///< bytes there; shared with the journal, if any
  uint64_t read_ahead_budget = 64ull << 20;  ///< bytes of prefetch under way, whole mount
  uint64_t part_size_max = 64ull << 20;
  uint32_t parallel_uploads = 8;
  uint32_t parallel_downloads = 16;
  std::chrono::milliseconds timeout{30000};  ///< deadline of one read, flush round trip or part
};

struct FileIoStats {
  uint64_t bytes_read_remote = 0;
  uint64_t bytes_uploaded = 0;
  uint64_t dirty_bytes = 0;    ///< in memory and spilled
  uint64_t spilled_bytes = 0;  ///< of them, on disk
  uint64_t corrupt_blocks = 0;
  uint64_t failed_uploads = 0;
};

class PrimaryClient;
class HttpClient;
class BlockCache;
class Executor;

/// Makes FileContent objects and owns what they share: budgets, grants, single flight. Everything
/// handed in must outlive it; it must outlive all contents.
class FileIo {
 public:
  virtual ~FileIo() = default;
  virtual std::shared_ptr<FileContent> content(const fs::Attr& attr) = 0;
  virtual std::shared_ptr<ReadAhead> read_ahead() = 0;
  /// Waits for nothing: fetches what reading these (small, clean) files will need, if there is
  /// room.
  virtual void warm(std::vector<std::shared_ptr<FileContent>> /*files*/) {}
  /// Waits for nothing: stops background uploads and read-ahead.
  virtual void stop() = 0;
  virtual FileIoStats stats() const = 0;
  /// What fails in the background is noted here; what a call returns is for its caller to note.
  virtual UnsentErrors& unsent_errors() = 0;
};

std::unique_ptr<FileIo> make_file_io(FileIoOptions options, PrimaryClient& primary,
                                     HttpClient& http, BlockCache& cache, Executor& executor);

}  // namespace aster
