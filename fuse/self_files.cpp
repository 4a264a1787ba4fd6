#include "fuse/self_files.h"

#include "fuse/kernel/self_errors.h"

namespace aster {
namespace {

/// Lines of "name<TAB>value".
class Lines {
 public:
  Lines& add(std::string_view name, std::string_view value) {
    text_.append(name).append("\t").append(value.empty() ? "-" : value).append("\n");
    return *this;
  }
  Lines& add(std::string_view name, uint64_t value) { return add(name, std::to_string(value)); }
  Lines& add(std::string_view name, bool value) {
    return add(name, std::string_view(value ? "yes" : "no"));
  }
  Lines& add(std::string_view name, const char* value) {
    return add(name, std::string_view(value));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// As the options are called on the command line. Files of secrets are named, never read.
std::string configuration(const SelfSources& s) {
  const MountOptions& o = s.options;
  Lines lines;
  lines.add("version", ASTER_VERSION).add("server", s.server).add("user", s.user);
  lines.add("workspace", o.workspace).add("mountpoint", o.mountpoint);
  lines.add("token_file", o.token_file).add("ca_file", o.ca_file).add("pin", o.pin);
  lines.add("trash", o.trash ? "on" : "off").add("ro", o.read_only).add("hard", o.hard);
  lines.add("consistency", o.leases ? "lease" : "ttl");
  lines.add("atime", !o.access_times         ? "noatime"
                     : o.strict_access_times ? "strictatime"
                                             : "relatime");
  lines.add("allow_other", s.allow_other);
  lines.add("timeout_ms", static_cast<uint64_t>(o.timeout.count()));
  lines.add("memory_cache", o.memory_cache).add("dirty_limit", o.dirty_limit);
  lines.add("read_ahead", o.read_ahead);
  lines.add("cache_size", o.cache_size).add("cache_dir", o.cache_size == 0 ? "" : s.cache_dir);
  lines.add("durability", o.local_durability ? "local" : "remote");
  lines.add("journal_size", o.journal_size).add("journal_dir", s.journal_dir);
  lines.add("uploads", uint64_t{o.uploads}).add("downloads", uint64_t{o.downloads});
  lines.add("log_file", o.log_file);
  return lines.take();
}

std::string leases(const SelfSources& s) {
  const LeaseState now = s.filesystem.lease_state();
  Lines lines;
  lines.add("consistency", s.options.leases ? "lease" : "ttl");
  lines.add("held", now.held).add("known_inodes", now.known);
  lines.add("write_leases", now.writes).add("wanted_by_others", now.wanted);
  lines.add("unsent_changes", now.unsent);
  lines.add("taken", now.taken).add("given_back", now.given_back);
  return lines.take();
}

std::string state(const SelfSources& s) {
  const FileIoStats io = s.io.stats();
  Lines lines;
  lines.add("event_stream", s.filesystem.trusted() ? "alive" : "lost");
  lines.add("inodes", s.filesystem.inodes().size());
  lines.add("dirty_files", s.filesystem.inodes().dirty().size());
  lines.add("dirty_bytes", io.dirty_bytes);
  lines.add("spilled_bytes", io.spilled_bytes);
  if (s.journal != nullptr) {
    const WritebackJournal::Stats journal = s.journal->stats();
    lines.add("journal_files", journal.files).add("journal_bytes", journal.bytes);
    lines.add("journal_names", journal.names);
    lines.add("journal_limit", journal.limit);
  }
  lines.add("failed_uploads", io.failed_uploads);
  lines.add("uploaded_bytes", io.bytes_uploaded);
  lines.add("downloaded_bytes", io.bytes_read_remote);
  lines.add("corrupt_blocks", io.corrupt_blocks);
  return lines.take();
}

void add_cache(Lines& lines, const std::string& prefix, const BlockCacheStats& stats) {
  lines.add(prefix + "hits", stats.hits).add(prefix + "misses", stats.misses);
  lines.add(prefix + "puts", stats.puts).add(prefix + "bytes", stats.bytes);
  lines.add(prefix + "limit_bytes", stats.limit_bytes);
  lines.add(prefix + "evicted_bytes", stats.evicted_bytes);
  lines.add(prefix + "corrupt_blocks", stats.corrupt);
}

std::string cache(const SelfSources& s) {
  Lines lines;
  add_cache(lines, "memory_", s.memory.stats());
  if (s.disk == nullptr) return lines.take();
  add_cache(lines, "disk_", s.disk->stats());
  const DiskBlockCache::DiskStats disk = s.disk->disk_stats();
  lines.add("disk_segments", disk.segments).add("disk_index_bytes", disk.index_bytes);
  lines.add("disk_dropped_puts", disk.dropped_puts).add("disk_read_errors", disk.read_errors);
  lines.add("disk_paused", disk.paused);
  return lines.take();
}

void write_cache(metrics::Exposition& out, const SelfSources& s) {
  std::vector<std::pair<std::string_view, BlockCacheStats>> caches{{"memory", s.memory.stats()}};
  if (s.disk != nullptr) caches.emplace_back("disk", s.disk->stats());
  const auto counter = [&](std::string_view name, std::string_view help,
                           uint64_t BlockCacheStats::*member) {
    for (const auto& [where, stats] : caches) {
      out.counter(name, help, {{"cache", where}}, stats.*member);
    }
  };
  counter("aster_mount_cache_hits_total", "Blocks found in the cache", &BlockCacheStats::hits);
  counter("aster_mount_cache_misses_total", "Blocks not found", &BlockCacheStats::misses);
  counter("aster_mount_cache_puts_total", "Blocks put into the cache", &BlockCacheStats::puts);
  counter("aster_mount_cache_evicted_bytes_total", "Bytes that made room for others",
          &BlockCacheStats::evicted_bytes);
  counter("aster_mount_cache_corrupt_total", "Blocks dropped for a wrong checksum",
          &BlockCacheStats::corrupt);
  for (const auto& [where, stats] : caches) {
    out.gauge("aster_mount_cache_bytes", "What the cache takes", {{"cache", where}},
              static_cast<double>(stats.bytes));
  }
  for (const auto& [where, stats] : caches) {
    out.gauge("aster_mount_cache_limit_bytes", "What it may take", {{"cache", where}},
              static_cast<double>(stats.limit_bytes));
  }
}

void write_io(metrics::Exposition& out, const SelfSources& s) {
  const FileIoStats io = s.io.stats();
  out.counter("aster_mount_uploaded_bytes_total", "Bytes sent to nodes", {}, io.bytes_uploaded);
  out.counter("aster_mount_downloaded_bytes_total", "Bytes fetched from nodes", {},
              io.bytes_read_remote);
  out.counter("aster_mount_uploads_failed_total", "Uploads that failed and are tried again", {},
              io.failed_uploads);
  out.counter("aster_mount_corrupt_blocks_total", "Blocks that came with a wrong checksum", {},
              io.corrupt_blocks);
  const auto gauge = [&](std::string_view name, std::string_view help, uint64_t value) {
    out.gauge(name, help, {}, static_cast<double>(value));
  };
  gauge("aster_mount_dirty_bytes", "Written, but not sent yet", io.dirty_bytes);
  gauge("aster_mount_spilled_bytes", "Of them, on disk for want of memory", io.spilled_bytes);
  gauge("aster_mount_dirty_files", "Files with such bytes", s.filesystem.inodes().dirty().size());
  gauge("aster_mount_inodes", "Inodes that are known", s.filesystem.inodes().size());
  gauge("aster_mount_event_stream_up", "1 while the primary tells of changes",
        s.filesystem.trusted() ? 1 : 0);
  if (s.journal == nullptr) return;
  const WritebackJournal::Stats journal = s.journal->stats();
  gauge("aster_mount_journal_bytes", "Unsent data in the journal", journal.bytes);
  gauge("aster_mount_journal_limit_bytes", "What the journal may hold", journal.limit);
  gauge("aster_mount_journal_files", "Files with data in the journal", journal.files);
  gauge("aster_mount_journal_names", "Changes of names in the journal", journal.names);
}

std::string metrics_of(const SelfSources& s, const OperationStats& operations) {
  metrics::Exposition out({"mountpoint", s.directory});
  out.process("mount.aster");
  operations.write(out);
  write_io(out, s);
  write_cache(out, s);
  if (s.http != nullptr) write_exchanges(out, *s.http, s.control_http);
  return out.take();
}

Task<Result<std::string>> at_once(std::string text) {
  co_return text;
}

}  // namespace

void add_self_files(Dispatch& dispatch, SelfSources sources) {
  SelfTree& tree = dispatch.self();
  const auto add = [&](const char* name, std::string (*tell)(const SelfSources&)) {
    tree.add({name, [sources, tell](Caller) { return at_once(tell(sources)); }});
  };
  add("configuration", configuration);
  add("state", state);
  add("leases", leases);
  add("cache", cache);
  tree.add({"errors", [sources](Caller) {
              return at_once(errors_table(sources.filesystem.unsent_files()));
            }});
  tree.add({"metrics", [sources, &dispatch](Caller) {
              return at_once(metrics_of(sources, dispatch.stats()));
            }});
  tree.add({"statistics", [&dispatch](Caller) { return at_once(dispatch.stats().table()); }});
  dispatch.set_kept(std::make_unique<KeptTree>(sources.filesystem, sources.io));
  for (const std::string name : {"policies", "nodes"}) {
    tree.add({name, [sources, name](Caller who) {
                return sources.filesystem.getxattr(sources.filesystem.root(), "user.aster." + name,
                                                   std::move(who));
              }});
  }
}

}  // namespace aster
