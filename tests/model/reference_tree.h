#pragma once

#include <map>
#include <optional>
#include <string>

#include "protocol/fs/messages.h"

namespace aster::testing {

/// A file system as simple as can be: what the namespace service must agree with. Not thread-safe.
class ReferenceTree {
 public:
  using Id = uint64_t;
  struct Node {
    fs::FileType type = fs::FileType::regular;
    std::map<std::string, Id> children;
    Id parent = 0;  // of directories
    uint64_t names = 0;
    std::string data;
  };
  static constexpr Id kRoot = 1;
  ReferenceTree() { nodes_[kRoot] = {fs::FileType::directory, {}, kRoot, 1, {}}; }

  const std::map<Id, Node>& nodes() const { return nodes_; }
  const Node& node(Id id) const { return nodes_.at(id); }

  uint64_t nlink(Id id) const {
    const Node& n = node(id);
    if (n.type != fs::FileType::directory) return n.names;
    uint64_t count = 2;
    for (const auto& [name, child] : n.children) count += is_dir(child) ? 1 : 0;
    return count;
  }

  Result<Id> create(Id parent, const std::string& name, fs::FileType type) {
    ASTER_TRY(check_dir(parent));
    if (child(parent, name)) return fail(Errc::exists);
    const Id id = next_++;
    nodes_[id] = {type, {}, parent, 1, {}};
    nodes_[parent].children[name] = id;
    return id;
  }
  Result<void> link(Id id, Id parent, const std::string& name) {
    ASTER_TRY(check_dir(parent));
    if (is_dir(id)) return fail(Errc::not_permitted);
    if (child(parent, name)) return fail(Errc::exists);
    nodes_[parent].children[name] = id;
    nodes_[id].names += 1;
    return ok();
  }
  Result<void> remove(Id parent, const std::string& name, bool dir) {
    ASTER_TRY(check_dir(parent));
    const auto id = child(parent, name);
    if (!id) return fail(Errc::not_found);
    if (dir && !is_dir(*id)) return fail(Errc::not_directory);
    if (!dir && is_dir(*id)) return fail(Errc::is_directory);
    if (dir && !node(*id).children.empty()) return fail(Errc::not_empty);
    nodes_[parent].children.erase(name);
    drop(*id);
    return ok();
  }
  Result<void> rename(const fs::Rename& op, Id from, Id to) {
    ASTER_TRY(check_dir(from));
    ASTER_TRY(check_dir(to));
    const auto moved = child(from, op.name);
    if (!moved) return fail(Errc::not_found);
    const auto target = child(to, op.new_name);
    if (target && op.no_replace) return fail(Errc::exists);
    if (!target && op.exchange) return fail(Errc::not_found);
    if (target == moved) return ok();
    if (below(to, *moved) || (op.exchange && below(from, *target))) return fail(Errc::bad_request);
    if (target && !op.exchange) ASTER_TRY(check_replace(*moved, *target));
    nodes_[from].children.erase(op.name);
    if (op.exchange) place(*target, from, op.name);
    place(*moved, to, op.new_name);
    if (target && !op.exchange) drop(*target);
    return ok();
  }

  void write(Id id, uint64_t offset, const std::string& bytes) {
    std::string& data = nodes_[id].data;
    if (data.size() < offset + bytes.size()) data.resize(offset + bytes.size());
    data.replace(offset, bytes.size(), bytes);
  }
  void resize(Id id, uint64_t size) { nodes_[id].data.resize(size); }

 private:
  bool is_dir(Id id) const { return node(id).type == fs::FileType::directory; }
  Result<void> check_dir(Id id) const {
    if (!is_dir(id)) return fail(Errc::not_directory);
    return ok();
  }
  std::optional<Id> child(Id parent, const std::string& name) const {
    const auto found = node(parent).children.find(name);
    if (found == node(parent).children.end()) return std::nullopt;
    return found->second;
  }
  bool below(Id id, Id above) const {
    for (; id != above; id = node(id).parent) {
      if (id == kRoot) return false;
    }
    return is_dir(above);
  }
  Result<void> check_replace(Id moved, Id target) const {
    if (is_dir(moved) && !is_dir(target)) return fail(Errc::not_directory);
    if (!is_dir(moved) && is_dir(target)) return fail(Errc::is_directory);
    if (is_dir(moved) && !node(target).children.empty()) return fail(Errc::not_empty);
    return ok();
  }
  void place(Id id, Id parent, const std::string& name) {
    nodes_[parent].children[name] = id;
    if (is_dir(id)) nodes_[id].parent = parent;
  }
  void drop(Id id) {
    if (--nodes_[id].names == 0) nodes_.erase(id);
  }

  std::map<Id, Node> nodes_;
  Id next_ = 2;
};

}  // namespace aster::testing
