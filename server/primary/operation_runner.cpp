#include "server/primary/operation_runner.h"

#include "protocol/fs/json.h"
#include "server/primary/attribute_operations.h"
#include "server/primary/grant_operations.h"
#include "server/primary/kept_operations.h"
#include "server/primary/object_backend.h"
#include "server/primary/read_operations.h"
#include "server/primary/tree_operations.h"

namespace aster::primary {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

/// The answer that was given to this id before. An id that was used for something else is refused,
/// without telling anything about that.
Result<fs::Answer> replay(const db::JournalStore::StoredAnswer& stored, const Caller& caller,
                          const fs::Operation& operation) {
  if (stored.workspace != caller.workspace || stored.op != fs::operation_name(operation)) {
    return fail(Errc::bad_request, "operation id was used for another operation");
  }
  ASTER_TRY(Result<fs::Answer> answer, fs::decode_result(stored.answer));
  return answer;
}

bool changes_data(const fs::Operation& operation) {
  return fs::is_mutation(operation) || std::holds_alternative<fs::Grant>(operation) ||
         std::holds_alternative<fs::Touch>(operation) ||
         std::holds_alternative<fs::ReserveInodes>(operation);
}

}  // namespace

bool OperationRunner::writes(const fs::Operation& operation) noexcept {
  return changes_data(operation) || std::holds_alternative<fs::Hold>(operation) ||
         std::holds_alternative<fs::Release>(operation);
}

// What a change made of its directory is asked for together with it, and must not end its group.
bool OperationRunner::shares_run(bool writing, const fs::Operation& operation) noexcept {
  if (writing && std::holds_alternative<fs::GetAttr>(operation)) return true;
  return writes(operation) == writing;
}

Result<fs::Answer> OperationRunner::dispatch(Mutation& m, const fs::Operation& operation) {
  return std::visit(Overloaded{
                        [&](const fs::SetAttr& op) { return apply(m, op, backends_); },
                        [&](const fs::SetXattr& op) { return apply(m, op, backends_); },
                        [&](const fs::Commit& op) { return apply(m, op, backends_, delays_); },
                        [&](const fs::CopyRange& op) { return apply(m, op, backends_); },
                        [&](const fs::Grant& op) { return apply(m, op, backends_); },
                        [&](const auto& op) -> Result<fs::Answer> {
                          if constexpr (requires { apply(m, op); }) {
                            return apply(m, op);
                          } else {
                            return fail(Errc::internal, "not a writing operation");
                          }
                        },
                    },
                    operation);
}

void OperationRunner::finish(Mutation& m, const fs::BatchItem& item,
                             const Result<fs::Answer>& answer, std::vector<RecallPtr>& recalls) {
  if (!m.usage.zero()) m.store.workspaces.add_usage(m.caller.workspace, m.usage);
  if (item.id && fs::is_mutation(item.operation)) {
    m.store.journal.put_answer(*item.id, m.now, m.caller.workspace,
                               fs::operation_name(item.operation), fs::encode_result(answer));
  }
  std::vector<LeaseWish> granted;
  if (m.caller.session) granted = leased_by(item.operation, answer);
  const auto* create = std::get_if<fs::Create>(&item.operation);
  if (m.caller.session && m.changes.any() && create != nullptr) {
    const InodeNo made = std::get<fs::Attr>(*answer).ino;
    granted.push_back({made, false, LeaseMode::write, create->parent});
  }
  if (!m.changes.any()) {
    if (!granted.empty()) publish(m, 0, std::move(granted), recalls);
    return;
  }
  db::JournalRow row;
  row.at = m.now;
  row.workspace = m.caller.workspace;
  row.session = m.caller.session;
  row.op = fs::operation_name(item.operation);
  row.inode = m.changes.inode;
  row.parent = m.changes.parent;
  row.name = m.changes.name;
  row.new_parent = m.changes.new_parent;
  row.new_name = m.changes.new_name;
  row.invalidation = fs::encode(m.changes.invalidation);
  publish(m, m.store.journal.append(row), std::move(granted), recalls);
}

void OperationRunner::publish(Mutation& m, uint64_t position, std::vector<LeaseWish> granted,
                              std::vector<RecallPtr>& recalls) {
  m.store.txn.on_commit([this, position, workspace = m.caller.workspace, cause = m.caller.session,
                         told = std::move(m.changes.invalidation), granted = std::move(granted),
                         &recalls] {
    RecallPtr recall =
        leases_.changed({workspace, cause, position, position != 0 ? &told : nullptr, granted});
    std::span<const SessionId> asked;
    if (recall) asked = recall->asked();
    if (position != 0) hub_.publish({workspace, cause, position}, told, asked);
    if (recall) recalls.push_back(std::move(recall));
  });
}

Result<fs::Answer> OperationRunner::write_one(db::Txn& txn, const Caller& caller,
                                              const fs::BatchItem& item,
                                              std::vector<RecallPtr>& recalls, RecallPtr& blocked) {
  if (caller.read_only && changes_data(item.operation)) return fail(Errc::read_only);
  return txn.nested([&]() -> Result<fs::Answer> {
    Mutation m(txn, caller, clock_.now_ns(), options_);
    if (item.id) {
      if (const auto stored = m.store.journal.answer(*item.id)) {
        // The first answer may have been lost while it waited for others: this one waits, too.
        txn.on_commit([this, newest = m.store.journal.newest(), workspace = caller.workspace,
                       cause = caller.session, &recalls] {
          RecallPtr recall = leases_.unacknowledged(workspace, cause, newest);
          if (recall) recalls.push_back(std::move(recall));
        });
        return replay(*stored, caller, item.operation);
      }
    }
    Result<fs::Answer> answer =
        writes(item.operation) ? dispatch(m, item.operation) : read(txn, caller, item.operation);
    if (!answer.ok()) return answer;
    if (m.usage.bytes > 0) ASTER_TRY(m.check_quota());
    blocked = kept_by_others(caller, m.changes.invalidation);
    if (blocked) return fail(Errc::interrupted, "leased to another session");  // undone
    finish(m, item, answer, recalls);
    return answer;
  });
}

std::vector<Result<fs::Answer>> OperationRunner::write(db::Txn& txn, const Caller& caller,
                                                       std::span<const fs::BatchItem> items,
                                                       bool stop_on_error,
                                                       std::vector<RecallPtr>& recalls,
                                                       RecallPtr& blocked) {
  std::vector<Result<fs::Answer>> answers;
  answers.reserve(items.size());
  for (const fs::BatchItem& item : items) {
    if (stop_on_error && !answers.empty() && !answers.back().ok()) {
      answers.push_back(fail(Errc::interrupted, "an earlier operation failed"));
      continue;
    }
    blocked = kept_by_others(txn, caller, item.operation);
    if (blocked) break;
    Result<fs::Answer> answer = write_one(txn, caller, item, recalls, blocked);
    if (blocked) break;
    answers.push_back(std::move(answer));
  }
  return answers;
}

namespace {

/// Adds what an attribute answer tells.
void add_attributes(std::vector<LeaseWish>& wishes, const Result<fs::Answer>& answer) {
  if (!answer.ok()) return;
  if (const auto* attr = std::get_if<fs::Attr>(&*answer)) wishes.push_back({attr->ino});
}

}  // namespace

std::vector<LeaseWish> leased_by(const fs::Operation& operation, const Result<fs::Answer>& answer) {
  std::vector<LeaseWish> wishes;
  const bool absent = answer.failed_with(Errc::not_found);
  if (!answer.ok() && !absent && !answer.failed_with(Errc::no_attribute)) return wishes;
  std::visit(Overloaded{
                 [&](const fs::Lookup& op) {
                   wishes.push_back({op.parent, true});
                 },
                 [&](const fs::GetXattr& op) { wishes.push_back({op.ino}); },
                 [&](const fs::ListXattr& op) { wishes.push_back({op.ino}); },
                 [&](const fs::GetManifest& op) { wishes.push_back({op.ino}); },
                 [&](const fs::ReadDir& op) {
                   if (absent) return;
                   wishes.push_back({op.ino, true});
                   for (const fs::DirEntry& e : std::get<fs::DirPage>(*answer).entries) {
                     wishes.push_back({e.attr.ino});
                   }
                 },
                 [&](const fs::Create& op) {
                   wishes.push_back({op.parent, true});
                 },
                 [&](const fs::Link& op) {
                   wishes.push_back({op.parent, true});
                 },
                 [&](const fs::Rename& op) {
                   if (absent) return;
                   wishes.push_back({op.new_parent, true});
                   wishes.push_back({std::get<fs::Renamed>(*answer).moved.ino});
                 },
                 [](const auto&) {},
             },
             operation);
  add_attributes(wishes, answer);
  return wishes;
}

Result<fs::Answer> OperationRunner::read(db::Txn& txn, const Caller& caller,
                                         const fs::Operation& operation) {
  db::FsStore store(txn);
  ReadContext context{store, caller, backends_};
  return std::visit(
      [&](const auto& op) -> Result<fs::Answer> {
        if constexpr (requires { aster::primary::answer(context, op); }) {
          return aster::primary::answer(context, op);
        } else {
          return fail(Errc::internal, "not a reading operation");
        }
      },
      operation);
}

}  // namespace aster::primary
