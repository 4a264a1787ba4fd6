#include "cache/writeback_journal.h"

#include <pthread.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "cache/journal_records.h"
#include "cache/rocksdb_handle.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

using namespace journal_records;

/// What a write costs beside its data.
constexpr uint64_t kIntentBytes = 512;
constexpr uint64_t kMemtable = 32 << 20;
constexpr std::chrono::milliseconds kRetryAfter{100};
/// Files of nothing but retired writes are removed after this much was appended.
constexpr uint64_t kTidyEvery = 128 << 20;

uint64_t cost(uint64_t bytes) {
  return bytes + kIntentBytes;
}

}  // namespace

struct WritebackJournal::State {
  State(JournalOptions o, Executor& e) : options(std::move(o)), executor(e) {}

  struct File {
    struct Entry {
      uint64_t bytes;
      uint64_t pieces;
    };
    std::map<uint64_t, Entry> writes;  // by number
    bool sent = false;
    uint64_t version = 0;  // newest data_version, as far as noted
  };
  using Fill = std::function<void(rocksdb::WriteBatch&)>;
  struct Job {
    Fill fill;
    std::optional<Completion<Result<void>>> done;  // durable, when somebody waits
  };

  Result<void> load_index();
  Result<void> check_identity();
  /// Called with the mutex held.
  void enqueue(Job job) {
    queue.push_back(std::move(job));
    wake.notify_one();
  }
  /// Called with the mutex held: the order of the log is that of the changes to `files`.
  Completion<Result<void>> write_durably(Fill fill) {
    Job job{std::move(fill), Completion<Result<void>>()};
    const Completion<Result<void>> done = *job.done;
    enqueue(std::move(job));
    return done;
  }
  void work();
  void put_back(std::vector<Job> jobs);
  Result<void> write_all(const std::vector<Job>& jobs);
  void tidy();
  void erase_writes(File& file, uint64_t covers, std::vector<std::string>& keys);
  Result<std::string> read(const std::string& key, std::string_view what) const;
  File file(InodeNo ino) const;
  Result<std::vector<Intent>> intents(const File& file) const;

  const JournalOptions options;
  Executor& executor;
  std::unique_ptr<RocksDbHandle> rocks;

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::vector<Job> queue;
  bool stopping = false;
  bool failed = false;             // the last group could not be written
  std::map<uint64_t, File> files;  // by inode
  struct Name {
    InodeNo ino;
    uint64_t bytes = 0;
  };
  std::map<uint64_t, Name> names;              // by number
  std::unordered_map<uint64_t, size_t> named;  // how many of `names` by inode
  uint64_t noted = 0;                          // how many names ever
  uint64_t synced = 0;                         // of them, how many are durable
  void add_name(uint64_t number, InodeNo ino, uint64_t size) {
    names[number] = {ino, size};
    ++named[ino.value];
    bytes += cost(size);
  }
  uint64_t bytes = 0;
  uint64_t aside = 0;  // of the bound, for others
  bool fits(uint64_t more) const { return bytes + aside + more <= options.limit_bytes; }
  uint64_t next_number = 1;
  uint64_t appended_since_tidy = 0;
  std::jthread thread;
};

Result<void> WritebackJournal::State::check_identity() {
  rocksdb::DB& db = rocks->db();
  std::string stored;
  const std::string key(1, kFormat);
  const std::string wanted = std::string(kFormatText) + options.identity;
  const rocksdb::Status read = db.Get({}, key, &stored);
  if (!read.ok() && !read.IsNotFound()) return rocksdb_error(read, "write-back journal");
  if (stored == wanted) return ok();
  const bool ours = read.IsNotFound() || stored.starts_with(kFormatText);
  if (!ours || !files.empty() || !names.empty()) {
    return fail(Errc::precondition_failed,
                "the write-back journal " + options.directory.string() +
                    (ours ? " holds unsent data of another drive or user; mount that first"
                          : " was written by another version of this program"));
  }
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const rocksdb::Status put = db.Put(durable, key, wanted);
  if (!put.ok()) return rocksdb_error(put, "write-back journal");
  return ok();
}

Result<void> WritebackJournal::State::load_index() {
  const std::unique_ptr<rocksdb::Iterator> it(rocks->db().NewIterator({}));
  for (it->Seek(std::string(1, kWrite)); it->Valid() && it->key()[0] == kWrite; it->Next()) {
    Reader key{it->key().ToStringView().substr(1)};
    const uint64_t number = key.number();
    ASTER_TRY(const Intent intent, decode_intent(it->value().ToStringView()));
    files[intent.write.ino.value].writes[number] = {intent.bytes, intent.pieces};
    bytes += cost(intent.bytes);
    next_number = std::max(next_number, number + 1);
  }
  for (it->Seek(std::string(1, kSent)); it->Valid() && it->key()[0] == kSent; it->Next()) {
    Reader key{it->key().ToStringView().substr(1)};
    files[key.number()].sent = true;
  }
  for (it->Seek(std::string(1, kVersion)); it->Valid() && it->key()[0] == kVersion; it->Next()) {
    Reader key{it->key().ToStringView().substr(1)};
    Reader value{it->value().ToStringView()};
    const auto file = files.find(key.number());
    if (file != files.end()) file->second.version = value.number();
  }
  for (it->Seek(std::string(1, kName)); it->Valid() && it->key()[0] == kName; it->Next()) {
    Reader key{it->key().ToStringView().substr(1)};
    Reader value{it->value().ToStringView()};
    const uint64_t number = key.number();
    add_name(number, InodeNo(value.number()), it->value().size());
    next_number = std::max(next_number, number + 1);
  }
  if (!it->status().ok()) return rocksdb_error(it->status(), "read the write-back journal");
  return ok();
}

Result<std::unique_ptr<WritebackJournal>> WritebackJournal::open(JournalOptions options,
                                                                 Executor& executor) {
  auto state = std::make_unique<State>(std::move(options), executor);
  std::error_code error;
  std::filesystem::create_directories(state->options.directory, error);
  if (error) {
    return fail(Errc::io_error,
                "create " + state->options.directory.string() + ": " + error.message());
  }
  RocksDbOptions rocks;
  rocks.directory = state->options.directory / "journal";
  rocks.write_buffer_bytes = kMemtable;
  rocks.strict_log = true;
  Result<std::unique_ptr<RocksDbHandle>> opened = RocksDbHandle::open(rocks);
  if (!opened.ok()) {
    if (opened.error().context.find("lock") == std::string::npos) return opened.error();
    return fail(Errc::locked,
                "another mount uses the write-back journal " + state->options.directory.string());
  }
  state->rocks = std::move(*opened);
  ASTER_TRY(state->load_index());
  ASTER_TRY(state->check_identity());
  return std::unique_ptr<WritebackJournal>(new WritebackJournal(std::move(state)));
}

WritebackJournal::WritebackJournal(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->thread = std::jthread([state = state_.get()] { state->work(); });
}

WritebackJournal::~WritebackJournal() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
}

// One group after the other: whoever comes while one is being synced shares the next.
void WritebackJournal::State::work() {
  pthread_setname_np(pthread_self(), "journal");
  for (;;) {
    std::vector<Job> jobs;
    uint64_t names_in_group = 0;
    {
      std::unique_lock lock(mutex);
      // After a failure the next attempt comes with the next write, or when it is due.
      if (failed) {
        wake.wait_for(lock, kRetryAfter, [&] { return stopping; });
        failed = false;
      }
      wake.wait(lock, [&] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      jobs.swap(queue);
      names_in_group = noted;
    }
    const bool durable =
        std::any_of(jobs.begin(), jobs.end(), [](const Job& j) { return j.done.has_value(); });
    const Result<void> written = write_all(jobs);
    if (durable && written.ok()) {
      std::lock_guard lock(mutex);
      synced = names_in_group;
    }
    for (Job& job : jobs) {
      if (!job.done) continue;
      executor.post([done = std::move(*job.done), written] { done.set(written); });
    }
    if (!written.ok()) put_back(std::move(jobs));
    tidy();
  }
}

// What nobody waits for must not be forgotten: it goes with the next group, in the same order.
void WritebackJournal::State::put_back(std::vector<Job> jobs) {
  std::erase_if(jobs, [](const Job& job) { return job.done.has_value(); });
  std::lock_guard lock(mutex);
  if (stopping) return;
  failed = !jobs.empty();
  jobs.insert(jobs.end(), std::make_move_iterator(queue.begin()),
              std::make_move_iterator(queue.end()));
  queue = std::move(jobs);
}

Result<void> WritebackJournal::State::write_all(const std::vector<Job>& jobs) {
  rocksdb::WriteBatch batch;
  rocksdb::WriteOptions options;
  for (const Job& job : jobs) {
    job.fill(batch);
    if (job.done) options.sync = true;
  }
  ASTER_FAULT_POINT("journal.before_write");
  rocksdb::Status status = rocks->db().Write(options, &batch);
  if (!status.ok() && rocks->resume().ok()) status = rocks->db().Write(options, &batch);
  ASTER_FAULT_POINT("journal.after_write");
  if (status.ok()) return ok();
  const Error error = rocksdb_error(status, "write-back journal");
  ASTER_LOG(error, "journal_write_failed", {"err", error});
  return error;
}

// Retired data that had gone to files leaves by whole files; the rest goes by compaction.
void WritebackJournal::State::tidy() {
  uint64_t oldest = 0;
  {
    std::lock_guard lock(mutex);
    if (appended_since_tidy < kTidyEvery) return;
    appended_since_tidy = 0;
    oldest = next_number;
    for (const auto& [ino, file] : files) {
      if (!file.writes.empty()) oldest = std::min(oldest, file.writes.begin()->first);
    }
  }
  const std::string begin = key_of(kData, 0);
  const std::string end = key_of(kData, oldest);
  const rocksdb::Slice from(begin);
  const rocksdb::Slice to(end);
  const rocksdb::Status status =
      rocksdb::DeleteFilesInRange(&rocks->db(), rocks->db().DefaultColumnFamily(), &from, &to);
  if (!status.ok()) ASTER_LOG(debug, "journal_not_tidied", {"status", status.ToString()});
}

Task<Result<uint64_t>> WritebackJournal::append(JournaledWrite write) {
  uint64_t size = 0;
  for (const auto& piece : write.pieces) size += piece.data.size();
  const InodeNo ino = write.ino;
  auto pieces = std::exchange(write.pieces, {});
  Intent intent{std::move(write), pieces.size(), size};
  uint64_t number = 0;
  Completion<Result<void>> done;
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->fits(cost(size))) {
      co_return fail(Errc::no_space, "the write-back journal is full");
    }
    number = state_->next_number++;
    state_->bytes += cost(size);
    state_->appended_since_tidy += size;
    state_->files[ino.value].writes[number] = {size, pieces.size()};
    done = state_->write_durably([number, intent = std::move(intent),
                                  pieces = std::move(pieces)](rocksdb::WriteBatch& batch) {
      batch.Put(key_of(kWrite, number), encode_intent(intent));
      for (size_t i = 0; i < pieces.size(); ++i) {
        batch.Put(data_key(number, i), encode_data(pieces[i]));
      }
    });
  }
  const Result<void> written = co_await done;
  if (written.ok()) co_return number;
  std::lock_guard lock(state_->mutex);
  const auto file = state_->files.find(ino.value);
  if (file != state_->files.end() && file->second.writes.erase(number) != 0) {
    state_->bytes -= cost(size);
    if (file->second.writes.empty() && !file->second.sent) state_->files.erase(file);
  }
  co_return written.error();
}

Task<Result<void>> WritebackJournal::note_sent(InodeNo ino, uint64_t covers, std::string request) {
  Completion<Result<void>> done;
  {
    std::lock_guard lock(state_->mutex);
    state_->files[ino.value].sent = true;
    done = state_->write_durably(
        [ino, covers, request = std::move(request)](rocksdb::WriteBatch& batch) {
          std::string value;
          put_number(value, covers);
          put_text(value, request);
          batch.Put(key_of(kSent, ino.value), value);
        });
  }
  const Result<void> written = co_await done;
  co_return written;
}

Result<uint64_t> WritebackJournal::note_name(InodeNo ino, std::string text) {
  std::lock_guard lock(state_->mutex);
  if (!state_->fits(cost(text.size()))) {
    return fail(Errc::no_space, "the write-back journal is full");
  }
  const uint64_t number = state_->next_number++;
  state_->add_name(number, ino, text.size());
  ++state_->noted;
  state_->enqueue({[=, text = std::move(text)](rocksdb::WriteBatch& batch) {
                     batch.Put(key_of(kName, number), encode_name(ino, text));
                   },
                   std::nullopt});
  return number;
}

void WritebackJournal::replace_name(uint64_t number, InodeNo ino, std::string text) {
  std::lock_guard lock(state_->mutex);
  state_->enqueue({[=, text = std::move(text)](rocksdb::WriteBatch& batch) {
                     batch.Put(key_of(kName, number), encode_name(ino, text));
                   },
                   std::nullopt});
}

void WritebackJournal::retire_name(uint64_t number) {
  std::lock_guard lock(state_->mutex);
  const auto found = state_->names.find(number);
  if (found == state_->names.end()) return;
  state_->bytes -= cost(found->second.bytes);
  const auto named = state_->named.find(found->second.ino.value);
  if (--named->second == 0) state_->named.erase(named);
  state_->names.erase(found);
  state_->enqueue({[number](rocksdb::WriteBatch& batch) { batch.Delete(key_of(kName, number)); },
                   std::nullopt});
}

Task<Result<void>> WritebackJournal::sync() {
  Completion<Result<void>> done;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->synced == state_->noted) co_return ok();
    done = state_->write_durably(
        [](rocksdb::WriteBatch& batch) { batch.Put(std::string(1, kSync), ""); });
  }
  const Result<void> written = co_await done;
  co_return written;
}

Result<std::vector<WritebackJournal::Note>> WritebackJournal::names() const {
  std::vector<Note> notes;
  const std::unique_ptr<rocksdb::Iterator> it(state_->rocks->db().NewIterator({}));
  for (it->Seek(std::string(1, kName)); it->Valid() && it->key()[0] == kName; it->Next()) {
    Reader key{it->key().ToStringView().substr(1)};
    Reader value{it->value().ToStringView()};
    Note note;
    note.number = key.number();
    note.ino = InodeNo(value.number());
    note.text = value.text();
    if (!value.good) return fail(Errc::corrupt, "write-back journal: bad name");
    notes.push_back(std::move(note));
  }
  if (!it->status().ok()) return rocksdb_error(it->status(), "read the write-back journal");
  return notes;
}

bool WritebackJournal::holds_name(InodeNo ino) const {
  std::lock_guard lock(state_->mutex);
  return state_->named.contains(ino.value);
}

Result<std::string> WritebackJournal::State::read(const std::string& key,
                                                  std::string_view what) const {
  std::string value;
  const rocksdb::Status status = rocks->db().Get({}, key, &value);
  if (status.ok()) return value;
  if (!status.IsNotFound()) return rocksdb_error(status, "read the write-back journal");
  return fail(Errc::corrupt, "write-back journal: " + std::string(what) + " is missing");
}

// Memory is ahead of the database: what was retired may still wait to be written.
WritebackJournal::State::File WritebackJournal::State::file(InodeNo ino) const {
  std::lock_guard lock(mutex);
  const auto found = files.find(ino.value);
  return found == files.end() ? File() : found->second;
}

// In order.
Result<std::vector<Intent>> WritebackJournal::State::intents(const File& file) const {
  std::vector<Intent> all;
  for (const auto& [number, entry] : file.writes) {
    ASTER_TRY(const std::string value, read(key_of(kWrite, number), "an intent"));
    ASTER_TRY(Intent intent, decode_intent(value));
    intent.write.number = number;
    all.push_back(std::move(intent));
  }
  return all;
}

// Called with the mutex held.
void WritebackJournal::State::erase_writes(File& file, uint64_t covers,
                                           std::vector<std::string>& keys) {
  auto it = file.writes.begin();
  while (it != file.writes.end() && it->first <= covers) {
    keys.push_back(key_of(kWrite, it->first));
    for (uint64_t i = 0; i < it->second.pieces; ++i) keys.push_back(data_key(it->first, i));
    bytes -= cost(it->second.bytes);
    it = file.writes.erase(it);
  }
}

void WritebackJournal::retire(InodeNo ino, uint64_t covers, uint64_t version) {
  std::lock_guard lock(state_->mutex);
  const auto found = state_->files.find(ino.value);
  if (found == state_->files.end()) return;
  std::vector<std::string> keys{key_of(kSent, ino.value)};
  state_->erase_writes(found->second, covers, keys);
  found->second.sent = false;
  found->second.version = version;
  const bool more = !found->second.writes.empty();
  if (!more) state_->files.erase(found);
  state_->enqueue({[=, keys = std::move(keys)](rocksdb::WriteBatch& batch) {
                     for (const std::string& key : keys) batch.Delete(key);
                     if (!more) {
                       batch.Delete(key_of(kVersion, ino.value));
                       return;
                     }
                     std::string value;
                     put_number(value, version);
                     batch.Put(key_of(kVersion, ino.value), value);
                   },
                   std::nullopt});
}

void WritebackJournal::forget_sent(InodeNo ino) {
  std::lock_guard lock(state_->mutex);
  const auto found = state_->files.find(ino.value);
  if (found == state_->files.end()) return;
  found->second.sent = false;
  if (found->second.writes.empty()) state_->files.erase(found);
  state_->enqueue({[ino](rocksdb::WriteBatch& batch) { batch.Delete(key_of(kSent, ino.value)); },
                   std::nullopt});
}

void WritebackJournal::drop(InodeNo ino) {
  retire(ino, UINT64_MAX, 0);
}

Task<Result<void>> WritebackJournal::hand_over(InodeNo from, InodeNo to, uint64_t version) {
  ASTER_CO_TRY(std::vector<Intent> intents, state_->intents(state_->file(from)));
  State::Fill fill = [intents = std::move(intents), from, to,
                      version](rocksdb::WriteBatch& batch) mutable {
    for (Intent& intent : intents) {
      intent.write.ino = to;
      intent.write.base = version;
      batch.Put(key_of(kWrite, intent.write.number), encode_intent(intent));
    }
    batch.Delete(key_of(kSent, from.value));
    batch.Delete(key_of(kVersion, from.value));
  };
  Completion<Result<void>> done;
  {
    std::lock_guard lock(state_->mutex);
    done = state_->write_durably(std::move(fill));
  }
  const Result<void> written = co_await done;
  if (!written.ok()) co_return written;
  std::lock_guard lock(state_->mutex);
  auto moved = state_->files.extract(from.value);
  if (!moved.empty()) {
    moved.key() = to.value;
    moved.mapped().sent = false;
    moved.mapped().version = version;
    state_->files.insert(std::move(moved));
  }
  co_return ok();
}

bool WritebackJournal::set_aside(uint64_t amount) {
  std::lock_guard lock(state_->mutex);
  if (!state_->fits(amount)) return false;
  state_->aside += amount;
  return true;
}

void WritebackJournal::give_back(uint64_t amount) {
  std::lock_guard lock(state_->mutex);
  state_->aside -= amount;
}

bool WritebackJournal::half_full() const {
  std::lock_guard lock(state_->mutex);
  return !state_->fits(state_->options.limit_bytes / 2);
}

bool WritebackJournal::takes_new() const {
  return state_->options.limit_bytes > 0;
}

std::vector<InodeNo> WritebackJournal::files() const {
  std::lock_guard lock(state_->mutex);
  std::vector<InodeNo> all;
  for (const auto& [ino, file] : state_->files) all.emplace_back(ino);
  return all;
}

bool WritebackJournal::holds(InodeNo ino) const {
  std::lock_guard lock(state_->mutex);
  return state_->files.contains(ino.value);
}

Result<RecoveredWrites> WritebackJournal::load(InodeNo ino) const {
  const State::File file = state_->file(ino);
  RecoveredWrites all;
  all.ino = ino;
  all.expected_version = file.version;
  ASTER_TRY(std::vector<Intent> intents, state_->intents(file));
  for (Intent& intent : intents) {
    all.expected_version = std::max(all.expected_version, intent.write.base);
    all.writes.push_back(std::move(intent.write));
  }
  if (file.sent) {
    ASTER_TRY(const std::string value, state_->read(key_of(kSent, ino.value), "a request"));
    Reader in{value};
    RecoveredWrites::Sent sent;
    sent.covers = in.number();
    sent.request = in.text();
    if (!in.good) return fail(Errc::corrupt, "write-back journal: bad request");
    all.sent = std::move(sent);
  }
  return all;
}

Result<std::vector<JournaledWrite::Piece>> WritebackJournal::data(uint64_t number) const {
  ASTER_TRY(const std::string value, state_->read(key_of(kWrite, number), "an intent"));
  ASTER_TRY(const Intent intent, decode_intent(value));
  std::vector<JournaledWrite::Piece> pieces;
  for (uint64_t i = 0; i < intent.pieces; ++i) {
    ASTER_TRY(const std::string data, state_->read(data_key(number, i), "data"));
    ASTER_TRY(JournaledWrite::Piece piece, decode_data(data));
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

WritebackJournal::Stats WritebackJournal::stats() const {
  std::lock_guard lock(state_->mutex);
  Stats stats{state_->bytes, state_->options.limit_bytes, state_->files.size(), 0,
              state_->names.size()};
  for (const auto& [ino, file] : state_->files) stats.writes += file.writes.size();
  return stats;
}

}  // namespace aster
