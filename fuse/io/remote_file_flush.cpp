#include <algorithm>

#include "fuse/io/remote_file.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

// Grants asked for at once when a file grows part by part.
constexpr uint32_t kPartsAhead = 8;
// A typical part, as long as the primary did not say.
constexpr uint64_t kUsualPart = 16 << 20;
// A failed upload is not repeated in the background before.
constexpr Duration kRetryPause = std::chrono::seconds(1);
// Uploaded objects that no flush comes for are committed after this long: the primary collects
// objects that nothing names (namespace_service.h, grant_lifetime).
constexpr Duration kCommitWithin = std::chrono::minutes(30);

// There is nothing to compose in a file that is one extent.
bool is_whole_file(const fs::Commit& commit, const fs::Attr& attr) {
  return commit.extents.size() == 1 && commit.extents[0].offset == 0 &&
         commit.extents[0].length == attr.size;
}

Result<fs::Attr> attr_of(const Result<fs::BatchAnswer>& answer, size_t index) {
  if (!answer.ok()) return answer.error();
  if (index >= answer->results.size()) return fail(Errc::internal, "batch answer is too short");
  const Result<fs::Answer>& one = answer->results[index];
  if (!one.ok()) return one.error();
  const auto* attr = std::get_if<fs::Attr>(&*one);
  if (attr == nullptr) return fail(Errc::internal, "answer is of another type");
  return *attr;
}

/// The request may have reached the primary although its answer did not come.
bool may_have_been_applied(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timeout ||
         error.code == Errc::interrupted || error.code == Errc::internal;
}

}  // namespace

GrantHint RemoteFile::grant_hint(uint32_t likely) const {
  return {visible_size(*state_.lock()), likely};
}

void RemoteFile::start_upload(UploadObjectPtr object, uint32_t likely, bool packed) {
  ++context_->uploads_under_way;
  context_->spawn(run_upload(std::move(object), grant_hint(likely), packed));
}

// All that is unsent of a small file, so that it makes one object of its own or a share of one.
bool RemoteFile::fits_a_pack() const {
  auto state = state_.lock();
  return packer_->usable() && !state->attr.own_policy && !state->dirty.fresh().empty() &&
         state->dirty.pending().empty() && visible_size(*state) <= Packer::kSmallFile;
}

void RemoteFile::start_uploads(std::vector<UploadObjectPtr> objects) {
  for (UploadObjectPtr& object : objects) start_upload(std::move(object), kPartsAhead);
}

Task<void> RemoteFile::run_upload(UploadObjectPtr object, GrantHint hint, bool packed) {
  const auto self = shared_from_this();
  const SteadyTime asked = context_->clock.steady();
  Uploader::Outcome outcome = Error{Errc::unsupported, {}};
  if (packed) {
    outcome = co_await packer_->upload(object, ino_, asked);
  }
  if (!outcome.ok() && (!packed || outcome.failed_with(Errc::unsupported))) {
    outcome = co_await uploader_.upload(object, hint, asked);
  }
  settle(object, outcome);
  --context_->uploads_under_way;
  context_->relieve();
  if (outcome.ok()) {
    object->done.set(ok());
  } else {
    object->done.set(outcome.error());
  }
}

void RemoteFile::settle(const UploadObjectPtr& object, const Uploader::Outcome& outcome) {
  bool set_timer = false;
  {
    auto state = state_.lock();
    if (outcome.ok()) {
      state->dirty.uploaded(object, outcome.value());
      // A flush commits its own; what was sealed earlier may wait for one for ever.
      set_timer = !object->keep_until_commit && !std::exchange(state->commit_timer, true);
    } else {
      state->dirty.failed(object);
      state->retry_after = context_->clock.steady() + kRetryPause;
    }
  }
  if (outcome.ok()) {
    context_->dirty_budget->note_success();
    if (set_timer) set_commit_timer();
    return;
  }
  // A flush tells its caller.
  if (!object->keep_until_commit) note_background_failure(outcome.error());
  context_->dirty_budget->note_failure(outcome.error());
  context_->executor.post_after(kRetryPause, [weak = context_->weak_from_this()] {
    if (const auto context = weak.lock()) context->relieve();
  });
}

void RemoteFile::note_background_failure(const Error& error) {
  if (context_->stopped()) return;
  context_->unsent_errors.note(ino_, error, context_->clock.now_ns());
}

void RemoteFile::set_commit_timer() {
  context_->executor.post_after(kCommitWithin, [weak = weak_from_this()] {
    if (const auto file = weak.lock()) file->context_->spawn(file->commit_in_background());
  });
}

uint64_t RemoteFile::sealable_bytes() const {
  return state_.lock()->dirty.fresh().bytes();
}

void RemoteFile::relieve() {
  const uint64_t part_size = uploader_.grants().known_part_size();
  UploadObjectPtr object;
  {
    auto state = state_.lock();
    state->dirty.release_uploaded();
    const bool later =
        state->collecting || context_->stopped() || context_->clock.steady() < state->retry_after;
    if (later || state->dirty.fresh().empty()) return;
    if (part_size != 0) object = state->dirty.seal_largest(part_size);
  }
  if (part_size == 0) {
    ask_part_size();
  } else if (object) {
    start_upload(std::move(object), 1);
  }
}

void RemoteFile::ask_part_size() {
  {
    auto state = state_.lock();
    const bool later = state->asking || context_->clock.steady() < state->retry_after;
    if (later || context_->stopped()) return;
    state->asking = true;
  }
  ++context_->uploads_under_way;  // so that pressure does not ask all files at once
  context_->spawn(learn_part_size(grant_hint(kPartsAhead)));
}

Task<void> RemoteFile::learn_part_size(GrantHint hint) {
  const auto self = shared_from_this();
  const SteadyTime deadline = context_->clock.steady() + context_->options.timeout;
  const Result<uint64_t> part_size = co_await uploader_.grants().part_size(hint, deadline);
  std::vector<UploadObjectPtr> full;
  {
    auto state = state_.lock();
    state->asking = false;
    if (!part_size.ok()) {
      state->retry_after = context_->clock.steady() + kRetryPause;
    } else if (!state->collecting && !context_->stopped()) {
      full = state->dirty.seal_full_parts(0, state->dirty.fresh().end(), part_size.value());
    }
  }
  if (!part_size.ok()) {
    note_background_failure(part_size.error());
    context_->dirty_budget->note_failure(part_size.error());
  }
  start_uploads(std::move(full));
  --context_->uploads_under_way;
  context_->relieve();
}

Task<Result<void>> RemoteFile::drain(bool sealed) {
  const auto self = shared_from_this();
  const SteadyTime deadline = context_->clock.steady() + context_->options.timeout;
  {
    auto state = state_.lock();
    const bool told =
        !state->deferred && !state->sending && !(sealed && state->unsealed) && !journaled();
    if (state->dirty.empty() && told) co_return ok();
  }
  const auto turn = co_await turn_.acquire();
  {
    // Whoever waited for a flush that failed for so long shares its failure.
    auto state = state_.lock();
    if (state->flush_error && context_->clock.steady() >= deadline) co_return *state->flush_error;
  }
  const Result<void> flushed = co_await flush_in_turn(sealed, deadline);
  if (flushed.ok() && journaled()) co_await retire_all();
  {
    auto state = state_.lock();
    state->flush_error.reset();
    if (!flushed.ok()) state->flush_error = flushed.error();
  }
  context_->relieve();
  co_return flushed;
}

Task<Result<void>> RemoteFile::flush_in_turn(bool sealed, SteadyTime deadline) {
  ASTER_CO_TRY(co_await repeat_unanswered());
  const Result<void> uploaded = co_await upload_everything(deadline);
  std::vector<PlannedCommit> commits;
  std::vector<UploadObjectPtr> full;
  bool tell_sealed = false;
  uint64_t covers = 0;
  {
    auto state = state_.lock();
    if (uploaded.ok()) commits = state->dirty.commits(ino_);
    state->collecting = false;
    const uint64_t part_size = uploader_.grants().known_part_size();
    if (part_size != 0 && uploaded.ok()) {
      full = state->dirty.seal_full_parts(0, state->dirty.fresh().end(), part_size);
    }
    tell_sealed = sealed && state->unsealed && commits.empty();
    covers = state->sealed_number;
  }
  start_uploads(std::move(full));
  if (!uploaded.ok()) co_return uploaded;
  if (commits.empty()) {
    const std::optional<fs::SetAttr> attributes = take_deferred();
    if (attributes) {
      ASTER_CO_TRY(co_await send_attributes(*attributes));
    }
  }
  if (tell_sealed) {
    // All data is safe already: whether composition starts now or later is nobody's failure.
    std::vector<PlannedCommit> nothing(1);
    nothing[0].commit.ino = ino_;
    const Result<void> told = co_await send_commits(std::move(nothing), true, 0);
    if (!told.ok()) ASTER_LOG(debug, "sealing_failed", {"ino", ino_.value}, {"err", told.error()});
    co_return ok();
  }
  const Result<void> sent = co_await send_commits(std::move(commits), sealed, covers);
  co_return sent;
}

// Seals what is fresh and waits for every object under way. On success and on failure the caller
// ends `collecting`.
Task<Result<void>> RemoteFile::upload_everything(SteadyTime deadline) {
  bool packed = fits_a_pack();
  std::vector<UploadObjectPtr> objects;
  std::vector<UploadObjectPtr> under_way;
  for (bool sealed = false; !sealed;) {
    uint64_t part_size = kUsualPart;
    const uint64_t fresh = sealable_bytes();
    if (fresh != 0 && !packed) {
      const auto likely = static_cast<uint32_t>(std::min<uint64_t>(1 + fresh / kUsualPart, 64));
      ASTER_CO_TRY(part_size, co_await uploader_.grants().part_size(grant_hint(likely), deadline));
    }
    // What the journal is just taking must not be retired before it is there.
    const auto quiet = co_await journaling_.acquire();
    auto state = state_.lock();
    const bool grown = packed && visible_size(*state) > Packer::kSmallFile;
    packed = packed && !grown;
    sealed = !grown;
    if (grown) continue;
    state->sealed_number = state->last_number;
    state->collecting = true;
    objects = state->dirty.seal_all(part_size);
    under_way = state->dirty.under_way();
  }
  const auto likely = static_cast<uint32_t>(objects.size());
  for (UploadObjectPtr& object : objects) start_upload(std::move(object), likely, packed);
  Result<void> all = ok();
  for (const UploadObjectPtr& object : under_way) {
    const Completion<Result<void>> done = object->done;
    const Result<void> one = co_await done;
    if (!one.ok() && all.ok()) all = one;
  }
  co_return all;
}

// `covers`: what of the journal these commits make superfluous, once the last is answered.
Task<Result<void>> RemoteFile::send_commits(std::vector<PlannedCommit> commits, bool sealed,
                                            uint64_t covers) {
  for (size_t i = 0; i < commits.size(); ++i) {
    commits[i].commit.mtime = state_.lock()->written_at;
    commits[i].commit.sealed = sealed && i + 1 == commits.size();
    std::optional<fs::SetAttr> attributes;
    const bool last = i + 1 == commits.size();
    if (last) attributes = take_deferred();
    ASTER_CO_TRY(
        co_await send_commit(std::move(commits[i]), std::move(attributes), last ? covers : 0));
  }
  auto state = state_.lock();
  if (state->dirty.empty()) state->written_at.reset();
  co_return ok();
}

// With the known version as base first: when nobody else changed the file, the manifest after the
// commit is known without asking. Otherwise the last writer wins, byte by byte.
Task<Result<void>> RemoteFile::send_commit(PlannedCommit planned,
                                           std::optional<fs::SetAttr> attributes, uint64_t covers) {
  auto sent = std::make_shared<SentCommit>();
  sent->covers = covers;
  {
    auto state = state_.lock();
    sent->epoch = state->epoch;
    if (!state->stale && !planned.commit.extents.empty()) {
      planned.commit.base = state->attr.data_version;
    }
  }
  sent->planned = std::move(planned);
  // Attributes first: a file that becomes private does so before its data can be seen.
  if (attributes) sent->items.push_back({*attributes, OperationId::random()});
  sent->items.push_back({sent->planned.commit, OperationId::random()});
  Result<void> attributes_set = ok();
  Result<fs::Attr> attr = co_await exchange(sent, attributes ? &attributes_set : nullptr);
  if (attributes) deferred_sent(attributes_set);
  if (attr.failed_with(Errc::stale_version)) {
    invalidate();
    sent->epoch = state_.lock()->epoch;
    sent->planned.commit.base.reset();
    sent->items.assign(1, fs::BatchItem{sent->planned.commit, OperationId::random()});
    attr = co_await exchange(sent, nullptr);
  }
  if (!attr.ok()) co_return std::move(attr).error();
  committed(sent->planned, attr.value(), sent->epoch);
  co_return attributes_set;
}

// Whatever was not answered may have been applied. It is asked for again as it was, before anything
// new: a new commit would meet the version that this one made, and take it for somebody else's.
Task<Result<void>> RemoteFile::repeat_unanswered() {
  const std::shared_ptr<SentCommit> sent = state_.lock()->unanswered;
  if (!sent) co_return ok();
  Result<fs::Attr> attr = co_await exchange(sent, nullptr);
  if (attr.ok()) {
    committed(sent->planned, attr.value(), sent->epoch);
    co_return ok();
  }
  if (state_.lock()->unanswered) co_return std::move(attr).error();
  co_return ok();  // refused: everything is planned anew
}

// `first`: what became of the first of several operations. The answer is that of the last.
Task<Result<fs::Attr>> RemoteFile::exchange(std::shared_ptr<SentCommit> sent, Result<void>* first) {
  co_await note_sent(*sent);
  ASTER_FAULT_POINT("commit.before_send");
  std::vector<fs::BatchItem> items = sent->items;
  const size_t count = items.size();
  const Result<fs::BatchAnswer> answer =
      co_await context_->primary.batch(std::move(items), context_->options.timeout);
  ASTER_FAULT_POINT("commit.after_answer");
  if (first != nullptr) {
    const Result<fs::Attr> one = attr_of(answer, 0);
    if (!one.ok()) *first = one.error();
  }
  Result<fs::Attr> attr = attr_of(answer, count - 1);
  const bool unknown = !attr.ok() && may_have_been_applied(attr.error());
  state_.lock()->unanswered = unknown ? sent : nullptr;
  note_answer(attr, sent->covers);
  co_return attr;
}

void RemoteFile::committed(const PlannedCommit& planned, const fs::Attr& attr, uint64_t epoch) {
  const fs::Commit& commit = planned.commit;
  auto state = state_.lock();
  const bool undisturbed = state->epoch == epoch;
  if (undisturbed && commit.base && state->attr.data_version == *commit.base) {
    state->manifest.apply(commit, planned.objects);
    state->attr = attr;
  } else {
    adopt(*state, attr);
    if (undisturbed && attr.data_version == state->attr.data_version) state->stale = false;
  }
  state->dirty.committed(commit);
  forget_journaled(*state, commit);
  register_while_dirty(*state);
  state->unsealed = !commit.sealed && !is_whole_file(commit, attr);
}

Task<Result<void>> RemoteFile::commit_uploaded() {
  const auto self = shared_from_this();
  const auto turn = co_await turn_.acquire();
  ASTER_CO_TRY(co_await repeat_unanswered());
  std::vector<PlannedCommit> commits;
  {
    auto state = state_.lock();
    commits = state->dirty.commits(ino_);
  }
  // It may be that more was sealed than uploaded, so this covers nothing for sure.
  const Result<void> sent = co_await send_commits(std::move(commits), false, 0);
  co_return sent;
}

Task<void> RemoteFile::commit_in_background() {
  const auto self = shared_from_this();
  state_.lock()->commit_timer = false;
  const Result<void> sent = co_await commit_uploaded();
  if (sent.ok() || context_->stopped()) co_return;
  note_background_failure(sent.error());
  ASTER_LOG(warn, "background_commit_failed", {"ino", ino_.value}, {"err", sent.error()});
  const bool again = !std::exchange(state_.lock()->commit_timer, true);
  if (again) set_commit_timer();
}

}  // namespace aster
