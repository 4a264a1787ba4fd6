#include "cache/writeback_journal.h"
#include "fuse/vfs/conflict_name.h"
#include "fuse/vfs/filesystem.h"
#include "fuse/vfs/write_leases.h"
#include "protocol/base/log.h"
#include "protocol/fs/json.h"

// What the journal of an earlier mount holds (durability=local), and what is still on its way.
namespace aster {
namespace {

constexpr unsigned kNamesTried = 100;
/// Files that somebody wants, sent at the same time: enough for packs.
constexpr size_t kSentAtOnce = 256;

bool gone(const Error& error) {
  return error.code == Errc::stale_handle || error.code == Errc::not_found;
}

/// The request was looked at and refused; it was not applied and never will be.
bool refused(const Error& error) {
  return error.code == Errc::stale_version || error.code == Errc::precondition_failed ||
         error.code == Errc::bad_request || gone(error);
}

}  // namespace

Task<Result<size_t>> Filesystem::recover_journal() {
  size_t recovered = 0;
  if (options_.journal == nullptr) co_return recovered;
  for (const InodeNo ino : options_.journal->files()) {
    ASTER_CO_TRY(co_await recover_file(ino));
    ++recovered;
  }
  co_return recovered;
}

// Exactly once: a request that left before the crash is repeated under its own operation ids. The
// primary answers it as it did then, or does it now.
Task<Result<void>> Filesystem::repeat_sent(InodeNo ino, RecoveredWrites::Sent sent) {
  ASTER_CO_TRY(fs::BatchRequest request, fs::decode_batch_request(sent.request));
  if (request.items.empty()) co_return fail(Errc::corrupt, "write-back journal: empty request");
  ASTER_CO_TRY(fs::BatchAnswer answer,
               co_await parts_.primary.batch(std::move(request.items), options_.timeout));
  if (answer.results.empty()) co_return fail(Errc::internal, "batch answer has another size");
  // The commit is last; attributes may stand before it.
  Result<fs::Attr> attr = Remote::pick<fs::Attr>(std::move(answer.results.back()));
  if (attr.ok()) {
    options_.journal->retire(ino, sent.covers, attr->data_version);
    co_return ok();
  }
  if (!refused(attr.error())) co_return attr.error();
  options_.journal->forget_sent(ino);
  co_return ok();
}

Task<Result<void>> Filesystem::recover_file(InodeNo ino) {
  ASTER_CO_TRY(RecoveredWrites held, options_.journal->load(ino));
  if (held.sent) {
    ASTER_CO_TRY(co_await repeat_sent(ino, *held.sent));
    ASTER_CO_TRY(held, options_.journal->load(ino));
  }
  if (held.writes.empty()) co_return ok();
  auto writes = std::make_shared<const RecoveredWrites>(std::move(held));
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation question = fs::GetAttr{ino};
  const Caller nobody;
  const Result<fs::Attr> attr = co_await remote_.call<fs::Attr>(std::move(question), nobody);
  if (!attr.ok() && !gone(attr.error())) co_return attr.error();
  if (!attr.ok() || attr->nlink == 0 || attr->data_version != writes->expected_version) {
    std::optional<fs::Attr> original;
    if (attr.ok() && attr->nlink > 0) original = *attr;
    const Result<void> copied = co_await conflict_copy(writes, original);
    co_return copied;
  }
  const Result<void> taken = co_await take_recovered(*attr, ticket, writes);
  co_return taken;
}

Task<Result<void>> Filesystem::take_recovered(fs::Attr attr, InodeTable::Ticket ticket,
                                              std::shared_ptr<const RecoveredWrites> writes) {
  const std::shared_ptr<FileContent> content = inodes_.content(attr, parts_.io);
  ASTER_CO_TRY(co_await content->recover(writes));
  note(attr, ticket, true);
  ASTER_LOG(info, "journal_recovered", {"ino", attr.ino.value}, {"writes", writes->writes.size()});
  finish_in_background(attr.ino, std::chrono::milliseconds(0));
  co_return ok();
}

// Somebody else changed or removed the file since: their version stays where it is, ours goes
// beside it: what is there now with our writes laid over.
Task<Result<void>> Filesystem::conflict_copy(std::shared_ptr<const RecoveredWrites> writes,
                                             std::optional<fs::Attr> original) {
  const JournaledWrite& last = writes->writes.back();
  fs::Create create;
  create.parent = last.parent.value == 0 ? options_.root : last.parent;
  create.mode = original ? original->mode : 0600;
  create.uid = original ? original->uid : 0;
  create.gid = original ? original->gid : 0;
  const InodeTable::Ticket ticket = inodes_.ticket();
  const Caller nobody;
  const std::string name = last.name.empty() ? "unnamed" : last.name;
  Result<fs::Attr> made = Error{Errc::exists, name};
  for (unsigned attempt = 0; attempt < kNamesTried; ++attempt) {
    create.name = conflict_name(name, options_.client, attempt);
    fs::Operation operation = create;
    made = co_await remote_.call<fs::Attr>(std::move(operation), nobody);
    if (made.ok()) break;
    const bool lost_parent = gone(made.error()) && create.parent != options_.root;
    if (lost_parent) create.parent = options_.root;
    if (!lost_parent && !made.failed_with(Errc::exists)) break;
  }
  if (!made.ok()) co_return made.error();
  inodes_.forget_name(create.parent,
                      create.name);  // listings do not show it, and no event will tell
  if (original) {
    fs::Operation copy = fs::CopyRange{writes->ino, 0, made->ino, 0, fs::kFileSizeMax};
    Result<fs::Attr> copied = co_await remote_.call<fs::Attr>(std::move(copy), nobody);
    if (!copied.ok()) co_return copied.error();
    made = std::move(copied);
  }
  ASTER_CO_TRY(co_await options_.journal->hand_over(writes->ino, made->ino, made->data_version));
  ASTER_LOG(warn, "conflict_copy", {"ino", writes->ino.value}, {"copy", made->ino.value},
            {"name", create.name});
  const Result<void> taken = co_await take_recovered(*made, ticket, writes);
  co_return taken;
}

void Filesystem::name_for_journal(InodeNo ino, FileContent& content) {
  if (options_.journal == nullptr) return;
  if (const auto name = inodes_.any_name(ino)) content.known_as(name->first, name->second);
}

Task<Result<void>> Filesystem::fsyncdir(Caller who) {
  if (options_.journal == nullptr) {
    std::function<Task<Result<void>>()> attempt = [this] {
      return parts_.primary.settle(options_.timeout);
    };
    const Result<void> settled = co_await remote_.persist<void>(std::move(attempt), who);
    co_return settled;
  }
  const Result<void> synced = co_await options_.journal->sync();
  if (synced.ok()) co_return ok();
  // Without the journal the primary has to have them.
  const Result<void> settled = co_await parts_.primary.settle(options_.timeout);
  co_return settled.ok() ? settled : synced;
}

// The names of a file survive a crash: of the mount without a journal, of the machine with one.
Task<Result<void>> Filesystem::name_kept(InodeNo ino, Caller who) {
  if (options_.journal != nullptr) {
    const Result<void> synced = co_await fsyncdir(who);
    co_return synced;
  }
  if (options_.write_leases == nullptr) co_return ok();
  std::function<Task<Result<void>>()> attempt = [this, ino] {
    return options_.write_leases->sent(ino, options_.timeout);
  };
  const Result<void> sent = co_await remote_.persist<void>(std::move(attempt), who);
  co_return sent;
}

size_t Filesystem::unsent_names() const {
  return options_.write_leases != nullptr ? options_.write_leases->lease_state().unsent : 0;
}

// What others can see, they must see as it is when close or fsync returns: as long as they can ask.
Task<void> Filesystem::send_unless_covered(InodeNo ino, std::shared_ptr<FileContent> content) {
  bool covered = true;
  if (options_.write_leases != nullptr) covered = co_await options_.write_leases->cover(ino);
  if (!covered) {
    const InodeTable::Ticket ticket = inodes_.ticket();
    const Result<void> sent = co_await content->drain(false);
    if (sent.ok()) inodes_.committed(ino, ticket);
    note_refusal(ino, sent);
    if (!sent.ok() && Remote::transient(sent.error())) options_.write_leases->unreachable();
  }
  if (waits_in_journal(ino)) finish_with_others(ino);
}

Task<void> Filesystem::send_content(std::vector<InodeNo> inodes) {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  for (size_t begin = 0; begin < inodes.size();) {
    std::vector<Task<Result<void>>> round;
    std::vector<InodeNo> sent;
    const InodeTable::Ticket ticket = inodes_.ticket();
    for (; begin < inodes.size() && round.size() < kSentAtOnce; ++begin) {
      const std::shared_ptr<FileContent> content = inodes_.content_if_any(inodes[begin]);
      if (!content || !waits_in_journal(inodes[begin]) || inodes_.unlinked(inodes[begin])) continue;
      sent.push_back(inodes[begin]);
      round.push_back(content->drain(false));
    }
    const std::vector<Result<void>> results = co_await when_all(std::move(round));
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].ok()) inodes_.committed(sent[i], ticket);
      note_refusal(sent[i], results[i]);
      if (!results[i].ok()) {
        ASTER_LOG(warn, "wanted_data_not_sent", {"ino", sent[i].value},
                  {"err", results[i].error()});
      }
    }
  }
}

void Filesystem::given_back(const std::vector<InodeNo>& inodes) {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) return;
  for (const InodeNo ino : inodes) {
    inodes_.recount(ino);
    parts_.kernel.drop_attributes(ino);
  }
}

LeaseState Filesystem::lease_state() const {
  LeaseState state;
  if (options_.write_leases != nullptr) state = options_.write_leases->lease_state();
  state.held = leased() && inodes_.trusted();
  state.known = inodes_.size();
  return state;
}

bool Filesystem::waits_in_journal(InodeNo ino) const {
  return options_.journal != nullptr && options_.journal->holds(ino);
}

void Filesystem::note_refusal(InodeNo ino, const Result<void>& outcome) {
  parts_.io.unsent_errors().note(ino, outcome, parts_.clock.now_ns());
  if (options_.journal == nullptr) return;  // then a flush itself meets what is wrong
  const bool away = outcome.failed_with(Errc::unavailable) || outcome.failed_with(Errc::timeout) ||
                    outcome.failed_with(Errc::interrupted);
  if (away) return;  // nothing is wrong with the data
  auto refusals = refusals_.lock();
  if (outcome.ok()) {
    refusals->by_inode.erase(ino.value);
  } else {
    refusals->by_inode.insert_or_assign(ino.value, std::pair(++refusals->last, outcome.error()));
  }
}

Result<void> Filesystem::unseen_refusal(FileHandle& file) {
  // All of it is at the servers by now: what failed before was tried again, or is cut off.
  const bool sent = !waits_in_journal(file.ino) && !file.content->dirty();
  auto refusals = refusals_.lock();
  if (sent) refusals->by_inode.erase(file.ino.value);
  const auto found = refusals->by_inode.find(file.ino.value);
  if (found == refusals->by_inode.end()) return ok();
  const auto& [number, error] = found->second;
  if (file.seen_refusal.exchange(number) == number) return ok();
  return error;
}

std::vector<Filesystem::UnsentFile> Filesystem::unsent_files() {
  // No path is longer than the kernel's, but for a circle in what is known.
  static constexpr size_t kDepthMax = 2048;
  std::vector<UnsentFile> files;
  for (UnsentErrors::Entry& entry : parts_.io.unsent_errors().all()) {
    const std::shared_ptr<FileContent> content = inodes_.content_if_any(entry.ino);
    const bool unsent = waits_in_journal(entry.ino) || (content && content->dirty());
    if (!unsent || inodes_.unlinked(entry.ino)) {  // cut off, overwritten elsewhere or removed
      parts_.io.unsent_errors().forget(entry.ino);
      continue;
    }
    std::string path;
    InodeNo at = entry.ino;
    for (size_t depth = 0; at != root(); ++depth) {
      const auto name = inodes_.any_name(at);
      if (!name || depth == kDepthMax) {
        path.clear();
        break;
      }
      path = "/" + name->second + path;
      at = name->first;
    }
    files.push_back({std::move(entry), std::move(path)});
  }
  return files;
}

std::string Filesystem::durability(InodeNo ino) {
  const std::shared_ptr<FileContent> content = inodes_.content_if_any(ino);
  const std::optional<fs::Attr> attr = inodes_.known(ino);
  if (attr && attr->type == fs::FileType::directory) {
    size_t unsafe = 0;
    for (const auto& [file, unsent] : inodes_.dirty()) unsafe += waits_in_journal(file) ? 0 : 1;
    if (options_.journal == nullptr) {
      const size_t names = unsent_names();
      if (unsafe + names == 0) return "remote";
      return "no: " + std::to_string(unsafe) + " files and " + std::to_string(names) +
             " names unsent";
    }
    const WritebackJournal::Stats journal = options_.journal->stats();
    if (unsafe + journal.files + journal.names == 0) return "remote";
    return (unsafe > 0 ? "no: " : "local: ") + std::to_string(unsafe) + " files unsent, " +
           std::to_string(journal.files) + " files and " + std::to_string(journal.names) +
           " names with " + std::to_string(journal.bytes) + " bytes in the journal";
  }
  const bool named = options_.journal != nullptr && options_.journal->holds_name(ino);
  if (waits_in_journal(ino) || named) return "local";
  const bool unsent = options_.write_leases != nullptr && options_.write_leases->unsent(ino);
  return unsent || (content && content->dirty()) ? "no" : "remote";
}

Task<Result<void>> Filesystem::sync_to_servers(InodeNo ino, Caller who) {
  if (const std::shared_ptr<FileContent> content = inodes_.content_if_any(ino)) {
    ASTER_CO_TRY(co_await drain_content(ino, content, who));
  } else {
    ASTER_CO_TRY(const Attributes attributes, co_await getattr(ino, who));
    const bool all = attributes.attr.type == fs::FileType::directory;
    size_t failed = 0;
    if (all) {
      failed = co_await flush_files(true);
    }
    if (failed > 0) {
      co_return fail(Errc::unavailable, std::to_string(failed) + " files could not be sent");
    }
  }
  const Result<void> settled = co_await parts_.primary.settle(options_.timeout);
  co_return settled;
}

// Whoever asks about a name from elsewhere must find its data there: the name changes after it.
Task<Result<void>> Filesystem::drain_before_rename(InodeNo ino, Caller who) {
  const std::shared_ptr<FileContent> content = inodes_.content_if_any(ino);
  if (!waits_in_journal(ino) || !content || inodes_.unlinked(ino)) co_return ok();
  const Result<void> drained = co_await drain_content(ino, content, who);
  co_return drained;
}

}  // namespace aster
