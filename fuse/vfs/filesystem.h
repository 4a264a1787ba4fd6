#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cache/writeback_journal.h"
#include "fuse/io/file_content.h"
#include "fuse/io/unsent_errors.h"
#include "fuse/vfs/dir_cache.h"
#include "fuse/vfs/dir_handle.h"
#include "fuse/vfs/file_handle.h"
#include "fuse/vfs/file_locks.h"
#include "fuse/vfs/handle_table.h"
#include "fuse/vfs/inode_table.h"
#include "fuse/vfs/kept_content.h"
#include "fuse/vfs/kernel_cache.h"
#include "fuse/vfs/lease_keeper.h"
#include "fuse/vfs/lease_state.h"
#include "fuse/vfs/lifeline.h"
#include "fuse/vfs/remote.h"
#include "fuse/vfs/types.h"
#include "protocol/base/executor.h"
#include "protocol/client/primary_client.h"

namespace aster {

/// How long a kernel is told to believe names that it cannot forget all at once (before Linux
/// 6.16): in a directory that two mounts change at the same time a change may wait for that long.
inline constexpr std::chrono::seconds kShortNameTtl{1};

/// A mounted drive without the kernel: one method per operation of the kernel, ids in, results out.
/// Thread-safe. Methods answer at once what memory can answer and otherwise finish on the executor.
///
/// Freshness: under leases (VfsOptions::lease_term) everything the primary said is believed until
/// an event about it comes, by the kernel too, as long as the lease is held, and not at all while
/// it is not; then also reads of open files ask first. Without leases names and attributes are
/// believed for VfsOptions::entry_ttl, less when an event about them comes, not at all while the
/// event stream is lost. When the primary cannot be reached and the event stream is lost too, a
/// soft mount answers look-ups, attributes and opens from what it last saw, so that cached data can
/// be read on; these answers are believed for no time. A hard mount waits instead. Changes always
/// need the primary.
///
/// Durability: changes of the namespace are durable when answered. Written data is durable when
/// flush() (close(2)) or fsync() succeeded.
class Filesystem final : public KeptContent {
 public:
  struct Parts {
    PrimaryClient& primary;
    FileIo& io;
    KernelCache& kernel;
    Executor& executor;
    const Clock& clock;
    LockClient* locks = nullptr;  ///< null: flock(2) and fcntl(2) locks are unsupported
  };
  /// `parts` must outlive it.
  Filesystem(Parts parts, VfsOptions options);
  /// Waits for work in the background. Call flush_all() before.
  ~Filesystem() override;
  Filesystem(const Filesystem&) = delete;
  Filesystem& operator=(const Filesystem&) = delete;

  InodeNo root() const { return options_.root; }
  bool hard() const { return options_.hard; }
  /// False while the event stream is lost: nothing known is believed.
  bool trusted() const { return inodes_.trusted(); }

  /// One operation of the primary, as it is.
  Task<Result<fs::Answer>> ask(fs::Operation operation, Caller who) {
    return remote_.ask(std::move(operation), std::move(who));
  }

  // ---- names (filesystem.cpp, filesystem_tree.cpp)
  Task<Result<Found>> lookup(InodeNo parent, std::string name, Caller who);
  void forget(InodeNo ino, uint64_t lookups);

  struct NewNode {
    InodeNo parent;
    std::string name;
    fs::FileType type = fs::FileType::regular;
    uint32_t mode = 0;
    uint64_t rdev = 0;
    std::string target;
    uint32_t umask = 0;  ///< of the caller, not yet taken off `mode`
  };
  Task<Result<Entry>> make(NewNode node, Caller who);
  Task<Result<Entry>> link(InodeNo ino, InodeNo parent, std::string name, Caller who);
  Task<Result<void>> unlink(InodeNo parent, std::string name, Caller who);
  Task<Result<void>> rmdir(InodeNo parent, std::string name, Caller who);
  struct RenameArgs {
    InodeNo parent;
    std::string name;
    InodeNo new_parent;
    std::string new_name;
    unsigned flags = 0;  ///< RENAME_NOREPLACE, RENAME_EXCHANGE
  };
  Task<Result<void>> rename(RenameArgs args, Caller who);

  // ---- attributes (filesystem.cpp)
  Task<Result<Attributes>> getattr(InodeNo ino, Caller who);
  Task<Result<Attributes>> setattr(fs::SetAttr change, Caller who);
  Task<Result<std::string>> readlink(InodeNo ino, Caller who);
  /// From a cached value that is refreshed in the background; never waits.
  fs::StatFsAnswer statfs();
  /// The same for an inode, which may lie in a folder with a quota of its own. Waits a second at
  /// most, and then says what the drive says.
  Task<fs::StatFsAnswer> statfs_of(InodeNo ino);

  // ---- files (filesystem_file.cpp)
  Task<Result<Opened>> open(InodeNo ino, int flags, Caller who);
  struct CreateArgs {
    InodeNo parent;
    std::string name;
    uint32_t mode = 0;
    int flags = 0;
    uint32_t umask = 0;  ///< of the caller, not yet taken off `mode`
  };
  Task<Result<Created>> create(CreateArgs args, Caller who);
  Task<Result<std::vector<Bytes>>> read(HandleId handle, uint64_t offset, uint64_t length,
                                        Caller who);
  struct WriteArgs {
    uint64_t offset = 0;
    int flags = 0;            ///< of the open file as they are now (fcntl(2) may set O_APPEND)
    bool from_pages = false;  ///< written back from a shared mapping, not by write(2)
  };
  /// All of `data` or an error; the count is its size.
  Task<Result<size_t>> write(HandleId handle, Bytes data, WriteArgs args, Caller who);
  /// `lock_owner`: of the kernel; its fcntl(2) locks on the file end.
  Task<Result<void>> flush(HandleId handle, Caller who, uint64_t lock_owner = 0);
  Task<Result<void>> fsync(HandleId handle, Caller who);
  /// FileLocks::set(). What was written under an exclusive lock is where others find it before they
  /// can have the lock, as with fsync; a failure of that is left to the next fsync or close.
  Task<Result<void>> set_lock(FileLocks::Wish wish, bool wait, Caller who);
  /// Names that were made in directories are durable when it returns.
  Task<Result<void>> fsyncdir(Caller who);
  /// Never fails; data that is still unsent goes on in the background.
  void release(HandleId handle);
  struct RangeArgs {
    uint64_t offset = 0;
    uint64_t length = 0;
  };
  /// `mode` as of fallocate(2): 0, FALLOC_FL_PUNCH_HOLE or FALLOC_FL_ZERO_RANGE with or without
  /// FALLOC_FL_KEEP_SIZE, or that alone; unsupported for the rest. Space is not reserved, but
  /// asking for more than there is fails with no_space.
  Task<Result<void>> fallocate(HandleId handle, int mode, RangeArgs range, Caller who);
  Task<Result<uint64_t>> seek(HandleId handle, uint64_t offset, bool hole, Caller who);
  /// Bytes copied, fewer at the end of the source.
  Task<Result<uint64_t>> copy_range(HandleId source, uint64_t source_offset, HandleId target,
                                    RangeArgs target_range, Caller who);

  // ---- directories (filesystem_dir.cpp)
  Task<Result<HandleId>> opendir(InodeNo ino, Caller who);
  Task<Result<DirSlice>> readdir(HandleId handle, uint64_t offset, Caller who);
  /// Counts a look-up for an entry that readdirplus hands to the kernel.
  Entry listed(InodeNo directory, const DirItem& item, InodeTable::Ticket ticket);
  void releasedir(HandleId handle);

  FileLocks& locks() { return locks_; }

  // ---- extended attributes (filesystem_xattr.cpp)
  Task<Result<std::string>> getxattr(InodeNo ino, std::string name, Caller who);
  /// Names that the caller may know: trusted ones are for uid 0.
  Task<Result<std::vector<std::string>>> listxattr(InodeNo ino, Caller who);
  Task<Result<void>> setxattr(fs::SetXattr change, Caller who);
  /// True for the attributes that set_acl() takes.
  static bool is_acl(std::string_view name);
  /// The same for an access control list. Like chmod(2) it takes the set-group-id bit away unless
  /// the file's group is among the caller's `groups`.
  Task<Result<void>> set_acl(fs::SetXattr change, std::vector<uint32_t> groups, Caller who);
  Task<Result<void>> removexattr(InodeNo ino, std::string name, Caller who);

  // ---- events (filesystem_events.cpp); called one at a time
  /// `recalled`: somebody waits for the acknowledgement.
  void on_event(const fs::Invalidation& event, bool recalled = false);
  void on_lease(uint64_t lease);
  void on_reset();
  void on_state(bool alive);

  // ---- journal (filesystem_journal.cpp)
  /// Takes up what an earlier mount left in the journal; before the first operation. How many
  /// files.
  Task<Result<size_t>> recover_journal();

  /// Files whose data could not be sent when that was tried last, and still is unsent.
  struct UnsentFile {
    UnsentErrors::Entry why;
    std::string path;  ///< from the root of the mount; empty: no name is known
  };
  std::vector<UnsentFile> unsent_files();

  // ---- end
  /// Sends everything unsent; how many files (each is logged) and names could not be sent. What is
  /// in the journal does not count: the next mount sends it.
  Task<size_t> flush_all();
  /// Ends repetitions for ever (`hard`, background flushes).
  void stop();

  const InodeTable& inodes() const { return inodes_; }
  LeaseState lease_state() const;

  // ---- KeptContent (filesystem_journal.cpp)
  Task<void> send_content(std::vector<InodeNo> inodes) override;
  void given_back(const std::vector<InodeNo>& inodes) override;

 private:
  /// Notes an access, as relatime wants it; the primary learns of it a little later.
  void was_read(InodeNo ino);
  bool access_is_news(const fs::Attr& attr) const;
  Task<void> send_accesses();

  /// Whether what `range` adds to a file of `size` bytes could fit at all.
  Result<void> check_space(uint64_t size, RangeArgs range);
  Attributes note(const fs::Attr& attr, InodeTable::Ticket ticket, bool own = false);
  Entry note_found(InodeNo parent, const std::string& name, const fs::Attr& attr,
                   InodeTable::Ticket ticket, bool own = false);
  void settle(const InodeTable::Noted& noted, const fs::Attr& attr);
  bool leased() const { return options_.lease_term.count() > 0; }
  /// What the kernel may be told about a name: less where it could not be taken back at once.
  Duration for_kernel(Duration name_ttl) const;
  /// A change whose outcome may stay unknown: then nothing is believed that was told before.
  template <class A>
  Task<Result<A>> change(fs::Operation operation, Caller who) {
    Result<A> answer = co_await remote_.call<A>(std::move(operation), std::move(who));
    if (!answer.ok()) doubt(answer.error());
    co_return answer;
  }
  /// A change of names that also changes `inodes`, mostly directories; their new attributes come
  /// with its answer, because the kernel asks for them next.
  template <class A>
  Task<Result<A>> change_names(fs::Operation operation, std::vector<InodeNo> inodes, Caller who) {
    const InodeTable::Ticket ticket = inodes_.ticket();
    Remote::Changed changed = co_await remote_.change(std::move(operation), inodes, std::move(who));
    Result<A> answer = Remote::pick<A>(std::move(changed.answer));
    if (!answer.ok()) doubt(answer.error());
    for (size_t i = 0; i < inodes.size(); ++i) {
      const bool told = i < changed.inodes.size();
      note_changed(inodes[i], ticket, told ? &changed.inodes[i] : nullptr);
    }
    co_return answer;
  }
  /// `told`: what the primary says about the inode; without it that is asked for when needed.
  void note_changed(InodeNo ino, InodeTable::Ticket ticket, const Result<fs::Answer>* told);
  void doubt(const Error& error);
  /// Looks again whenever the lease may be over; see there.
  void watch_lease();

  /// While it lives the kernel may hold the locks of these directories for a request of ours.
  class Changing {
   public:
    Changing(Filesystem& filesystem, InodeNo directory, InodeNo other = InodeNo());
    ~Changing();
    Changing(const Changing&) = delete;
    Changing& operator=(const Changing&) = delete;

   private:
    Filesystem& filesystem_;
    const InodeNo directories_[2];
  };
  void drop_entry(const fs::Invalidation::Entry& entry, const DropToken& token);
  void drop_all_entries(InodeNo directory, const DropToken& token);
  /// The kernel cannot give back entries of this directory now: forget all names instead.
  void release_entries(InodeNo directory);
  bool being_changed(InodeNo directory) const;
  /// What a listing that was fetched before says about a name, if that may still be believed.
  std::optional<Found> find_listed(InodeNo parent, const std::string& name);
  /// The first page of a directory whose names are looked up one by one.
  Task<void> fetch_listing(InodeNo directory);
  std::optional<fs::Attr> old_entry(InodeNo parent, const std::string& name) const;
  void after_removal(const fs::Removed& removed, bool asked_to_hold);
  Task<Result<Entry>> add(fs::Create create, Caller who);

  Task<Result<std::vector<std::string>>> xattr_names(InodeNo ino, Caller who);
  /// Access control lists come with the attributes.
  Task<Result<std::string>> acl(InodeNo ino, std::string name, Caller who);
  Task<Result<std::string>> own_attribute(InodeNo ino, std::string name, Caller who);
  /// Names and one value in a single round trip.
  Task<Result<std::string>> first_getxattr(InodeNo ino, std::string name);

  Task<Result<std::shared_ptr<FileContent>>> content_of(InodeNo ino, Caller who);
  std::optional<Attributes> defer(const fs::SetAttr& change);
  Task<Result<Attributes>> truncate(std::shared_ptr<FileContent> content, fs::SetAttr change,
                                    Caller who);
  void warm_siblings(InodeNo ino);
  Opened open_handle(const fs::Attr& attr, int flags);
  Task<Result<void>> flush_content(InodeNo ino, std::shared_ptr<FileContent> content, bool sealed,
                                   Caller who);
  /// The same to the servers in any case.
  Task<Result<void>> drain_content(InodeNo ino, std::shared_ptr<FileContent> content, Caller who);
  Task<Result<void>> drain_before_rename(InodeNo ino, Caller who);
  Task<Result<void>> recover_file(InodeNo ino);
  Task<Result<void>> repeat_sent(InodeNo ino, RecoveredWrites::Sent sent);
  Task<Result<void>> take_recovered(fs::Attr attr, InodeTable::Ticket ticket,
                                    std::shared_ptr<const RecoveredWrites> writes);
  Task<Result<void>> conflict_copy(std::shared_ptr<const RecoveredWrites> writes,
                                   std::optional<fs::Attr> original);
  void name_for_journal(InodeNo ino, FileContent& content);
  Task<Result<void>> name_kept(InodeNo ino, Caller who);
  size_t unsent_names() const;
  bool waits_in_journal(InodeNo ino) const;
  /// "remote", "local" or "no": where the content is safe; of a directory: of the whole mount.
  std::string durability(InodeNo ino);
  /// Waits until a file, or with a directory everything of this mount, is at the servers.
  Task<Result<void>> sync_to_servers(InodeNo ino, Caller who);
  /// Journaled data that a server refused (no space, over the quota): the next flush or fsync of
  /// every handle says so, once, though the data is kept and sent again.
  /// Journaled data may wait while nobody else can see the file's older state; else it is sent now.
  Task<void> send_unless_covered(InodeNo ino, std::shared_ptr<FileContent> content);
  void note_refusal(InodeNo ino, const Result<void>& outcome);
  Result<void> unseen_refusal(FileHandle& file);
  Task<Result<void>> commit_range(std::shared_ptr<FileHandle> file, fs::Commit commit, Caller who);
  /// Sends what a closed file has left, after `pause`, as often as it takes.
  void finish_in_background(InodeNo ino, std::chrono::milliseconds pause);
  /// The same for what is in the journal: it may wait a moment for more.
  void finish_with_others(InodeNo ino);
  void finish(InodeNo ino, std::chrono::milliseconds pause);
  void finished(InodeNo ino, const FileContent& content, const Result<void>& done,
                std::chrono::milliseconds pause);
  Task<Result<void>> flush_last(InodeNo ino, std::shared_ptr<FileContent> content, bool to_servers);
  Task<size_t> flush_files(bool to_servers);
  /// Starts `operation` and forgets about it; a failure is logged.
  void in_background(fs::Operation operation);
  Task<void> refresh_statfs();

  const Parts parts_;
  const VfsOptions options_;
  Remote remote_;
  InodeTable inodes_;
  HandleTable<FileHandle> files_;
  HandleTable<DirHandle> directories_;
  DirCache listings_;
  FileLocks locks_;
  Guarded<std::unordered_map<uint64_t, size_t>> changing_;  // directories, by changes under way
  uint64_t lease_ = 0;                                      // last told; of the thread of events
  LeaseKeeper keeper_;

  struct StatFsCache {
    fs::StatFsAnswer answer;
    SteadyTime next{};
    bool under_way = false;
  };
  Guarded<StatFsCache> statfs_;
  Guarded<std::unordered_map<uint64_t, int64_t>> accesses_;  // not yet sent: inode, when
  struct Refusals {
    uint64_t last = 0;
    std::unordered_map<uint64_t, std::pair<uint64_t, Error>> by_inode;  // number, why
  };
  Guarded<Refusals> refusals_;
  struct Finishing {
    std::unordered_set<uint64_t> due;  // files with a finish() to come
    std::vector<InodeNo> gathered;     // those of them that travel together
  };
  Guarded<Finishing> finishing_;
  std::shared_ptr<Lifeline> lifeline_ = std::make_shared<Lifeline>();
};

}  // namespace aster
