#pragma once

#include "protocol/base/metrics.h"
#include "server/db/database.h"
#include "server/primary/backends.h"
#include "server/primary/follower_registry.h"

namespace aster::primary {

void write_database(metrics::Exposition& out, const db::Database& database);
/// Health as the last probe found it.
void write_nodes(metrics::Exposition& out, const FollowerRegistry& registry);
void write_policies(metrics::Exposition& out, PolicyBackends& backends);

}  // namespace aster::primary
