#include "fuse/vfs/local_names.h"

#include <algorithm>
#include <array>

#include "fuse/io/attribute_change.h"
#include "protocol/fs/acl.h"
#include "protocol/fs/json.h"

namespace aster {
namespace {

/// More than this waits to be sent: whoever makes names waits for the primary.
constexpr size_t kQueueMax = 65536;
/// Directories of which all names are known, and names in one of them.
constexpr size_t kOwnMax = 16384;
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

struct Inodes {
  std::array<InodeNo, 2> all;
};

/// The inodes that an operation names.
Inodes inodes_of(const fs::Operation& operation) {
  return std::visit(
      [](const auto& op) -> Inodes {
        if constexpr (requires { op.parent.value_or(InodeNo()); }) {
          return {{op.parent.value_or(InodeNo()), InodeNo()}};
        } else if constexpr (requires { op.new_parent; }) {
          return {{op.parent, op.new_parent}};
        } else if constexpr (requires { op.source; }) {
          return {{op.source, op.target}};
        } else if constexpr (requires { op.target_offset; }) {
          return {{op.target, InodeNo()}};
        } else if constexpr (requires {
                               op.parent;
                               op.target;
                             }) {
          return {{op.parent, InodeNo()}};  // Create::ino is new
        } else if constexpr (requires {
                               op.parent;
                               op.ino;
                             }) {
          return {{op.parent, op.ino}};
        } else if constexpr (requires { op.parent; }) {
          return {{op.parent, InodeNo()}};
        } else if constexpr (requires { op.ino; }) {
          return {{op.ino, InodeNo()}};
        } else {
          return {};
        }
      },
      operation);
}

}  // namespace

LocalNames::LocalNames(LocalNamesOptions options, PrimaryClient& next, WritebackJournal& journal,
                       Executor& executor, const Clock& clock)
    : options_(std::move(options)),
      next_(next),
      journal_(journal),
      executor_(executor),
      clock_(clock) {}

LocalNames::~LocalNames() {
  stop();
  lifeline_->close();
}

void LocalNames::stop() {
  state_.lock()->stopped = true;
}

Task<Result<fs::BatchAnswer>> LocalNames::batch(std::vector<fs::BatchItem> items,
                                                std::chrono::milliseconds deadline) {
  std::optional<Result<fs::Answer>> first;
  if (!items.empty()) first = local(items[0].operation);
  if (first) {
    // What comes with a change only tells what it did to its directories, which are our own, too.
    fs::BatchAnswer all;
    all.results.push_back(std::move(*first));
    for (size_t i = 1; i < items.size(); ++i) {
      std::optional<Result<fs::Answer>> more = local(items[i].operation);
      all.results.push_back(more ? std::move(*more) : fail(Errc::unsupported, "not known here"));
    }
    co_return all;
  }
  const SteadyTime until = clock_.steady() + deadline;
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
  std::vector<std::pair<size_t, fs::Operation>> noted;  // never data: only names and attributes
  for (size_t i = 0; i < items.size(); ++i) {
    const fs::Operation& operation = items[i].operation;
    const bool names = fs::is_mutation(operation) && !std::holds_alternative<fs::Commit>(operation);
    if (names) noted.emplace_back(i, operation);
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.steady());
  Result<fs::BatchAnswer> answer = co_await next_.batch(
      std::move(items), std::max<std::chrono::milliseconds>(left, std::chrono::milliseconds(1)));
  for (const auto& [index, operation] : noted) {
    const bool has = answer.ok() && index < answer->results.size();
    note_forwarded(operation,
                   has ? answer->results[index] : Result<fs::Answer>(fail(Errc::unavailable)));
  }
  co_return answer;
}

std::optional<Result<fs::Answer>> LocalNames::local(const fs::Operation& operation) {
  auto state = state_.lock();
  if (const auto* create = std::get_if<fs::Create>(&operation)) return local(*state, *create);
  if (const auto* lookup = std::get_if<fs::Lookup>(&operation)) return local(*state, *lookup);
  if (const auto* getattr = std::get_if<fs::GetAttr>(&operation)) return local(*state, *getattr);
  if (const auto* setattr = std::get_if<fs::SetAttr>(&operation)) return local(*state, *setattr);
  return std::nullopt;
}

std::optional<Result<fs::Answer>> LocalNames::local(State& state, const fs::Create& op) {
  const auto own = state.own.find(op.parent.value);
  if (own == state.own.end() || op.name.empty() || op.name.size() > fs::kNameMax) {
    return std::nullopt;
  }
  if (!own->second.attr) return std::nullopt;  // what it hands down is not known
  const auto existing = own->second.children.find(op.name);
  if (existing != own->second.children.end()) {
    if (op.exclusive) return fail(Errc::exists);
    const auto attr = state.unsent.find(existing->second);
    if (attr == state.unsent.end()) return std::nullopt;
    return fs::Answer(attr->second);
  }
  if (state.queue.size() >= kQueueMax || state.stopped) return std::nullopt;
  reserve_more(state);
  if (state.inos_left == 0) return std::nullopt;
  const int64_t now = clock_.now_ns();
  fs::Create create = op;
  create.exclusive = true;
  create.ino = InodeNo(state.next_ino);
  create.time = now;
  const fs::Attr attr = attr_of(create, *own->second.attr, now);
  if (!enqueue(state, std::move(create), attr.ino)) return std::nullopt;
  ++state.next_ino;
  --state.inos_left;
  state.last[op.parent.value] = state.given;  // also for those who ask when it is no more our own
  state.unsent[attr.ino.value] = attr;
  Own& directory = own->second;
  directory.children[op.name] = attr.ino.value;
  directory.attr->mtime = directory.attr->ctime = now;
  directory.attr->change += 1;
  if (op.type == fs::FileType::directory) directory.attr->nlink += 1;
  const bool too_many = directory.children.size() > kOwnNamesMax;
  if (op.type == fs::FileType::directory && state.own.size() < kOwnMax) {
    state.own[attr.ino.value] = Own{attr, {}};
  }
  if (too_many) state.own.erase(op.parent.value);
  return fs::Answer(attr);
}

std::optional<Result<fs::Answer>> LocalNames::local(State& state, const fs::Lookup& op) {
  const auto own = state.own.find(op.parent.value);
  if (own == state.own.end()) return std::nullopt;
  const auto child = own->second.children.find(op.name);
  if (child == own->second.children.end()) return fail(Errc::not_found);
  return local(state, fs::GetAttr{InodeNo(child->second)});
}

std::optional<Result<fs::Answer>> LocalNames::local(State& state, const fs::GetAttr& op) {
  const auto own = state.own.find(op.ino.value);
  if (own != state.own.end() && own->second.attr) return fs::Answer(*own->second.attr);
  const auto unsent = state.unsent.find(op.ino.value);
  if (unsent != state.unsent.end()) return fs::Answer(unsent->second);
  return std::nullopt;
}

std::optional<Result<fs::Answer>> LocalNames::local(State& state, const fs::SetAttr& op) {
  if (op.size || state.queue.size() >= kQueueMax || state.stopped) return std::nullopt;
  const auto own = state.own.find(op.ino.value);
  const auto unsent = state.unsent.find(op.ino.value);
  fs::Attr* attr = nullptr;
  if (own != state.own.end() && own->second.attr) attr = &*own->second.attr;
  if (attr == nullptr && unsent != state.unsent.end()) attr = &unsent->second;
  if (attr == nullptr) return std::nullopt;
  fs::SetAttr change = op;
  const int64_t now = clock_.now_ns();
  if (!change.ctime) change.ctime = now;
  if (!enqueue(state, change, op.ino)) return std::nullopt;
  lay_over(change, now, *attr);
  attr->change += 1;
  if (unsent != state.unsent.end()) unsent->second = *attr;
  return fs::Answer(*attr);
}

// False when the journal is full or broken: then the primary is asked, as without a journal.
bool LocalNames::enqueue(State& state, fs::Operation operation, InodeNo ino) {
  Queued queued;
  queued.item = {std::move(operation), OperationId::random()};
  fs::BatchRequest request;
  request.items.push_back(queued.item);
  const Result<uint64_t> note = journal_.note_name(ino, fs::encode(request));
  if (!note.ok()) return false;
  queued.note = *note;
  queued.number = ++state.given;
  state.last[ino.value] = queued.number;
  state.queue.push_back(std::move(queued));
  kick(state);
  return true;
}

// The number up to which everything must be at the primary before the operation can be asked there.
uint64_t LocalNames::needed_for(const State& state, const fs::Operation& operation) {
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
  for (const InodeNo ino : inodes_of(operation).all) need(ino.value);
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
  if (of_tree) needed = state.given;
  return needed <= state.settled ? 0 : needed;
}

// The primary changed something in or of a directory whose names are known here.
void LocalNames::note_forwarded(const fs::Operation& operation, const Result<fs::Answer>& answer) {
  auto state = state_.lock();
  for (const InodeNo ino : inodes_of(operation).all) {
    const auto own = state->own.find(ino.value);
    if (own != state->own.end()) own->second.attr.reset();
  }
  const auto children = [&](InodeNo parent) -> std::unordered_map<std::string, uint64_t>* {
    const auto own = state->own.find(parent.value);
    return own == state->own.end() ? nullptr : &own->second.children;
  };
  const bool unsure =
      !answer.ok() && (answer.failed_with(Errc::unavailable) || answer.failed_with(Errc::timeout) ||
                       answer.failed_with(Errc::internal));
  if (const auto* rename = std::get_if<fs::Rename>(&operation)) {
    const fs::Renamed* renamed = answer.ok() ? std::get_if<fs::Renamed>(&*answer) : nullptr;
    auto* from = children(rename->parent);
    auto* to = children(rename->new_parent);
    if (rename->exchange || unsure) {
      state->own.erase(rename->parent.value);
      state->own.erase(rename->new_parent.value);
    } else if (renamed != nullptr) {
      if (from != nullptr) from->erase(rename->name);
      if (to != nullptr) (*to)[rename->new_name] = renamed->moved.ino.value;
    }
    return;
  }
  const InodeNo parent = inodes_of(operation).all[0];
  auto* names = children(parent);
  if (names != nullptr && unsure) {
    state->own.erase(parent.value);
    return;
  }
  if (!answer.ok()) return;
  if (const auto* unlink = std::get_if<fs::Unlink>(&operation); unlink != nullptr && names) {
    names->erase(unlink->name);
  } else if (const auto* rmdir = std::get_if<fs::Rmdir>(&operation)) {
    if (names != nullptr) names->erase(rmdir->name);
    if (const auto* removed = std::get_if<fs::Removed>(&*answer)) {
      state->own.erase(removed->ino.value);
    }
  } else if (const auto* link = std::get_if<fs::Link>(&operation)) {
    auto* target = children(link->parent);
    if (target != nullptr) (*target)[link->name] = link->ino.value;
  } else if (const auto* create = std::get_if<fs::Create>(&operation)) {
    const auto* attr = std::get_if<fs::Attr>(&*answer);
    if (attr == nullptr) return;
    if (names != nullptr) (*names)[create->name] = attr->ino.value;
    const bool made = create->exclusive && attr->type == fs::FileType::directory;
    if (made && options_.take_new && state->own.size() < kOwnMax) {
      state->own[attr->ino.value] = Own{*attr, {}};
    }
  } else if (const auto* xattr = std::get_if<fs::SetXattr>(&operation)) {
    // What is made below may inherit from it in ways that only the primary knows.
    if (!xattr->name.starts_with("user.")) state->own.erase(xattr->ino.value);
  }
}

void LocalNames::on_event(const fs::Invalidation& event) {
  auto state = state_.lock();
  for (const auto& inode : event.inodes) state->own.erase(inode.ino.value);
  for (const auto& entry : event.entries) state->own.erase(entry.parent.value);
}

// What the primary does not know yet, nobody else can have touched.
void LocalNames::on_reset() {
  auto state = state_.lock();
  std::erase_if(state->own, [&](const auto& own) { return !state->unsent.contains(own.first); });
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
