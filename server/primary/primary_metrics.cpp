#include "server/primary/primary_metrics.h"

namespace aster::primary {

void write_database(metrics::Exposition& out, const db::Database& database) {
  const db::Database::Metrics& figures = database.metrics();
  out.histogram("aster_db_group_writes", "Writes that shared one COMMIT", {}, figures.group_size);
  out.histogram("aster_db_group_seconds", "From BEGIN to the end of the COMMIT", {},
                figures.group_time);
  out.histogram("aster_db_commit_seconds", "The COMMIT alone, with its fsync", {},
                figures.commit_time);
  out.histogram("aster_db_read_seconds", "Read transactions", {}, figures.read_time);
  out.counter("aster_db_failed_commits_total", "Groups of writes that could not be committed", {},
              figures.failed_commits);
  out.gauge("aster_db_waiting_writes", "Writes that wait for the writer", {},
            static_cast<double>(database.waiting_writes()));
}

void write_nodes(metrics::Exposition& out, const FollowerRegistry& registry) {
  const std::vector<FollowerRef> nodes = registry.all();
  for (const FollowerRef& node : nodes) {
    const bool up = node->row.enrolled && node->row.enabled && node->row.last_error.empty() &&
                    node->row.last_checked_at != 0;
    out.gauge("aster_node_up", "1 when the last probe of an enabled node succeeded",
              {{"node", node->row.name}}, up ? 1 : 0);
  }
  for (const FollowerRef& node : nodes) {
    out.gauge("aster_node_enabled", "1 unless the node is disabled", {{"node", node->row.name}},
              node->row.enabled ? 1 : 0);
  }
  for (const FollowerRef& node : nodes) {
    out.gauge("aster_node_last_probe_timestamp_seconds", "When the node was probed last",
              {{"node", node->row.name}}, static_cast<double>(node->row.last_checked_at));
  }
}

void write_policies(metrics::Exposition& out, PolicyBackends& backends) {
  const auto places = backends.places();
  for (const ObjectBackends::Place& place : places) {
    out.gauge("aster_policy_usable", "1 when the policy takes data",
              {{"policy", place.policy}, {"driver", place.driver}, {"node", place.node}},
              place.trouble.empty() ? 1 : 0);
  }
  for (const ObjectBackends::Place& place : places) {
    if (!place.capacity) continue;
    out.gauge("aster_policy_capacity_bytes", "Size of the storage behind the policy",
              {{"policy", place.policy}, {"node", place.node}},
              static_cast<double>(place.capacity->total));
  }
  for (const ObjectBackends::Place& place : places) {
    if (!place.capacity) continue;
    out.gauge("aster_policy_free_bytes", "Free bytes of the storage behind the policy",
              {{"policy", place.policy}, {"node", place.node}},
              static_cast<double>(place.capacity->free));
  }
}

}  // namespace aster::primary
