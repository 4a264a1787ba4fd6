#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cache/writeback_journal.h"
#include "fuse/io/block_reader.h"
#include "fuse/io/dirty_map.h"
#include "fuse/io/file_content.h"
#include "fuse/io/io_context.h"
#include "fuse/io/manifest_map.h"
#include "fuse/io/packer.h"
#include "fuse/io/uploader.h"

namespace aster {

/// FileContent of a file that lives at the primary and its followers.
///
/// What a read sees, from the top: fresh writes, sealed writes (DirtyMap), the manifest. Commits
/// and truncations take turns (`turn_`); reads, writes and uploads of parts go on meanwhile.
class RemoteFile final : public FileContent,
                         public DirtySource,
                         public std::enable_shared_from_this<RemoteFile> {
 public:
  RemoteFile(std::shared_ptr<IoContext> context, std::shared_ptr<BlockReader> reader,
             std::shared_ptr<Packer> packer, const fs::Attr& attr);
  ~RemoteFile() override;

  Task<Result<std::vector<Bytes>>> read(uint64_t offset, uint64_t length,
                                        std::shared_ptr<ReadAhead> ahead) override;
  Task<Result<void>> write(uint64_t offset, Bytes data) override;
  Task<Result<uint64_t>> append(Bytes data) override;
  Task<Result<fs::Attr>> truncate(fs::SetAttr change) override;
  Task<Result<void>> flush(bool sealed) override;
  Task<Result<void>> drain(bool sealed) override;
  void known_as(InodeNo parent, const std::string& name) override;
  Task<Result<void>> recover(std::shared_ptr<const RecoveredWrites> writes) override;
  bool defer(const fs::SetAttr& change) override;
  fs::Attr overlay(fs::Attr attr) const override;
  bool dirty() const override;
  std::optional<uint64_t> size() const override;
  void invalidate() override;
  void observe(const fs::Attr& attr) override;
  Task<Result<uint64_t>> seek(uint64_t offset, bool hole) override;

  uint64_t sealable_bytes() const override;
  void relieve() override;

  /// Manifests of all of them in one request, then their bytes into the cache. For small files that
  /// will probably be read next.
  static Task<void> warm(std::vector<std::shared_ptr<RemoteFile>> files);

 private:
  /// A commit, and the attributes that went with it, as they were sent.
  struct SentCommit {
    PlannedCommit planned;
    std::vector<fs::BatchItem> items;  // the commit is the last
    uint64_t epoch = 0;
    uint64_t covers = 0;  // up to this number the journal need not keep what it has
  };
  struct State {
    State(std::shared_ptr<DirtyBudget> budget, BlockPool& pool, const fs::Attr& a)
        : attr(a), dirty(std::move(budget), pool) {}
    fs::Attr attr;       // newest from the primary
    bool stale = false;  // somebody changed the content after `attr`
    uint64_t epoch = 0;  // counts invalidations
    ManifestMap manifest;
    DirtyMap dirty;
    std::optional<int64_t> written_at;  // mtime for the next commit
    bool unsealed = false;              // the primary awaits more commits before it composes
    bool collecting = false;            // a flush waits for what it sealed: nothing may cover it
    bool registered = false;            // in the context's list of dirty files
    bool asking = false;                // for the part size, in the background
    bool commit_timer = false;  // uploaded objects are committed before the primary collects them
    SteadyTime retry_after{};   // no uploads in the background before, after one failed
    std::optional<Error> flush_error;  // of the last flush
    // Attributes that travel with the next commit, and those that are under way with one.
    std::optional<fs::SetAttr> deferred;
    std::optional<fs::SetAttr> sending;
    int64_t deferred_at = 0;
    std::shared_ptr<SentCommit> unanswered;  // it may have been applied

    // With a journal: what of the dirty data it does not have yet, and what it has.
    struct Unjournaled {
      Unjournaled slice(uint64_t, uint64_t) const { return {}; }
    };
    IntervalMap<Unjournaled> unjournaled;
    bool attributes_unjournaled = false;
    uint64_t last_number = 0;    // of the last write in the journal
    uint64_t sealed_number = 0;  // the same when a flush sealed everything
    InodeNo parent;              // a name, for conflict copies
    std::string name;
  };

  // remote_file.cpp
  static uint64_t visible_size(const State& state);
  static void adopt(State& state, const fs::Attr& attr);
  void accept(uint64_t offset, const Bytes& data);
  uint64_t accept_at_end(const Bytes& data);
  std::vector<UploadObjectPtr> take_in(State& state, uint64_t offset, const Bytes& data);
  void after_write(std::vector<UploadObjectPtr> full);
  void register_while_dirty(State& state);
  Task<Result<void>> reserve(uint64_t bytes);

  // remote_file_read.cpp
  ReadPlan plan(uint64_t offset, uint64_t length) const;
  static void plan_pending(const State& state, uint64_t offset, uint64_t length, ReadPlan& plan);
  static void plan_manifest(const State& state, uint64_t offset, uint64_t length, ReadPlan& plan);
  struct Attempt;
  Task<Result<std::vector<Bytes>>> try_read(Attempt& attempt);
  Task<Result<void>> recover(Attempt& attempt, Error error);
  Task<Result<void>> refresh(Attempt& attempt);
  void read_ahead(const std::shared_ptr<ReadAhead>& ahead, FileRange read);
  Task<Result<void>> load_manifest(uint64_t offset, SteadyTime deadline,
                                   std::optional<uint64_t> at_most = std::nullopt);
  /// What to ask for, and what was known then; nullopt when `offset` is known already. The caller
  /// has `loading_`.
  struct ManifestLoad {
    FileRange window;
    uint64_t epoch = 0;
    uint64_t version = 0;
  };
  std::optional<ManifestLoad> begin_load(uint64_t offset, std::optional<uint64_t> at_most) const;
  Result<void> finish_load(const ManifestLoad& load, const fs::Manifest& manifest);
  void fetch_whole();
  struct SeekStep;
  SeekStep seek_step(uint64_t at, bool hole) const;

  // remote_file_flush.cpp
  GrantHint grant_hint(uint32_t likely) const;
  bool fits_a_pack() const;
  void start_upload(UploadObjectPtr object, uint32_t likely, bool packed = false);
  void start_uploads(std::vector<UploadObjectPtr> objects);
  Task<void> run_upload(UploadObjectPtr object, GrantHint hint, bool packed);
  void note_background_failure(const Error& error);
  void set_commit_timer();
  void settle(const UploadObjectPtr& object, const Uploader::Outcome& outcome);
  void ask_part_size();
  Task<void> learn_part_size(GrantHint hint);
  Task<Result<void>> upload_everything(SteadyTime deadline);
  Task<Result<void>> flush_in_turn(bool sealed, SteadyTime deadline);
  Task<Result<void>> send_commits(std::vector<PlannedCommit> commits, bool sealed, uint64_t covers);
  Task<Result<void>> send_commit(PlannedCommit planned, std::optional<fs::SetAttr> attributes,
                                 uint64_t covers);
  Task<Result<void>> repeat_unanswered();
  Task<Result<fs::Attr>> exchange(std::shared_ptr<SentCommit> sent, Result<void>* first);
  void committed(const PlannedCommit& planned, const fs::Attr& attr, uint64_t epoch);
  Task<Result<void>> commit_uploaded();
  Task<void> commit_in_background();

  // remote_file_attributes.cpp
  std::optional<fs::SetAttr> take_deferred();
  void deferred_sent(const Result<void>& outcome);
  Task<Result<void>> send_attributes(fs::SetAttr attributes);
  Task<void> send_deferred_alone();

  // remote_file_journal.cpp
  WritebackJournal* journal() const { return context_->options.journal; }
  bool journaled() const { return journal() != nullptr && journal()->holds(ino_); }
  Task<Result<bool>> secure(uint64_t at_most);
  static IntervalMap<State::Unjournaled> take_unjournaled(State& state);
  static void give_back(State& state, const IntervalMap<State::Unjournaled>& taken);
  void describe(State& state, JournaledWrite& write) const;
  Task<void> retire_all();
  static bool gather(const State& state, const IntervalMap<State::Unjournaled>& ranges,
                     std::vector<ReadSlice>& pieces);
  Task<Result<uint64_t>> append_to_journal(JournaledWrite write, std::vector<ReadSlice> pieces);
  Task<void> note_sent(const SentCommit& sent);
  void note_answer(const Result<fs::Attr>& attr, uint64_t covers);
  static void forget_journaled(State& state, const fs::Commit& commit);

  const std::shared_ptr<IoContext> context_;
  const std::shared_ptr<BlockReader> reader_;
  const std::shared_ptr<Packer> packer_;
  const InodeNo ino_;
  Uploader uploader_;
  AsyncMutex turn_;     // commits and truncations
  AsyncMutex loading_;  // manifests
  AsyncMutex journaling_;
  mutable Guarded<State> state_;
};

}  // namespace aster
