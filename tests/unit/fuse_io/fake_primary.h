#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fake_follower.h"
#include "fuse/io/interval_map.h"
#include "protocol/checksum.h"
#include "protocol/client/primary_client.h"

namespace aster::testing {

/// The rules of the primary for the content of files, in memory. Checks what real ones check and
/// more: every committed object must lie on the follower, with the checksums that were named.
/// Answers come on the executor. Thread-safe.
class FakePrimary final : public PrimaryClient {
 public:
  FakePrimary(Executor& executor, FakeFollower& follower)
      : executor_(executor), follower_(follower) {}

  // What tests may set before they start.
  uint64_t part_size = 1 << 20;
  uint64_t max_object = UINT64_MAX;
  bool share_grants = true;     ///< between small files
  int64_t url_lifetime = 3600;  ///< seconds
  size_t extents_per_answer = fs::kManifestExtentsMax;
  /// Instead of an operation; nullopt lets it pass.
  using Hook = std::function<std::optional<Error>(const fs::Operation&)>;
  void set_hook(Hook hook) { state_.lock()->hook = std::move(hook); }

  fs::Attr create() {
    auto state = state_.lock();
    File file;
    file.attr.ino = InodeNo(++state->last_ino);
    file.attr.data_version = 1;
    state->files[file.attr.ino] = file;
    return file.attr;
  }
  /// A file of one stored object.
  fs::Attr create_with(std::string content) {
    const fs::Attr attr = create();
    const ObjectId id = ObjectId::random();
    BlockChecksums sums;
    sums.update(as_bytes(content));
    {
      auto state = state_.lock();
      state->objects[id] = {content.size(), sums.finish()};
      File& file = state->files[attr.ino];
      file.attr.size = content.size();
      file.extents.insert(0, content.size(), {id, 0});
    }
    follower_.store(read_url(id), std::move(content));
    return this->attr(attr.ino);
  }
  /// A large file whose object repeats one block of `pattern` (kBlockSize bytes).
  fs::Attr create_virtual(uint64_t size, const std::string& pattern) {
    const fs::Attr attr = create();
    const ObjectId id = ObjectId::random();
    auto state = state_.lock();
    state->objects[id] = {size,
                          std::vector<uint32_t>(size / kBlockSize, crc32c(as_bytes(pattern)))};
    File& file = state->files[attr.ino];
    file.attr.size = size;
    file.extents.insert(0, size, {id, 0});
    follower_.store_virtual(read_url(id), size, pattern);
    return file.attr;
  }
  fs::Attr attr(InodeNo ino) const { return state_.lock()->files[ino].attr; }
  /// The committed content, read past the client.
  std::string content(InodeNo ino) const {
    auto state = state_.lock();
    return content_of(state->files[ino]);
  }
  size_t extent_count(InodeNo ino) const { return state_.lock()->files[ino].extents.entries(); }
  /// Somebody else replaces the content of [offset, ...).
  void change(InodeNo ino, uint64_t offset, const std::string& bytes) {
    const ObjectId id = ObjectId::random();
    BlockChecksums sums;
    sums.update(as_bytes(bytes));
    follower_.store(read_url(id), bytes);
    auto state = state_.lock();
    state->objects[id] = {bytes.size(), sums.finish()};
    File& file = state->files[ino];
    file.extents.insert(offset, bytes.size(), {id, 0});
    file.attr.size = std::max(file.attr.size, offset + bytes.size());
    file.attr.data_version += 1;
  }
  /// Joins the whole file into one new object and removes the old ones, as compositions do.
  void compose(InodeNo ino) {
    auto state = state_.lock();
    File& file = state->files[ino];
    std::string bytes = content_of(file);
    const ObjectId id = ObjectId::random();
    BlockChecksums sums;
    sums.update(as_bytes(bytes));
    for (const auto& [offset, entry] : file.extents.map()) {
      follower_.remove(read_url(entry.value.object));
    }
    file.extents.clear();
    file.extents.insert(0, bytes.size(), {id, 0});
    file.attr.allocated = bytes.size();
    state->objects[id] = {bytes.size(), sums.finish()};
    follower_.store(read_url(id), std::move(bytes));
  }
  /// One stored object of the file, for tests that break it.
  std::string object_url_at(InodeNo ino, uint64_t offset) const {
    std::string url;
    state_.lock()->files[ino].extents.visit(
        offset, offset + 1, [&](uint64_t, uint64_t, const Placed& p) { url = read_url(p.object); },
        [](uint64_t, uint64_t) {});
    return url;
  }
  size_t count(std::string_view operation) const {
    auto state = state_.lock();
    const auto it = state->counts.find(std::string(operation));
    return it == state->counts.end() ? 0 : it->second;
  }
  std::vector<fs::Commit> commits() const { return state_.lock()->commits; }

  Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                      std::chrono::milliseconds) override {
    co_await executor_.hop();
    fs::BatchAnswer answer;
    for (const fs::BatchItem& item : items) answer.results.push_back(run_once(item));
    co_return answer;
  }
  Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest) override {
    co_return fail(Errc::unsupported);
  }
  Task<Result<void>> close_session() override { co_return ok(); }
  Task<Result<void>> follow_events(EventHandlers, CancelToken) override { co_return ok(); }
  std::string absolute(const std::string& url) const override {
    return url.starts_with('/') ? "http://primary" + url : url;
  }

 private:
  struct Placed {
    ObjectId object;
    uint64_t offset = 0;
    Placed slice(uint64_t skip, uint64_t) const { return {object, offset + skip}; }
  };
  struct File {
    fs::Attr attr;
    IntervalMap<Placed> extents;
  };
  struct Object {
    uint64_t size = 0;
    std::vector<uint32_t> crc32c;
  };
  struct State {
    uint64_t last_ino = 1;
    std::map<InodeNo, File> files;
    std::map<ObjectId, Object> objects;
    std::map<ObjectId, uint64_t> granted;  // size hint
    std::map<std::string, size_t> counts;
    std::vector<fs::Commit> commits;
    std::map<OperationId, fs::Answer> answers;
    Hook hook;
  };

  std::string content_of(const File& file) const {
    std::string bytes(file.attr.size, '\0');
    file.extents.visit(
        0, file.attr.size,
        [&](uint64_t at, uint64_t n, const Placed& placed) {
          const auto object = follower_.object(read_url(placed.object));
          ASTER_CHECK(object.has_value());
          bytes.replace(at, n, *object, placed.offset, n);
        },
        [](uint64_t, uint64_t) {});
    return bytes;
  }
  static std::string read_url(const ObjectId& id) { return "http://follower/" + id.hex(); }
  int64_t expiry() const { return SystemClock().now_seconds() + url_lifetime; }

  /// A repeated operation id gets the stored answer.
  Result<fs::Answer> run_once(const fs::BatchItem& item) {
    if (!item.id) return run(item.operation);
    {
      auto state = state_.lock();
      const auto known = state->answers.find(*item.id);
      if (known != state->answers.end()) return known->second;
    }
    Result<fs::Answer> answer = run(item.operation);
    if (answer.ok()) state_.lock()->answers.emplace(*item.id, *answer);
    return answer;
  }
  Result<fs::Answer> run(const fs::Operation& operation) {
    Hook hook;
    {
      auto state = state_.lock();
      ++state->counts[std::string(fs::operation_name(operation))];
      hook = state->hook;
    }
    if (hook) {
      if (auto error = hook(operation)) return std::move(*error);
    }
    auto state = state_.lock();
    if (const auto* op = std::get_if<fs::Grant>(&operation)) return grant(*state, *op);
    if (const auto* op = std::get_if<fs::GetManifest>(&operation)) return manifest(*state, *op);
    if (const auto* op = std::get_if<fs::Commit>(&operation)) return commit(*state, *op);
    if (const auto* op = std::get_if<fs::SetAttr>(&operation)) return set_attr(*state, *op);
    return fail(Errc::unsupported);
  }

  Result<fs::Answer> grant(State& state, const fs::Grant& op) {
    fs::UploadGrants grants{part_size, max_object, share_grants ? op.size_hint : 0, {}};
    if (op.count < 1 || op.count > 64) return fail(Errc::bad_request, "grant count");
    for (uint32_t i = 0; i < op.count; ++i) {
      const ObjectId id = ObjectId::random();
      state.granted[id] = op.size_hint;
      grants.grants.push_back({id, read_url(id), expiry()});
    }
    return fs::Answer(std::move(grants));
  }

  Result<fs::Answer> manifest(State& state, const fs::GetManifest& op) {
    const File& file = state.files.at(op.ino);
    fs::Manifest answer;
    answer.attr = file.attr;
    answer.window_end = op.length > UINT64_MAX - op.offset ? UINT64_MAX : op.offset + op.length;
    std::map<ObjectId, std::pair<uint64_t, uint64_t>> used;  // blocks
    file.extents.visit(
        op.offset, answer.window_end,
        [&](uint64_t at, uint64_t n, const Placed& placed) {
          if (answer.extents.size() == extents_per_answer) {
            answer.window_end = std::min(answer.window_end, at);
            return;
          }
          answer.extents.push_back({at, n, placed.object, placed.offset});
          const uint64_t first = placed.offset / kBlockSize;
          const uint64_t end = (placed.offset + n - 1) / kBlockSize + 1;
          const auto [it, fresh] = used.try_emplace(placed.object, first, end);
          it->second.first = std::min(it->second.first, first);
          it->second.second = std::max(it->second.second, end);
        },
        [](uint64_t, uint64_t) {});
    for (const auto& [id, blocks] : used) {
      const Object& object = state.objects.at(id);
      fs::ObjectAccess access{id, object.size, blocks.first, {}, read_url(id), expiry()};
      access.crc32c.assign(object.crc32c.begin() + blocks.first,
                           object.crc32c.begin() + blocks.second);
      answer.objects.push_back(std::move(access));
    }
    return fs::Answer(std::move(answer));
  }

  Result<void> check_new(State& state, const fs::NewObject& object) {
    const auto granted = state.granted.find(object.id);
    if (granted == state.granted.end()) return fail(Errc::bad_request, "object was not granted");
    const auto stored = follower_.object(read_url(object.id));
    if (!stored || stored->size() != object.size || object.size > max_object) {
      return fail(Errc::bad_request, "object is not on the follower");
    }
    const bool shared = share_grants && granted->second <= kBlockSize;
    if (object.size > granted->second && !shared)
      return fail(Errc::bad_request, "larger than granted");
    BlockChecksums sums;
    sums.update(as_bytes(*stored));
    if (sums.finish() != object.crc32c) return fail(Errc::bad_request, "wrong checksums");
    return ok();
  }

  Result<fs::Answer> commit(State& state, const fs::Commit& op) {
    File& file = state.files.at(op.ino);
    if (op.extents.size() > fs::kManifestExtentsMax) return fail(Errc::bad_request, "too many");
    if (op.base && *op.base != file.attr.data_version) return fail(Errc::stale_version);
    for (const fs::NewObject& object : op.objects) {
      const auto known = state.objects.find(object.id);
      if (known != state.objects.end()) {
        if (known->second.crc32c != object.crc32c) return fail(Errc::bad_request, "other content");
        continue;
      }
      ASTER_TRY(check_new(state, object));
      state.objects[object.id] = {object.size, object.crc32c};
    }
    uint64_t at = 0;
    for (const fs::Extent& e : op.extents) {
      const auto object = state.objects.find(*e.object);
      if (object == state.objects.end()) return fail(Errc::bad_request, "unknown object");
      if (e.offset < at || e.object_offset + e.length > object->second.size) {
        return fail(Errc::bad_request, "extent");
      }
      at = e.offset + e.length;
    }
    for (const fs::Extent& e : op.extents) {
      file.extents.insert(e.offset, e.length, {*e.object, e.object_offset});
      file.attr.size = std::max(file.attr.size, e.offset + e.length);
    }
    if (!op.extents.empty()) {
      file.attr.data_version += 1;
      file.attr.mtime = op.mtime.value_or(SystemClock().now_ns());
    }
    file.attr.change += 1;
    file.attr.allocated = file.extents.bytes();
    state.commits.push_back(op);
    return fs::Answer(file.attr);
  }

  Result<fs::Answer> set_attr(State& state, const fs::SetAttr& op) {
    File& file = state.files.at(op.ino);
    if (op.size) {
      file.extents.erase(*op.size, UINT64_MAX);
      file.attr.size = *op.size;
      file.attr.data_version += 1;
      file.attr.mtime = SystemClock().now_ns();
    }
    if (op.mtime) file.attr.mtime = *op.mtime;
    if (op.mode) file.attr.mode = *op.mode;
    file.attr.change += 1;
    file.attr.allocated = file.extents.bytes();
    return fs::Answer(file.attr);
  }

  Executor& executor_;
  FakeFollower& follower_;
  mutable Guarded<State> state_;
};

}  // namespace aster::testing
