#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "fuse/io/file_content.h"
#include "fuse/vfs/types.h"
#include "protocol/base/guarded.h"

namespace aster {

/// Everything this mount knows about inodes: how often the kernel looked them up, their attributes
/// and until when those may be believed, names, open counts, contents. Thread-safe; one lock, held
/// for memory work only. An inode lives while it is looked up, open, dirty, or the root.
///
/// Events and answers race: an answer that was under way when an event about the same inode came in
/// may be older than the event. Whoever asks the primary takes a ticket before; what the answer
/// says is then believed for no time at all if an event came after the ticket.
///
/// Two ways of believing. With a ttl: for that long after it was told, while trusted. Under leases:
/// until an event about it, as long as the lease is held; names, also those that are not there, are
/// then answered from here, too. A lease that was not held for a while and is held again (the same
/// one) covers what was told before: whatever changed meanwhile has come as an event.
class InodeTable {
 public:
  using Ticket = uint64_t;

  /// `ttl`: how long attributes and names are believed while trusted; starts trusted. kLeased:
  /// under leases; believe_until() starts it.
  static constexpr Duration kLeased = Duration::max();
  InodeTable(const Clock& clock, InodeNo root, Duration ttl);

  Ticket ticket() const { return state_.lock()->events; }
  /// False: believe nothing from now on (the event stream is lost), until true comes.
  void set_trusted(bool trusted);
  bool trusted() const { return clock_.steady() < state_.lock()->trusted_until; }
  /// The part of a time to believe, told a while ago, that has not passed.
  Duration still_believed(Duration told) const {
    return std::min(told, ttl_left(*state_.lock(), SteadyTime::max()));
  }
  /// The lease is held until then; SteadyTime{}: it is not.
  void believe_until(SteadyTime until) { state_.lock()->trusted_until = until; }
  /// Nothing that was told or asked for so far is believed any more.
  void expire_all();

  /// What is known after an answer was taken in.
  struct Noted {
    Attributes attributes;  ///< the newest known, dirty data laid over
    bool foreign = false;   ///< the kernel's pages stand for a content that somebody else replaced
    std::shared_ptr<FileContent> content;  ///< to observe `attributes`, null when there is none
    Duration name_ttl{0};                  ///< found() only: how long the name may be believed
  };
  /// Takes in attributes of an inode. Older ones than known (by `change`) are ignored. `own`: they
  /// answer a change of this client, whose content the kernel's pages already show. An inode that
  /// is not in the table stays out.
  Noted note(const fs::Attr& attr, Ticket ticket, bool own = false);
  /// The same, adds the inode and counts one look-up through `name` in `parent`. `own`: this client
  /// has just made the name.
  Noted found(InodeNo parent, const std::string& name, const fs::Attr& attr, Ticket ticket,
              bool own = false);
  /// How long `name` in `parent`, asked for at `ticket`, may be believed to lead where it did.
  Duration name_ttl(InodeNo parent, const std::string& name, Ticket ticket) const;
  /// The primary said that the name is not there.
  void set_absent(InodeNo parent, const std::string& name, Ticket ticket);
  /// What a look-up would say, if that is leased; an entry counts as looked up.
  std::optional<Found> resolve(InodeNo parent, const std::string& name);
  /// No name of the directory has changed since `ticket`, and it is leased.
  bool listing_holds(InodeNo directory, Ticket ticket) const;

  /// Attributes that may be believed now; nullopt when the primary must be asked.
  std::optional<Attributes> fresh(InodeNo ino) const;
  /// Attributes as last seen, however old.
  std::optional<fs::Attr> known(InodeNo ino) const;
  /// The inode that `name` led to when last seen.
  std::optional<InodeNo> known_child(InodeNo parent, const std::string& name) const;

  /// Whether a read at `now` moves atime on, by the rules of relatime: when the inode was changed
  /// since the last access, or that is a day ago.
  static bool is_news(const fs::Attr& attr, int64_t now);
  /// The inode is being read. True when that is news, which shows from now on and is to be told to
  /// the primary.
  bool accessed(InodeNo ino, int64_t now, AccessTimes which);
  /// The primary was told.
  void access_sent(InodeNo ino, int64_t at);
  /// Its atime was set by somebody: earlier accesses count no more.
  void forget_access(InodeNo ino);
  /// A name that led to the inode when last seen.
  std::optional<std::pair<InodeNo, std::string>> any_name(InodeNo ino) const;

  void forget(InodeNo ino, uint64_t lookups);
  /// The name leads elsewhere or nowhere now (unlinked, renamed, changed by others): listings and
  /// answers that are older are not believed about it.
  void forget_name(InodeNo parent, const std::string& name);
  /// Likewise all names of the directory.
  void forget_names(InodeNo directory);
  /// Likewise, and where it leads is known.
  void set_name(InodeNo parent, const std::string& name, InodeNo ino);
  /// Own change of unknown extent: ask before believing again. Content and pages stay.
  void expire(InodeNo ino);

  /// Was counted here what the primary counts: believe it, whatever number its next answer has.
  void recount(InodeNo ino);
  /// An event about the inode: expires it; answers under way are not believed. With `content` the
  /// pages of the kernel are no longer known. False when the inode is not in the table.
  bool event(InodeNo ino, bool content);
  /// Believe nothing that is known, accept any answer. Returns all inodes in the table.
  std::vector<InodeNo> reset();
  /// The last name is gone.
  void set_unlinked(InodeNo ino);
  bool unlinked(InodeNo ino) const;

  /// The content, made by `io` when there is none yet. `attr` is what the primary says.
  std::shared_ptr<FileContent> content(const fs::Attr& attr, FileIo& io);
  /// Of a file that nobody has open yet and that has none; null otherwise, and when its attributes
  /// may not be believed.
  std::shared_ptr<FileContent> content_ahead(InodeNo ino, FileIo& io);
  /// Null when there is none.
  std::shared_ptr<FileContent> content_if_any(InodeNo ino) const;
  /// Counts an open; true when the kernel's pages stand for data_version `version`.
  bool opened(InodeNo ino, bool writes, uint64_t version);
  struct Closed {
    bool last = false;  ///< nobody has it open any more
    bool held = false;  ///< the primary keeps it for us: Release it (only when `last`)
    std::shared_ptr<FileContent> content;
  };
  Closed closed(InodeNo ino, bool writes);
  bool is_open(InodeNo ino) const;
  size_t writers(InodeNo ino) const;
  /// The primary keeps the inode for this session. False when nobody has it open any more.
  bool set_held(InodeNo ino);
  std::vector<InodeNo> held() const;
  /// Open files of which the kernel may have pages.
  std::vector<InodeNo> open_files() const;
  /// Contents with unsent data that still have a name.
  std::vector<std::pair<InodeNo, std::shared_ptr<FileContent>>> dirty() const;
  /// Lets go of an inode that was kept only for its dirty content.
  void collect(InodeNo ino);

  /// A flush of this client was committed: the kernel's pages stand for the new version.
  /// `ticket`: from before it.
  void committed(InodeNo ino, Ticket ticket);

  /// Names of extended attributes, believed until an event or the loss of the stream: every
  /// write(2) asks for security.capability, which must not cost a round trip per second.
  std::optional<std::vector<std::string>> xattr_names(InodeNo ino) const;
  /// The same as last seen, also while nothing is trusted.
  std::optional<std::vector<std::string>> old_xattr_names(InodeNo ino) const;
  void set_xattr_names(InodeNo ino, std::vector<std::string> names, Ticket ticket);
  void expire_xattrs(InodeNo ino);

  size_t size() const { return state_.lock()->inodes.size(); }

 private:
  struct Name {
    uint64_t parent;
    std::string name;
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    size_t operator()(const Name& n) const noexcept {
      return std::hash<std::string>()(n.name) ^ (n.parent * 0x9E3779B97F4A7C15ull);
    }
  };
  struct Inode {
    fs::Attr attr;
    bool known = false;
    int64_t accessed = INT64_MIN;  // by this client, the primary may not know yet
    SteadyTime expires{};
    uint64_t lookups = 0;
    uint64_t opens = 0;
    uint64_t writers = 0;
    Ticket last_event = 0;
    bool own_changes = false;  // listings may show it as it was before them
    std::shared_ptr<FileContent> content;
    std::optional<uint64_t> kernel_version;  // data_version that the kernel's pages show
    bool held = false;
    bool unlinked = false;
    std::optional<std::vector<std::string>> xattr_names;
    std::vector<Name> names;
    // Directories: names that changed since `names_since`, so that a listing fetched before (its
    // pages are used for a while) stays good for all the others.
    std::unordered_map<std::string, Ticket> changed_names;
    Ticket names_since = 0;
    Ticket last_name_change = 0;
  };
  struct Child {
    uint64_t ino = 0;
    Ticket told = 0;
  };
  struct State {
    std::unordered_map<uint64_t, Inode> inodes;
    std::unordered_map<Name, Child, NameHash> names;
    std::unordered_map<Name, Ticket, NameHash> absent;  // leased names that are not there
    SteadyTime trusted_until = SteadyTime::max();
    Ticket floor = 0;  // nothing that was asked for before is believed
    Ticket events = 0;
    Ticket last_untracked_event = 0;
    std::deque<uint64_t> closed;  // contents kept for the next open, oldest first
  };

  static fs::Attr laid_over(const Inode& inode, const fs::Attr& attr);
  Noted take_in(State& state, Inode& inode, const fs::Attr& attr, Ticket ticket, bool own);
  Duration ttl_left(const State& state, SteadyTime expires) const;
  static void drop_name(State& state, const Name& name);
  static void touch_name(State& state, const Name& name);
  static bool name_holds(const State& state, const Name& name, Ticket ticket);
  bool leased() const { return ttl_ == kLeased; }
  /// When something that was told now is no longer believed.
  SteadyTime expiry() const { return leased() ? SteadyTime::max() : clock_.steady() + ttl_; }
  void erase_if_unused(State& state, uint64_t ino);
  static void trim_closed(State& state);

  const Clock& clock_;
  const InodeNo root_;
  const Duration ttl_;
  Guarded<State> state_;
};

}  // namespace aster
