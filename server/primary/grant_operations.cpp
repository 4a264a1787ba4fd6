#include "server/primary/grant_operations.h"

#include <algorithm>

#include "server/primary/keeping.h"
#include "server/primary/object_backend.h"

namespace aster::primary {
namespace {

constexpr uint32_t kGrantMax = 64;
/// Objects granted and not yet committed in one workspace: 16 TiB of parts of the default size.
/// Ends with the grants' lifetime.
constexpr int64_t kPendingMax = 1'000'000;

Result<void> check_pending(Mutation& m, uint32_t count) {
  const std::optional<db::Usage> usage = m.store.workspaces.usage(m.caller.workspace);
  if (usage && usage->pending_objects + count > kPendingMax) {
    return fail(Errc::out_of_resources, "too many uploads without a commit");
  }
  return ok();
}

}  // namespace

Result<fs::Answer> apply(Mutation& m, const fs::Grant& op, ObjectBackends& backends) {
  if (op.count == 0 || op.count > kGrantMax) return fail(Errc::bad_request, "count of grants");
  ASTER_TRY(const db::InodeRow row, m.inode(op.ino));
  const bool is_file = row.attr.type != fs::FileType::directory;
  const uint64_t size = is_file ? std::max(op.size_hint, row.attr.size) : op.size_hint;
  const RouteRequest wanted{m.caller.user, m.caller.workspace, size, chosen_policy(m, row)};
  ASTER_TRY(const PolicyId policy, backends.route(wanted));
  ASTER_TRY(const PolicyLimits limits, backends.limits(policy));
  if (op.size_hint > limits.max_file) return fail(Errc::too_large, "file over the policy's limit");
  ASTER_TRY(check_pending(m, op.count));
  // Nobody should upload what a commit will refuse; the commit is what counts exactly.
  ASTER_TRY(m.check_room(row.attr.ino));
  fs::UploadGrants grants;
  grants.part_size = limits.part_size;
  grants.max_object = limits.max_object;
  // Files up to the hint go where this one goes when the smallest do.
  const Result<PolicyId> smallest =
      backends.route({m.caller.user, m.caller.workspace, 0, wanted.chosen});
  const bool usual = wanted.chosen.value == 0;
  if (usual && smallest.ok() && *smallest == policy) grants.shared_up_to = size;
  for (uint32_t i = 0; i < op.count; ++i) {
    const ObjectId object = ObjectId::random();
    m.store.objects.insert_pending(object, m.caller.workspace, policy, m.now);
    ASTER_TRY(ObjectUrl url, backends.upload_url(policy, object));
    grants.grants.push_back({object, std::move(url.url), url.expires});
  }
  m.usage.pending_objects += op.count;
  return fs::Answer(std::move(grants));
}

Result<fs::Answer> apply(Mutation& m, const fs::Hold& op) {
  if (!m.caller.session) return fail(Errc::bad_request, "only a session can hold an inode");
  ASTER_TRY(const db::InodeRow row, m.inode(op.ino));
  if (!m.store.sessions.exists(m.caller.session)) {
    return fail(Errc::stale_handle, "the session has ended");
  }
  m.store.sessions.hold(row.attr.ino, m.caller.session);
  return fs::Answer(fs::Empty{});
}

Result<fs::Answer> apply(Mutation& m, const fs::Release& op) {
  m.store.sessions.release(op.ino, m.caller.session);
  return fs::Answer(fs::Empty{});
}

Result<fs::Answer> apply(Mutation& m, const fs::ReserveInodes& op) {
  if (op.count == 0 || op.count > fs::kReserveMax) {
    return fail(Errc::bad_request, "count of inode numbers");
  }
  return fs::Answer(fs::InodeRange{m.store.inodes.reserve(op.count), op.count});
}

}  // namespace aster::primary
