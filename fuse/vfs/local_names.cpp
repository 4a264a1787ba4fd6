#include "fuse/vfs/local_names.h"

#include <algorithm>

#include "fuse/io/attribute_change.h"
#include "fuse/vfs/named_inodes.h"
#include "protocol/fs/acl.h"
#include "protocol/fs/json.h"

namespace aster {
namespace {

/// More than this waits to be sent: whoever makes names waits for the primary.
constexpr size_t kQueueMax = 65536;
/// Directories of which all names are known, and names in one of them.
constexpr size_t kOwnDirectoriesMax = 16384;
constexpr size_t kOwnNamesMax = 65536;

constexpr uint32_t kModeMask = 07777;

/// What the primary will say about it: tree_operations.cpp does the same.
fs::Attr attr_of(const fs::Create& op, const fs::Attr& parent, int64_t now) {
  fs::Attr attr;
  attr.ino = *op.ino;
  attr.type = op.type;
  attr.mode = op.mode & kModeMask;
  attr.uid = op.uid;
  attr.gid = op.gid;
  attr.rdev = op.rdev;
  attr.target = op.target;
  attr.size = op.target.size();
  attr.atime = attr.mtime = attr.ctime = attr.btime = now;
  attr.nlink = op.type == fs::FileType::directory ? 2 : 1;
  attr.data_version = attr.change = 1;
  fs::inherit(parent, op.umask, attr);
  return attr;
}

}  // namespace

LocalNames::LocalNames(LocalNamesOptions options, PrimaryClient& next, WritebackJournal* journal,
                       Executor& executor, const Clock& clock)
    : options_(std::move(options)),
      next_(next),
      journal_(journal),
      executor_(executor),
      clock_(clock) {}

LocalNames::~LocalNames() {
  close();
}

void LocalNames::stop() {
  std::vector<Completion<bool>> waiting;
  {
    auto state = state_.lock();
    state->stopped = true;
    for (const auto& [number, done] : state->waiting) waiting.push_back(done);
    state->waiting.clear();
  }
  for (const Completion<bool>& done : waiting) {
    executor_.post([done] { done.set(false); });
  }
}

void LocalNames::close() {
  stop();
  lifeline_->close();
}

std::optional<fs::BatchAnswer> LocalNames::answer_here(const std::vector<fs::BatchItem>& items) {
  // What comes with a change only tells what it did to its directories.
  const bool simple = !items.empty() && std::all_of(items.begin() + 1, items.end(), [](auto& item) {
    return std::holds_alternative<fs::GetAttr>(item.operation);
  });
  if (!simple) return std::nullopt;
  Local first = local(items[0].operation);
  if (!first) return std::nullopt;
  fs::BatchAnswer all;
  all.results.push_back(std::move(*first));
  for (size_t i = 1; i < items.size(); ++i) {
    Local more = local(items[i].operation);
    all.results.push_back(more ? std::move(*more) : fail(Errc::unsupported, "not known here"));
  }
  return all;
}

Task<Result<fs::BatchAnswer>> LocalNames::batch(std::vector<fs::BatchItem> items,
                                                std::chrono::milliseconds deadline) {
  if (std::optional<fs::BatchAnswer> here = answer_here(items)) co_return std::move(*here);
  const SteadyTime until = clock_.steady() + deadline;
  if (options_.leases && !items.empty()) {
    Concern concern = concern_of<Concern>(items[0].operation);
    const bool changed = co_await prepare_for(std::move(concern), until);
    if (changed) {
      if (std::optional<fs::BatchAnswer> here = answer_here(items)) co_return std::move(*here);
    }
  }
  uint64_t needed = 0;
  {
    auto state = state_.lock();
    for (const fs::BatchItem& item : items) {
      needed = std::max(needed, needed_for(*state, item.operation));
    }
  }
  if (needed > 0) {
    const Result<void> known = co_await wait_for(needed, until);
    if (!known.ok()) co_return known.error();
  }
  const auto* create = items.empty() ? nullptr : std::get_if<fs::Create>(&items[0].operation);
  const bool makes_directory =
      create != nullptr && create->exclusive && create->type == fs::FileType::directory;
  Result<fs::BatchAnswer> answer = co_await forward(std::move(items), until);
  if (!makes_directory || !answer.ok()) co_return answer;
  // A new directory is going to be filled, and nobody else knows it yet.
  const auto* made = answer->results.empty() || !answer->results[0].ok()
                         ? nullptr
                         : std::get_if<fs::Attr>(&*answer->results[0]);
  bool ask = false;
  if (made != nullptr) {
    auto state = state_.lock();
    ask = !state->leased.contains(made->ino.value) && worth_asking(*state, made->ino, false);
    if (ask) state->asking[made->ino.value];
  }
  // With a journal it can be filled without servers from now on.
  if (ask && journal_ != nullptr) co_await take(made->ino);
  if (ask && journal_ == nullptr) take_in_background(made->ino);
  co_return answer;
}

namespace {

/// What note_forwarded() has to know of it: no data.
std::optional<fs::Operation> told_later(const fs::Operation& operation) {
  if (!fs::is_mutation(operation)) return std::nullopt;
  const auto* commit = std::get_if<fs::Commit>(&operation);
  if (commit == nullptr) return operation;
  fs::Commit bare;
  bare.ino = commit->ino;
  return fs::Operation(bare);
}

bool sends_data(const std::vector<fs::BatchItem>& items) {
  return std::any_of(items.begin(), items.end(), [](const fs::BatchItem& item) {
    return std::holds_alternative<fs::Commit>(item.operation) ||
           std::holds_alternative<fs::Grant>(item.operation);
  });
}

}  // namespace

Task<Result<fs::BatchAnswer>> LocalNames::forward(std::vector<fs::BatchItem> items,
                                                  SteadyTime until) {
  std::vector<std::pair<size_t, fs::Operation>> noted;
  for (size_t i = 0; i < items.size(); ++i) {
    if (auto later = told_later(items[i].operation)) noted.emplace_back(i, std::move(*later));
  }
  // Attributes that were read after them in the same request.
  size_t reads_from = noted.empty() ? 0 : noted.back().first + 1;
  while (reads_from < items.size() &&
         !std::holds_alternative<fs::GetAttr>(items[reads_from].operation)) {
    ++reads_from;
  }
  uint64_t begun = 0;
  PrimaryClient* primary = &next_;
  {
    auto state = state_.lock();
    begun = noted.empty() ? state->forwards : ++state->forwards;
    if (sends_data(items)) primary = &way(*state);
    for (const auto& [index, operation] : noted) {
      for (const InodeNo ino : inodes_of(operation)) ++state->forwarding[ino.value];
    }
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.steady());
  Result<fs::BatchAnswer> answer = co_await primary->batch(
      std::move(items), std::max<std::chrono::milliseconds>(left, std::chrono::milliseconds(1)));
  std::vector<Completion<bool>> idle;
  {
    auto state = state_.lock();
    const bool alone = state->forwards == begun;
    if (!noted.empty()) ++state->forwards;
    for (const auto& [index, operation] : noted) {
      const bool has = answer.ok() && index < answer->results.size();
      note_forwarded(*state, operation,
                     has ? answer->results[index] : Result<fs::Answer>(fail(Errc::unavailable)));
      for (const InodeNo ino : inodes_of(operation)) {
        const auto count = state->forwarding.find(ino.value);
        if (--count->second > 0) continue;
        state->forwarding.erase(count);
        const auto asking = state->asking.find(ino.value);
        if (asking == state->asking.end() || !asking->second.idle) continue;
        idle.push_back(*std::exchange(asking->second.idle, std::nullopt));
      }
    }
    for (size_t i = reads_from; alone && answer.ok() && i < answer->results.size(); ++i) {
      const Result<fs::Answer>& one = answer->results[i];
      if (const auto* attr = one.ok() ? std::get_if<fs::Attr>(&*one) : nullptr) {
        refill(*state, *attr);
      }
    }
  }
  for (const Completion<bool>& done : idle) {
    executor_.post([done] { done.set(true); });
  }
  co_return answer;
}

LocalNames::Local LocalNames::local(const fs::Operation& operation) {
  auto state = state_.lock();
  return std::visit(
      [&](const auto& op) -> Local {
        if constexpr (requires { local(*state, op); }) {
          return local(*state, op);
        } else {
          return std::nullopt;
        }
      },
      operation);
}

bool LocalNames::takes_more(const State& state) const {
  return state.queue.size() < kQueueMax && !state.stopped && options_.take_new;
}

LocalNames::Local LocalNames::local(State& state, const fs::Create& op) {
  Own* own = own_directory(state, op.parent);
  if (own == nullptr || op.name.empty() || op.name.size() > fs::kNameMax) return std::nullopt;
  if (!own->attr) return std::nullopt;  // what it hands down is not known
  const auto existing = own->children.find(op.name);
  if (existing != own->children.end()) {
    if (op.exclusive) return fail(Errc::exists);
    const std::optional<fs::Attr> attr = attr_here(state, InodeNo(existing->second));
    if (!attr) return std::nullopt;
    return fs::Answer(*attr);
  }
  if (!takes_more(state)) return std::nullopt;
  reserve_more(state);
  if (state.inos_left == 0) return std::nullopt;
  const int64_t now = clock_.now_ns();
  fs::Create create = op;
  create.exclusive = true;
  create.ino = InodeNo(state.next_ino);
  create.time = now;
  const fs::Attr attr = attr_of(create, *own->attr, now);
  if (!enqueue(state, std::move(create), {attr.ino, op.parent})) return std::nullopt;
  ++state.next_ino;
  --state.inos_left;
  state.unsent[attr.ino.value] = attr;
  own->children[op.name] = attr.ino.value;
  const bool directory = op.type == fs::FileType::directory;
  const bool too_many = own->children.size() > kOwnNamesMax;
  touch_directory(state, op.parent, now, directory ? 1 : 0);
  if (directory && state.own.size() < kOwnDirectoriesMax) state.own[attr.ino.value] = Own{attr, {}};
  if (too_many) state.own.erase(op.parent.value);
  return fs::Answer(attr);
}

LocalNames::Local LocalNames::local(State& state, const fs::Lookup& op) {
  const Own* own = own_directory(state, op.parent);
  if (own == nullptr) return std::nullopt;
  const auto child = own->children.find(op.name);
  if (child == own->children.end()) return fail(Errc::not_found);
  return local(state, fs::GetAttr{InodeNo(child->second)});
}

LocalNames::Local LocalNames::local(State& state, const fs::GetAttr& op) {
  std::optional<fs::Attr> attr = attr_here(state, op.ino);
  if (!attr) return std::nullopt;
  return fs::Answer(std::move(*attr));
}

LocalNames::Local LocalNames::local(State& state, const fs::SetAttr& op) {
  if (op.size || !takes_more(state)) return std::nullopt;
  std::optional<fs::Attr> attr = attr_here(state, op.ino);
  if (!attr) return std::nullopt;
  fs::SetAttr change = op;
  const int64_t now = clock_.now_ns();
  if (!change.ctime) change.ctime = now;
  if (!enqueue(state, change, {op.ino})) return std::nullopt;
  lay_over(change, now, *attr);
  attr->change += 1;
  set_attr_here(state, *attr);
  return fs::Answer(std::move(*attr));
}

// False when the journal is full or broken: then the primary is asked, as without a journal.
bool LocalNames::enqueue(State& state, fs::Operation operation,
                         std::initializer_list<InodeNo> inodes) {
  Queued queued;
  queued.item = {std::move(operation), OperationId::random()};
  if (journal_ != nullptr) {
    fs::BatchRequest request;
    request.items.push_back(queued.item);
    const Result<uint64_t> note = journal_->note_name(*inodes.begin(), fs::encode(request));
    if (!note.ok()) return false;
    queued.note = *note;
  }
  queued.number = ++state.given;
  for (const InodeNo ino : inodes) state.last[ino.value] = queued.number;
  state.queue.push_back(std::move(queued));
  kick(state);
  return true;
}

// The number up to which everything must be at the primary before the operation can be asked there.
uint64_t LocalNames::needed_for(const State& state, const fs::Operation& operation) const {
  uint64_t needed = 0;
  const auto need = [&](uint64_t ino) {
    const auto last = state.last.find(ino);
    if (last != state.last.end()) needed = std::max(needed, last->second);
  };
  const auto need_child = [&](InodeNo parent, const std::string& name) {
    const auto own = state.own.find(parent.value);
    if (own == state.own.end()) return;
    const auto child = own->second.children.find(name);
    if (child != own->second.children.end()) need(child->second);
  };
  for (const InodeNo ino : inodes_of(operation)) need(ino.value);
  std::visit(
      [&](const auto& op) {
        if constexpr (requires { need_child(op.parent, op.name); }) need_child(op.parent, op.name);
        if constexpr (requires {
                        op.new_parent;
                        op.new_name;
                      }) {
          need_child(op.new_parent, op.new_name);
        }
      },
      operation);
  // What depends on a directory being empty is of all that was made in it.
  const bool of_tree =
      std::holds_alternative<fs::Rmdir>(operation) || std::holds_alternative<fs::Rename>(operation);
  // A listing tells the attributes of all that is in it.
  const auto* listing = std::get_if<fs::ReadDir>(&operation);
  const bool of_all = listing != nullptr && state.own.contains(listing->ino.value);
  if (of_tree || of_all) needed = state.given;
  return needed <= state.settled ? 0 : needed;
}

// Nothing was changed since it was asked for, neither here nor by way of the primary.
void LocalNames::refill(State& state, const fs::Attr& attr) const {
  const auto last = state.last.find(attr.ino.value);
  if (last != state.last.end() && last->second > state.settled) return;
  const auto own = state.own.find(attr.ino.value);
  if (own != state.own.end() && !own->second.attr) own->second.attr = attr;
  const auto leased = state.leased.find(attr.ino.value);
  if (leased != state.leased.end() && !leased->second) leased->second = attr;
}

// What was changed by way of the primary has other attributes now.
void LocalNames::doubt_forwarded(State& state, const fs::Operation& operation,
                                 const Result<fs::Answer>& answer) {
  std::vector<uint64_t> changed;
  for (const InodeNo ino : inodes_of(operation)) changed.push_back(ino.value);
  std::visit(
      [&](const auto& op) {
        const auto add = [&](InodeNo parent, const std::string& name) {
          const auto own = state.own.find(parent.value);
          if (own == state.own.end()) return;
          const auto child = own->second.children.find(name);
          if (child != own->second.children.end()) changed.push_back(child->second);
        };
        if constexpr (requires { add(op.parent, op.name); }) add(op.parent, op.name);
        if constexpr (requires { add(op.new_parent, op.new_name); })
          add(op.new_parent, op.new_name);
      },
      operation);
  for (const uint64_t ino : changed) {
    const auto own = state.own.find(ino);
    if (own != state.own.end()) own->second.attr.reset();
    const auto leased = state.leased.find(ino);
    if (leased != state.leased.end()) leased->second.reset();
    for (auto& [directory, asking] : state.asking) asking.touched.insert(ino);
  }
  const auto* attr = answer.ok() ? std::get_if<fs::Attr>(&*answer) : nullptr;
  if (attr == nullptr) return;
  for (auto& [directory, asking] : state.asking) asking.touched.insert(attr->ino.value);
  const auto leased = state.leased.find(attr->ino.value);
  const auto last = state.last.find(attr->ino.value);
  const bool settled = last == state.last.end() || last->second <= state.settled;
  const auto under_way = state.forwarding.find(attr->ino.value);
  const bool alone = under_way == state.forwarding.end() || under_way->second <= 1;
  const bool newest = leased != state.leased.end() && settled && alone;
  if (newest && attr->type != fs::FileType::directory) leased->second = *attr;
}

// The primary changed something in or of a directory whose names are known here.
void LocalNames::note_forwarded(State& state, const fs::Operation& operation,
                                const Result<fs::Answer>& answer) {
  doubt_forwarded(state, operation, answer);
  if (std::holds_alternative<fs::Commit>(operation)) return;
  const auto children = [&](InodeNo parent) -> std::unordered_map<std::string, uint64_t>* {
    const auto own = state.own.find(parent.value);
    return own == state.own.end() ? nullptr : &own->second.children;
  };
  const bool unsure =
      !answer.ok() && (answer.failed_with(Errc::unavailable) || answer.failed_with(Errc::timeout) ||
                       answer.failed_with(Errc::internal));
  if (const auto* rename = std::get_if<fs::Rename>(&operation)) {
    const fs::Renamed* renamed = answer.ok() ? std::get_if<fs::Renamed>(&*answer) : nullptr;
    auto* from = children(rename->parent);
    auto* to = children(rename->new_parent);
    if (rename->exchange || unsure) {
      state.own.erase(rename->parent.value);
      state.own.erase(rename->new_parent.value);
    } else if (renamed != nullptr) {
      if (from != nullptr) from->erase(rename->name);
      if (to != nullptr) (*to)[rename->new_name] = renamed->moved.ino.value;
    }
    return;
  }
  const InodeNo parent = inodes_of(operation)[0];
  auto* names = children(parent);
  if (names != nullptr && unsure) {
    state.own.erase(parent.value);
    return;
  }
  if (!answer.ok()) return;
  if (const auto* unlink = std::get_if<fs::Unlink>(&operation); unlink != nullptr && names) {
    names->erase(unlink->name);
  } else if (const auto* rmdir = std::get_if<fs::Rmdir>(&operation)) {
    if (names != nullptr) names->erase(rmdir->name);
    if (const auto* removed = std::get_if<fs::Removed>(&*answer)) {
      state.own.erase(removed->ino.value);
    }
  } else if (const auto* link = std::get_if<fs::Link>(&operation)) {
    auto* target = children(link->parent);
    if (target != nullptr) (*target)[link->name] = link->ino.value;
  } else if (const auto* create = std::get_if<fs::Create>(&operation)) {
    const auto* attr = std::get_if<fs::Attr>(&*answer);
    if (attr == nullptr) return;
    if (names != nullptr) (*names)[create->name] = attr->ino.value;
    made_by_primary(state, *create, *attr);
  } else if (const auto* xattr = std::get_if<fs::SetXattr>(&operation)) {
    // What is made below it may inherit from it in ways that only the primary knows.
    if (!xattr->name.starts_with("user.")) state.own.erase(xattr->ino.value);
    if (xattr->name == "user.aster.policy") state.own.clear();
  }
}

// Under a lease it is leased as well; without leases a new directory is our own until an event.
void LocalNames::made_by_primary(State& state, const fs::Create& create, const fs::Attr& attr) {
  if (!create.exclusive || !options_.take_new) return;
  const bool directory = attr.type == fs::FileType::directory;
  if (options_.leases) {
    if (!state.leased.contains(create.parent.value)) return;
    state.leased.try_emplace(attr.ino.value, attr);
    if (state.giving.contains(create.parent.value)) state.giving.insert(attr.ino.value);
  }
  const bool known = directory && !attr.own_policy;
  if (known && state.own.size() < kOwnDirectoriesMax) state.own[attr.ino.value] = Own{attr, {}};
}

Task<Result<void>> LocalNames::follow_events(EventHandlers handlers, CancelToken cancel) {
  const Result<void> followed =
      co_await next_.follow_events(std::move(handlers), std::move(cancel));
  co_return followed;
}

Task<Result<fs::SessionAnswer>> LocalNames::open_session(fs::SessionRequest request) {
  Result<fs::SessionAnswer> answer = co_await next_.open_session(std::move(request));
  co_return answer;
}

Task<Result<void>> LocalNames::close_session() {
  const Result<void> closed = co_await next_.close_session();
  co_return closed;
}

Task<bool> LocalNames::refuses_connections() {
  auto* below = dynamic_cast<Reachability*>(&next_);
  if (below == nullptr) co_return true;
  const bool refuses = co_await below->refuses_connections();
  co_return refuses;
}

}  // namespace aster
