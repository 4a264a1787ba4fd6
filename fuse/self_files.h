#pragma once

#include <string>

#include "cache/disk_block_cache.h"
#include "cache/memory_block_cache.h"
#include "cache/writeback_journal.h"
#include "fuse/kernel/dispatch.h"
#include "fuse/mount_options.h"
#include "protocol/client/curl_http_client.h"

namespace aster {

/// What the files of `/.aster` tell about. Everything must outlive the session; `disk` is null
/// without a cache on disk, `journal` without a journal.
struct SelfSources {
  const MountOptions& options;
  std::string server;
  std::string user;
  Filesystem& filesystem;
  FileIo& io;
  const MemoryBlockCache& memory;
  const DiskBlockCache* disk = nullptr;
  const WritebackJournal* journal = nullptr;
  const CurlHttpClient* http = nullptr;
  const CurlHttpClient* control_http = nullptr;
  std::string directory = {};    ///< that the drive is mounted on
  std::string cache_dir = {};    ///< in force, also when none was given
  std::string journal_dir = {};  ///< likewise
  bool allow_other = false;      ///< likewise
};

/// Fills `dispatch.self()`: configuration, statistics, metrics, cache, state, errors, leases,
/// policies, nodes. See mount.aster(8).
void add_self_files(Dispatch& dispatch, SelfSources sources);

}  // namespace aster
