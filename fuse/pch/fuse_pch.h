// Precompiled: what most files of the three libraries here include.
#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "cache/block_cache.h"
#include "cache/writeback_journal.h"
#include "protocol/base/guarded.h"
#include "protocol/client/primary_client.h"
