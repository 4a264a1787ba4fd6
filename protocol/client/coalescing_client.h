#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "protocol/client/primary_client.h"

namespace aster {

struct CoalescingOptions {
  /// Requests with mutations that may be under way before later ones gather. One commit at the
  /// primary serves a whole request, so few are better than many.
  size_t writes_under_way = 2;
  size_t reads_under_way = 4;
  /// Nothing waits longer for others than this: a request that is held up at the primary (by the
  /// recall of somebody's lease) must not hold up the rest of the mount.
  std::chrono::milliseconds longest_wait{20};
};

/// Lets operations that are called for at the same moment share a request. While fewer than the
/// allowed number of requests are under way an operation leaves at once; otherwise it waits for one
/// of them to end and leaves with all that gathered meanwhile, in the order of the calls. Callers
/// who need an order between two operations wait for the first, as ever.
///
/// Only small operations gather: listings, manifests and large commits go alone. One that the
/// primary refuses as malformed does not harm its companions: they are sent again, each alone
/// (under the same operation ids).
///
/// `primary` and `executor` must outlive it. The destructor waits for requests under way.
std::unique_ptr<PrimaryClient> make_coalescing_client(CoalescingOptions options,
                                                      PrimaryClient& primary, Executor& executor);

}  // namespace aster
