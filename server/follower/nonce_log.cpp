#include "server/follower/nonce_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <vector>

#include "protocol/base/guarded.h"
#include "protocol/base/log.h"
#include "protocol/base/unique_handle.h"
#include "protocol/checksum.h"

namespace aster::follower {
namespace {

constexpr std::string_view kMagic = "ASTRNNC1";
constexpr size_t kHeadBytes = 64;
constexpr size_t kBootAt = 8;
constexpr size_t kBootBytes = 36;
constexpr off_t kLossyAt = 44;
constexpr size_t kFloorAt = 48;
constexpr size_t kDigestBytes = 16;
constexpr size_t kRecordBytes = kDigestBytes + 8;
/// Twice the allowed skew of a stamp (protocol 4.3): the life of a nonce in the verifier.
constexpr int64_t kTurnSeconds = 600;

std::string machine_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  id.resize(kBootBytes, '-');
  return id;
}

std::string fingerprint(std::string_view key_id, std::string_view nonce) {
  std::string text = std::to_string(key_id.size()) + ':';
  text.append(key_id).append(nonce);
  const Sha256Digest digest = sha256(as_bytes(text));
  return std::string(as_text(digest).substr(0, kDigestBytes));
}

using Record = std::pair<std::string, int64_t>;  ///< digest and expiry

void append_record(std::string& out, const Record& record) {
  out += record.first;
  char expiry[8];
  std::memcpy(expiry, &record.second, sizeof expiry);
  out.append(expiry, sizeof expiry);
}

struct Head {
  std::string boot_id;
  int64_t refused_before = 0;
};

/// A file with these records, made aside and renamed: a reader never sees half of it.
Result<UniqueFd> fresh_file(const std::string& path, const Head& head,
                            const std::vector<Record>& records = {}) {
  const std::string temp = path + ".new";
  UniqueFd fd(::open(temp.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("create " + temp);
  std::string bytes(kMagic);
  bytes += head.boot_id;
  bytes.resize(kHeadBytes, 0);
  std::memcpy(bytes.data() + kFloorAt, &head.refused_before, sizeof head.refused_before);
  for (const Record& record : records) append_record(bytes, record);
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    return fail_errno("write " + temp);
  }
  // A disk that fills up later does not stop small servers; larger ones get the lossy mark.
  (void)::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
  if (::rename(temp.c_str(), path.c_str()) != 0) return fail_errno("rename " + temp);
  return fd;
}

struct Loaded {
  std::vector<Record> records;
  bool trusted = true;  ///< all that was accepted is in it
  int64_t refused_before = 0;
};

Loaded load(const std::string& path, const std::string& boot_id) {
  Loaded out;
  std::ifstream file(path, std::ios::binary);
  if (!file) return out;
  std::string head(kHeadBytes, 0);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  if (!file || !head.starts_with(kMagic)) {
    out.trusted = false;
    return out;
  }
  out.trusted = head.compare(kBootAt, kBootBytes, boot_id) == 0 && head[kLossyAt] == 0;
  std::memcpy(&out.refused_before, head.data() + kFloorAt, sizeof out.refused_before);
  std::array<char, kRecordBytes> record{};
  while (file.read(record.data(), record.size())) {
    int64_t expiry = 0;
    std::memcpy(&expiry, record.data() + kDigestBytes, sizeof expiry);
    out.records.emplace_back(std::string(record.data(), kDigestBytes), expiry);
  }
  return out;
}

}  // namespace

struct NonceLog::State {
  State(const Clock& c) : clock(c), memory(c) {}

  struct File {
    std::array<std::string, 2> paths;
    size_t turn = 0;
    UniqueFd fd;
    int64_t began = 0;
    bool lossy = false;
  };
  const Clock& clock;
  sign::MemoryNonceStore memory;
  Head head;  ///< constant after open()
  Guarded<File> file;
};

NonceLog::NonceLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
NonceLog::~NonceLog() = default;

Result<std::unique_ptr<NonceLog>> NonceLog::open(const std::string& folder, const Clock& clock,
                                                 std::string boot_id) {
  auto state = std::make_unique<State>(clock);
  Head& head = state->head;
  head.boot_id = boot_id.empty() ? machine_boot_id() : std::move(boot_id);
  head.boot_id.resize(kBootBytes, '-');
  const int64_t now = clock.now_seconds();
  State::File file;
  std::vector<Record> alive;
  for (size_t i = 0; i < 2; ++i) {
    file.paths[i] = folder + "/nonces-" + std::to_string(i) + ".log";
    const Loaded loaded = load(file.paths[i], head.boot_id);
    head.refused_before = std::max(head.refused_before, loaded.refused_before);
    if (!loaded.trusted) head.refused_before = now;
    for (const Record& record : loaded.records) {
      if (record.second >= now) alive.push_back(record);
    }
  }
  for (const auto& [digest, expiry] : alive) {
    ASTER_TRY(state->memory.insert("", digest, expiry));
  }
  // What is alive goes into the first; the second is free for the next turn.
  ASTER_TRY(file.fd, fresh_file(file.paths[0], head, alive));
  ::unlink(file.paths[1].c_str());
  file.began = now;
  *state->file.lock() = std::move(file);
  return std::unique_ptr<NonceLog>(new NonceLog(std::move(state)));
}

Result<void> NonceLog::append(const std::string& digest, int64_t expiry) {
  auto file = state_->file.lock();
  const int64_t now = state_->clock.now_seconds();
  if (now - file->began > kTurnSeconds) {
    // The other file is older than any nonce lives.
    const size_t next = file->turn ^ 1;
    Result<UniqueFd> fresh = fresh_file(file->paths[next], state_->head);
    if (fresh.ok()) {
      file->fd = std::move(*fresh);
      file->turn = next;
      file->lossy = false;
    }
    file->began = now;
  }
  std::string record;
  append_record(record, {digest, expiry});
  const ssize_t n = ::write(file->fd.get(), record.data(), record.size());
  if (n == static_cast<ssize_t>(record.size()) || file->lossy) return ok();
  // Reads must go on when the disk is full: the loss is noted in place, which needs no new block.
  const Error why = fail_errno("append to " + file->paths[file->turn]);
  const UniqueFd in_place(::open(file->paths[file->turn].c_str(), O_WRONLY | O_CLOEXEC));
  if (::pwrite(in_place.get(), "\1", 1, kLossyAt) != 1) return why;
  file->lossy = true;
  ASTER_LOG(warn, "nonces cannot be stored", {"err", why});
  return ok();
}

Result<bool> NonceLog::insert(std::string_view key_id, std::string_view nonce, int64_t expiry) {
  const std::string digest = fingerprint(key_id, nonce);
  ASTER_TRY(const bool fresh, state_->memory.insert("", digest, expiry));
  if (!fresh) return false;
  ASTER_TRY(append(digest, expiry));
  return true;
}

int64_t NonceLog::refused_before() const noexcept {
  return state_->head.refused_before;
}

}  // namespace aster::follower
