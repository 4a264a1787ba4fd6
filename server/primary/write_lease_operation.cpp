#include <algorithm>

#include "protocol/fs/json.h"
#include "server/primary/keeping.h"
#include "server/primary/operation_runner.h"

// Write leases: how they are taken, and whom an operation has to wait for.
namespace aster::primary {
namespace {

template <class Op>
concept NamesOneInode = requires(const Op& op) {
  op.ino;
};

void add_child(std::vector<InodeNo>& inodes, db::FsStore& store, InodeNo parent,
               const std::string& name) {
  inodes.push_back(parent);
  if (const auto child = store.inodes.child(parent, name)) inodes.push_back(child->attr.ino);
}

/// A rule for everything below a directory.
bool sets_policy(const fs::Operation& operation) {
  const auto* set = std::get_if<fs::SetXattr>(&operation);
  const auto* removal = std::get_if<fs::RemoveXattr>(&operation);
  return (set != nullptr && set->name == kPolicySetting) ||
         (removal != nullptr && removal->name == kPolicySetting);
}

/// What the outcome of a writing operation depends on.
std::vector<InodeNo> named_by(db::FsStore& store, const fs::Operation& operation) {
  std::vector<InodeNo> inodes;
  if (const auto* op = std::get_if<fs::Create>(&operation)) {
    add_child(inodes, store, op->parent, op->name);
  } else if (const auto* link = std::get_if<fs::Link>(&operation)) {
    inodes.push_back(link->ino);
    add_child(inodes, store, link->parent, link->name);
  } else if (const auto* unlink = std::get_if<fs::Unlink>(&operation)) {
    add_child(inodes, store, unlink->parent, unlink->name);
  } else if (const auto* rmdir = std::get_if<fs::Rmdir>(&operation)) {
    add_child(inodes, store, rmdir->parent, rmdir->name);
  } else if (const auto* rename = std::get_if<fs::Rename>(&operation)) {
    add_child(inodes, store, rename->parent, rename->name);
    add_child(inodes, store, rename->new_parent, rename->new_name);
  } else if (const auto* copy = std::get_if<fs::CopyRange>(&operation)) {
    inodes = {copy->source, copy->target};
  } else if (fs::is_mutation(operation) || std::holds_alternative<fs::GetAttr>(operation)) {
    std::visit(
        [&](const auto& op) {
          if constexpr (NamesOneInode<std::remove_cvref_t<decltype(op)>>) {
            if constexpr (std::is_same_v<decltype(op.ino), InodeNo>) inodes.push_back(op.ino);
          }
        },
        operation);
  }
  return inodes;
}

}  // namespace

RecallPtr OperationRunner::kept_by_others(db::Txn& txn, const Caller& caller,
                                          const fs::Operation& operation) {
  if (!leases_.writing()) return nullptr;
  if (sets_policy(operation)) return leases_.want_all(caller.workspace);
  db::FsStore store(txn);
  return leases_.want(caller.session, caller.workspace, named_by(store, operation));
}

RecallPtr OperationRunner::kept_by_others(const Caller& caller, const fs::Invalidation& changed) {
  if (!leases_.writing()) return nullptr;
  std::vector<InodeNo> inodes;
  for (const fs::Invalidation::Inode& inode : changed.inodes) inodes.push_back(inode.ino);
  for (const fs::Invalidation::Entry& entry : changed.entries) inodes.push_back(entry.parent);
  return leases_.want(caller.session, caller.workspace, inodes);
}

Result<fs::LeaseAnswer> OperationRunner::take(db::Txn& txn, const Caller& caller,
                                              const fs::LeaseRequest& request,
                                              std::vector<RecallPtr>& recalls) {
  Mutation m(txn, caller, clock_.now_ns(), options_);
  ASTER_TRY(db::InodeRow row, m.inode(*request.take));
  fs::LeaseAnswer answer;
  const bool directory = row.attr.type == fs::FileType::directory;
  if (row.attr.nlink == 0) return answer;
  // Which renames leave a quota tree, and whether there is room in it, is known here alone.
  if (m.has_trees() && m.trees.tree_of(row.attr.ino)) return answer;
  // Nor does a mount know where the data of new files goes that have a place of their own.
  if (directory && chosen_policy(m, row.attr.ino)) return answer;
  if (directory) answer.entries = m.store.inodes.list(row.attr.ino, 0, fs::kTakeNamesMax + 1);
  if (answer.entries.size() > fs::kTakeNamesMax) return fs::LeaseAnswer();
  std::vector<InodeNo> inodes{row.attr.ino};
  for (const fs::DirEntry& entry : answer.entries) inodes.push_back(entry.attr.ino);
  if (!leases_.take(caller.session, request.lease, inodes)) return fs::LeaseAnswer();
  answer.granted = true;
  answer.attr = std::move(row.attr);
  m.store.sessions.set_writes(caller.session);
  // For the others it is as if all of it had changed: from now on it may at any moment.
  for (const InodeNo ino : inodes) m.changes.invalidation.inodes.push_back({ino, true, false});
  if (directory) m.changes.invalidation.entries.push_back({*request.take, std::string()});
  db::JournalRow told;
  told.at = m.now;
  told.workspace = caller.workspace;
  told.session = caller.session;
  told.op = "lease";
  told.inode = row.guid;
  told.invalidation = fs::encode(m.changes.invalidation);
  publish(m, m.store.journal.append(told), {}, recalls);
  return answer;
}

}  // namespace aster::primary
