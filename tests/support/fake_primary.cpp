#include "tests/support/fake_primary.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "protocol/fs/acl.h"

namespace aster::testing {

using fs::Answer;
using fs::Attr;
using fs::FileType;

/// The rules of the tree, on a locked state.
class FakePrimary::Rules {
 public:
  Rules(State& state, InodeNo root) : s_(state), root_(root) {}

  static Attr told(const Node& node) {
    Attr attr = node.attr;
    attr.no_xattrs = node.xattrs.empty();
    return attr;
  }

  Result<Answer> operator()(const fs::Lookup& op) {
    ASTER_TRY(const auto child, entry(op.parent, op.name));
    return Answer(told(s_.nodes.at(child.value)));
  }
  Result<Answer> operator()(const fs::GetAttr& op) {
    ASTER_TRY(Node * node, find(op.ino));
    return Answer(told(*node));
  }
  Result<Answer> operator()(const fs::ReadDir& op);
  Result<Answer> operator()(const fs::GetXattr& op) {
    ASTER_TRY(Node * node, find(op.ino));
    const auto it = node->xattrs.find(op.name);
    if (it == node->xattrs.end()) return fail(Errc::no_attribute);
    return Answer(fs::XattrValue{it->second});
  }
  Result<Answer> operator()(const fs::ListXattr& op) {
    ASTER_TRY(Node * node, find(op.ino));
    fs::XattrNames names;
    for (const auto& [name, value] : node->xattrs) names.names.push_back(name);
    return Answer(std::move(names));
  }
  Result<Answer> operator()(const fs::GetManifest&) { return fail(Errc::unsupported); }
  Result<Answer> operator()(const fs::ListTrash&) { return fail(Errc::unsupported); }
  Result<Answer> operator()(const fs::ListVersions&) { return fail(Errc::unsupported); }
  Result<Answer> operator()(const fs::RestoreTrash&) { return fail(Errc::unsupported); }
  Result<Answer> operator()(const fs::EmptyTrash&) { return fail(Errc::unsupported); }
  Result<Answer> operator()(const fs::RestoreVersion&) { return fail(Errc::unsupported); }
  Result<Answer> operator()(const fs::StatFs&) {
    return Answer(fs::StatFsAnswer{1ull << 40, 1ull << 39, s_.nodes.size()});
  }
  Result<Answer> operator()(const fs::Grant&) { return fail(Errc::unsupported); }
  Result<Answer> operator()(const fs::Hold& op) {
    ASTER_TRY(Node * node, find(op.ino));
    node->held = true;
    return Answer(fs::Empty{});
  }
  Result<Answer> operator()(const fs::Release& op) {
    const auto it = s_.nodes.find(op.ino.value);
    if (it == s_.nodes.end()) return Answer(fs::Empty{});
    it->second.held = false;
    collect(op.ino);
    return Answer(fs::Empty{});
  }
  Result<Answer> operator()(const fs::ReserveInodes& op) {
    const InodeNo first(s_.next_ino);
    s_.next_ino += op.count;
    return Answer(fs::InodeRange{first, op.count});
  }
  Result<Answer> operator()(const fs::Touch& op) {
    ASTER_TRY(Node * node, find(op.ino));
    node->attr.atime = std::max(node->attr.atime, op.atime);
    return Answer(fs::Empty{});
  }
  Result<Answer> operator()(const fs::Create& op);
  Result<Answer> operator()(const fs::Link& op);
  Result<Answer> operator()(const fs::Unlink& op);
  Result<Answer> operator()(const fs::Rmdir& op);
  Result<Answer> operator()(const fs::Rename& op);
  Result<Answer> operator()(const fs::SetAttr& op);
  Result<Answer> operator()(const fs::SetXattr& op);
  Result<Answer> operator()(const fs::RemoveXattr& op);
  Result<Answer> operator()(const fs::Commit& op);
  Result<Answer> operator()(const fs::CopyRange& op);

  Result<Node*> find(InodeNo ino) {
    const auto it = s_.nodes.find(ino.value);
    if (it == s_.nodes.end()) return fail(Errc::stale_handle, "inode");
    return &it->second;
  }
  /// A change of content: times, version.
  void content_changed(Node& node, std::optional<int64_t> mtime = std::nullopt) {
    node.attr.size = node.data.size();
    node.attr.allocated = node.data.size();
    ++node.attr.data_version;
    node.attr.ctime = touch(node);
    node.attr.mtime = mtime.value_or(node.attr.ctime);
  }

 private:
  int64_t touch(Node& node) {
    node.attr.change = ++s_.changes;
    return s_.now += 1000;
  }
  void directory_changed(Node& directory) {
    directory.attr.ctime = directory.attr.mtime = touch(directory);
  }
  Result<Node*> directory(InodeNo ino) {
    ASTER_TRY(Node * node, find(ino));
    if (node->attr.type != FileType::directory) return fail(Errc::not_directory);
    return node;
  }
  Result<InodeNo> entry(InodeNo parent, const std::string& name) {
    ASTER_TRY(Node * node, directory(parent));
    const auto it = node->children.find(name);
    if (it == node->children.end()) return fail(Errc::not_found, "entry");
    return it->second.first;
  }
  void put(Node& directory, const std::string& name, InodeNo ino) {
    directory.children[name] = {ino, s_.next_cookie++};
    directory_changed(directory);
  }
  fs::Removed drop(InodeNo ino, bool hold) {
    Node& node = s_.nodes.at(ino.value);
    node.attr.nlink = node.attr.type == FileType::directory ? 0 : node.attr.nlink - 1;
    node.attr.ctime = touch(node);
    if (node.attr.nlink == 0 && hold) node.held = true;
    const fs::Removed removed{ino, node.attr.nlink};
    collect(ino);
    return removed;
  }
  void collect(InodeNo ino) {
    const auto it = s_.nodes.find(ino.value);
    if (it->second.attr.nlink == 0 && !it->second.held) s_.nodes.erase(it);
  }
  bool below(InodeNo ino, InodeNo ancestor) {
    while (ino != ancestor && ino != root_) ino = s_.nodes.at(ino.value).parent;
    return ino == ancestor;
  }
  Result<void> may_replace(const Node& moved, InodeNo target);

  State& s_;
  const InodeNo root_;
};

Result<Answer> FakePrimary::Rules::operator()(const fs::ReadDir& op) {
  ASTER_TRY(Node * node, directory(op.ino));
  std::vector<std::pair<uint64_t, std::string>> order;
  for (const auto& [name, child] : node->children) {
    if (child.second > op.after) order.emplace_back(child.second, name);
  }
  std::sort(order.begin(), order.end());
  fs::DirPage page;
  page.end = order.size() <= op.limit;
  page.parent = node->parent;
  if (!page.end) order.resize(op.limit);
  for (const auto& [cookie, name] : order) {
    page.entries.push_back({name, cookie, told(s_.nodes.at(node->children[name].first.value))});
  }
  return Answer(std::move(page));
}

Result<Answer> FakePrimary::Rules::operator()(const fs::Create& op) {
  ASTER_TRY(Node * parent, directory(op.parent));
  if (parent->attr.nlink == 0) return fail(Errc::not_found);
  if (const auto old = parent->children.find(op.name); old != parent->children.end()) {
    if (op.exclusive) return fail(Errc::exists);
    return Answer(s_.nodes.at(old->second.first.value).attr);
  }
  const InodeNo ino = op.ino.value_or(InodeNo(s_.next_ino));
  if (!op.ino) ++s_.next_ino;
  if (s_.nodes.contains(ino.value)) return fail(Errc::bad_request, "inode number in use");
  Node& node = s_.nodes[ino.value];
  node.attr.ino = ino;
  node.attr.type = op.type;
  node.attr.mode = op.mode & 07777;
  node.attr.uid = op.uid;
  node.attr.gid = op.gid;
  node.attr.rdev = op.rdev;
  node.attr.target = op.target;
  node.attr.size = op.target.size();
  node.attr.nlink = op.type == FileType::directory ? 2 : 1;
  node.attr.data_version = 1;
  node.parent = op.parent;
  fs::inherit(parent->attr, op.umask, node.attr);
  node.attr.btime = node.attr.atime = node.attr.mtime = node.attr.ctime = touch(node);
  if (op.type == FileType::directory) ++parent->attr.nlink;
  put(*parent, op.name, ino);
  return Answer(node.attr);
}

Result<Answer> FakePrimary::Rules::operator()(const fs::Link& op) {
  ASTER_TRY(Node * node, find(op.ino));
  ASTER_TRY(Node * parent, directory(op.parent));
  if (node->attr.type == FileType::directory) return fail(Errc::not_permitted);
  if (node->attr.nlink == 0) return fail(Errc::not_found);
  if (parent->children.contains(op.name)) return fail(Errc::exists);
  ++node->attr.nlink;
  node->attr.ctime = touch(*node);
  put(*parent, op.name, op.ino);
  return Answer(node->attr);
}

Result<Answer> FakePrimary::Rules::operator()(const fs::Unlink& op) {
  ASTER_TRY(const InodeNo ino, entry(op.parent, op.name));
  if (op.only && ino != *op.only) return fail(Errc::not_found);
  if (s_.nodes.at(ino.value).attr.type == FileType::directory) return fail(Errc::is_directory);
  Node& parent = s_.nodes.at(op.parent.value);
  parent.children.erase(op.name);
  directory_changed(parent);
  return Answer(drop(ino, op.hold));
}

Result<Answer> FakePrimary::Rules::operator()(const fs::Rmdir& op) {
  ASTER_TRY(const InodeNo ino, entry(op.parent, op.name));
  if (op.only && ino != *op.only) return fail(Errc::not_found);
  Node& node = s_.nodes.at(ino.value);
  if (node.attr.type != FileType::directory) return fail(Errc::not_directory);
  if (!node.children.empty()) return fail(Errc::not_empty);
  Node& parent = s_.nodes.at(op.parent.value);
  parent.children.erase(op.name);
  --parent.attr.nlink;
  directory_changed(parent);
  return Answer(drop(ino, false));
}

Result<void> FakePrimary::Rules::may_replace(const Node& moved, InodeNo target) {
  const Node& other = s_.nodes.at(target.value);
  const bool from_dir = moved.attr.type == FileType::directory;
  const bool to_dir = other.attr.type == FileType::directory;
  if (from_dir && !to_dir) return fail(Errc::not_directory);
  if (!from_dir && to_dir) return fail(Errc::is_directory);
  if (to_dir && !other.children.empty()) return fail(Errc::not_empty);
  return ok();
}

Result<Answer> FakePrimary::Rules::operator()(const fs::Rename& op) {
  ASTER_TRY(const InodeNo ino, entry(op.parent, op.name));
  if (op.only && ino != *op.only) return fail(Errc::not_found);
  ASTER_TRY(Node * to, directory(op.new_parent));
  Node& from = s_.nodes.at(op.parent.value);
  Node& node = s_.nodes.at(ino.value);
  const bool is_dir = node.attr.type == FileType::directory;
  if (is_dir && below(op.new_parent, ino)) return fail(Errc::bad_request);
  fs::Renamed renamed;
  const auto old = to->children.find(op.new_name);
  const std::optional<InodeNo> target =
      old == to->children.end() ? std::nullopt : std::optional(old->second.first);
  if (target && op.replaces && *target != *op.replaces) return fail(Errc::exists);
  if (op.exchange) {
    if (!target) return fail(Errc::not_found);
    Node& other = s_.nodes.at(target->value);
    const bool other_dir = other.attr.type == FileType::directory;
    if (other_dir && below(op.parent, *target)) return fail(Errc::bad_request);
    from.children[op.name].first = *target;
    to->children[op.new_name].first = ino;
    std::swap(node.parent, other.parent);
    if (is_dir != other_dir && &from != to) {
      (is_dir ? to : &from)->attr.nlink += 1;
      (is_dir ? &from : to)->attr.nlink -= 1;
    }
    other.attr.ctime = touch(other);
  } else {
    if (target && op.no_replace) return fail(Errc::exists);
    if (target == ino) return Answer(fs::Renamed{node.attr, std::nullopt});
    if (target) {
      ASTER_TRY(may_replace(node, *target));
      if (is_dir) --to->attr.nlink;
      renamed.replaced = drop(*target, op.hold);
    }
    from.children.erase(op.name);
    put(*to, op.new_name, ino);
    if (is_dir) {
      --from.attr.nlink;
      ++to->attr.nlink;
    }
    node.parent = op.new_parent;
  }
  directory_changed(from);
  directory_changed(*to);
  node.attr.ctime = touch(node);
  renamed.moved = node.attr;
  return Answer(std::move(renamed));
}

Result<Answer> FakePrimary::Rules::operator()(const fs::SetAttr& op) {
  ASTER_TRY(Node * node, find(op.ino));
  if (op.size) {
    if (node->attr.type != FileType::regular) return fail(Errc::bad_request);
    node->data.resize(*op.size);
    content_changed(*node);
  }
  if (op.mode) fs::set_mode(node->attr, *op.mode & 07777);
  if (op.uid) node->attr.uid = *op.uid;
  if (op.gid) node->attr.gid = *op.gid;
  if (op.atime) node->attr.atime = *op.atime;
  if (op.mtime) node->attr.mtime = *op.mtime;
  const int64_t now = touch(*node);
  node->attr.ctime = op.ctime.value_or(now);
  return Answer(node->attr);
}

Result<Answer> FakePrimary::Rules::operator()(const fs::SetXattr& op) {
  ASTER_TRY(Node * node, find(op.ino));
  if (op.name == fs::kAclXattr) ASTER_TRY(fs::set_acl(node->attr, op.value));
  if (op.name == fs::kDefaultAclXattr) {
    ASTER_TRY(fs::check_acl(op.value));
    if (node->attr.type != FileType::directory) return fail(Errc::access_denied);
    node->attr.default_acl = op.value;
  }
  if (fs::is_acl_xattr(op.name)) {
    if (op.clear_sgid) node->attr.mode &= ~static_cast<uint32_t>(S_ISGID);
    node->attr.ctime = touch(*node);
    return Answer(fs::Empty{});
  }
  const bool there = node->xattrs.contains(op.name);
  if (op.create_only && there) return fail(Errc::exists);
  if (op.replace_only && !there) return fail(Errc::no_attribute);
  node->xattrs[op.name] = op.value;
  node->attr.ctime = touch(*node);
  return Answer(fs::Empty{});
}

Result<Answer> FakePrimary::Rules::operator()(const fs::RemoveXattr& op) {
  ASTER_TRY(Node * node, find(op.ino));
  if (op.name == fs::kAclXattr) node->attr.acl.clear();
  if (op.name == fs::kDefaultAclXattr) node->attr.default_acl.clear();
  if (node->xattrs.erase(op.name) == 0 && !fs::is_acl_xattr(op.name))
    return fail(Errc::no_attribute);
  node->attr.ctime = touch(*node);
  return Answer(fs::Empty{});
}

Result<Answer> FakePrimary::Rules::operator()(const fs::Commit& op) {
  ASTER_TRY(Node * node, find(op.ino));
  for (const fs::Extent& extent : op.extents) {
    if (extent.object) return fail(Errc::unsupported, "the fake has no objects");
    const uint64_t end = extent.offset + extent.length;
    if (node->data.size() < end) node->data.resize(end);
    std::fill_n(node->data.begin() + static_cast<ptrdiff_t>(extent.offset), extent.length, '\0');
  }
  if (op.min_size && node->data.size() < *op.min_size) node->data.resize(*op.min_size);
  content_changed(*node, op.mtime);
  return Answer(node->attr);
}

Result<Answer> FakePrimary::Rules::operator()(const fs::CopyRange& op) {
  ASTER_TRY(Node * source, find(op.source));
  ASTER_TRY(Node * target, find(op.target));
  if (op.source_offset > source->data.size()) return fail(Errc::bad_request);
  const std::string piece = source->data.substr(op.source_offset, op.length);
  if (target->data.size() < op.target_offset + piece.size()) {
    target->data.resize(op.target_offset + piece.size());
  }
  target->data.replace(op.target_offset, piece.size(), piece);
  content_changed(*target);
  return Answer(target->attr);
}

FakePrimary::FakePrimary(InodeNo root) : root_(root) {
  auto state = state_.lock();
  state->next_ino = root.value + 1;
  Node& node = state->nodes[root.value];
  node.attr.ino = root;
  node.attr.type = FileType::directory;
  node.attr.mode = 0755;
  node.attr.nlink = 2;
  node.attr.change = ++state->changes;
  node.attr.atime = node.attr.mtime = node.attr.ctime = node.attr.btime = state->now;
  node.parent = root;
}

FakePrimary::~FakePrimary() = default;

Task<Result<fs::BatchAnswer>> FakePrimary::batch(std::vector<fs::BatchItem> items,
                                                 std::chrono::milliseconds) {
  std::optional<Completion<bool>> gate;
  {
    auto state = state_.lock();
    ++state->round_trips;
    for (const fs::BatchItem& item : items) {
      ++state->calls[std::string(fs::operation_name(item.operation))];
    }
    if (state->stalled) state->waiting.push_back(gate.emplace());
  }
  if (gate) {
    const Completion<bool> arrived = *gate;
    const bool went_on = co_await arrived;
    if (!went_on) co_return fail(Errc::timeout, "stalled");
  }
  auto state = state_.lock();
  if (state->away) co_return fail(Errc::unavailable, "away");
  fs::BatchAnswer answer;
  for (const fs::BatchItem& item : items) {
    if (item.id && state->answers.contains(*item.id)) {
      answer.results.push_back(state->answers.at(*item.id));
      continue;
    }
    Rules rules(*state, root_);
    answer.results.push_back(std::visit(rules, item.operation));
    const bool keep = item.id && answer.results.back().ok() && fs::is_mutation(item.operation);
    if (keep) state->answers.emplace(*item.id, *answer.results.back());
  }
  co_return answer;
}

Task<Result<fs::SessionAnswer>> FakePrimary::open_session(fs::SessionRequest) {
  co_return fs::SessionAnswer{SessionId(1), root_, "someone", "0", 1000, 1000};
}

Task<Result<void>> FakePrimary::close_session() {
  co_return ok();
}

Task<Result<void>> FakePrimary::follow_events(EventHandlers, CancelToken cancel) {
  const Completion<bool> cancelled;
  cancel.on_cancel([cancelled] { cancelled.set(true); });
  co_await cancelled;
  co_return fail(Errc::interrupted);
}

Task<Result<fs::AckAnswer>> FakePrimary::acknowledge(fs::Ack ack, std::chrono::milliseconds) {
  auto state = state_.lock();
  if (state->away) co_return fail(Errc::unavailable, "away");
  state->acks.push_back(std::move(ack));
  co_return state->lease;
}

Task<Result<fs::LeaseAnswer>> FakePrimary::lease(fs::LeaseRequest request,
                                                 std::chrono::milliseconds) {
  auto state = state_.lock();
  ++state->round_trips;
  if (state->away) co_return fail(Errc::unavailable, "away");
  state->lease_requests.push_back(request);
  fs::LeaseAnswer answer;
  if (!request.take || !state->granting) co_return answer;
  const auto found = state->nodes.find(request.take->value);
  if (found == state->nodes.end()) co_return fail(Errc::stale_handle, "inode");
  answer.granted = true;
  answer.attr = found->second.attr;
  for (const auto& [name, child] : found->second.children) {
    answer.entries.push_back({name, child.second, state->nodes.at(child.first.value).attr});
  }
  co_return answer;
}

void FakePrimary::set_granting(bool granting) {
  state_.lock()->granting = granting;
}

std::vector<fs::LeaseRequest> FakePrimary::lease_requests() const {
  return state_.lock()->lease_requests;
}

Task<Result<fs::LockAnswer>> FakePrimary::lock(fs::LockRequest request, std::chrono::milliseconds) {
  auto state = state_.lock();
  if (state->away) co_return fail(Errc::unavailable, "away");
  ++state->calls["lock"];
  auto& locks = state->locks[{request.ino.value, request.whole}];
  const uint64_t end = request.length == 0 ? UINT64_MAX : request.start + request.length - 1;
  const fs::RangeLock wanted{request.start, end, request.exclusive, request.pid};
  fs::LockAnswer answer;
  if (request.unlock) {
    locks.clear(request.owner, wanted.start, wanted.end);
  } else if (const auto other = locks.conflict(request.owner, wanted)) {
    answer.conflict = true;
    answer.exclusive = other->lock.exclusive;
    answer.start = other->lock.start;
    answer.length = other->lock.end == UINT64_MAX ? 0 : other->lock.end - other->lock.start + 1;
    answer.pid = other->lock.pid;
    co_return answer;
  } else if (!request.test) {
    locks.set(request.owner, wanted);
  }
  answer.granted = true;
  co_return answer;
}

Task<bool> FakePrimary::refuses_connections() {
  const auto state = state_.lock();
  co_return state->away && state->refusing;
}

void FakePrimary::set_refusing(bool refusing) {
  state_.lock()->refusing = refusing;
}

void FakePrimary::set_lease(uint64_t lease, uint32_t lease_ms) {
  state_.lock()->lease = {lease, lease_ms};
}

std::vector<fs::Ack> FakePrimary::acks() const {
  return state_.lock()->acks;
}

Result<Answer> FakePrimary::as_other(const fs::Operation& operation) {
  auto state = state_.lock();
  Rules rules(*state, root_);
  return std::visit(rules, operation);
}

void FakePrimary::put_content(InodeNo ino, std::string bytes) {
  (void)commit_content(ino, std::move(bytes), std::nullopt);
}

fs::Attr FakePrimary::commit_content(InodeNo ino, std::string bytes, std::optional<int64_t> mtime) {
  auto state = state_.lock();
  Node& node = state->nodes.at(ino.value);
  node.data = std::move(bytes);
  Rules(*state, root_).content_changed(node, mtime);
  return node.attr;
}

Result<std::string> FakePrimary::content(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->nodes.find(ino.value);
  if (it == state->nodes.end()) return fail(Errc::stale_handle);
  return it->second.data;
}

Result<fs::Attr> FakePrimary::attr(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->nodes.find(ino.value);
  if (it == state->nodes.end()) return fail(Errc::stale_handle);
  return it->second.attr;
}

size_t FakePrimary::held() const {
  auto state = state_.lock();
  return static_cast<size_t>(std::count_if(state->nodes.begin(), state->nodes.end(),
                                           [](const auto& node) { return node.second.held; }));
}

void FakePrimary::set_away(bool away) {
  state_.lock()->away = away;
}

void FakePrimary::stall() {
  state_.lock()->stalled = true;
}

void FakePrimary::resume() {
  state_.lock()->stalled = false;
  std::vector<Completion<bool>> waiting = std::exchange(state_.lock()->waiting, {});
  for (const Completion<bool>& call : waiting) call.set(true);
}

void FakePrimary::drop_stalled() {
  std::vector<Completion<bool>> waiting = std::exchange(state_.lock()->waiting, {});
  for (const Completion<bool>& call : waiting) call.set(false);
}

size_t FakePrimary::calls(const std::string& operation) const {
  auto state = state_.lock();
  const auto it = state->calls.find(operation);
  return it == state->calls.end() ? 0 : it->second;
}

size_t FakePrimary::round_trips() const {
  return state_.lock()->round_trips;
}

}  // namespace aster::testing
