#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <map>
#include <set>

#include "protocol/base/clock.h"
#include "tools/aster_batch.h"
#include "tools/aster_output.h"

/// `aster trash ...`: what was deleted from the drive of whoever is logged in.
namespace aster::cli {
namespace {

namespace json = boost::json;

using fs::FileType;
using fs::Kept;

/// Restored in one round trip.
constexpr size_t kAtOnce = 256;

struct TrashOptions {
  std::string what;  ///< id or path
  std::string to;
  std::string older_than;
  std::string team;
};

bool is_directory(const Kept& entry) {
  return entry.attr.type == FileType::directory;
}

/// All entries that `query` finds, the latest removal first.
Result<std::vector<Kept>> list_all(Api& api, fs::ListTrash query) {
  std::vector<Kept> all;
  for (;;) {
    ASTER_TRY(fs::KeptPage page, run_one<fs::KeptPage>(api, query, "list the trash"));
    std::move(page.entries.begin(), page.entries.end(), std::back_inserter(all));
    if (page.next == 0) return all;
    query.before = page.next;
  }
}

std::string shown_path(const Kept& entry) {
  return entry.path.empty() ? "?/" + entry.name : entry.path;
}

json::object entry_json(const Kept& entry) {
  return {{"id", entry.id},           {"path", entry.path},
          {"name", entry.name},       {"type", is_directory(entry) ? "folder" : "file"},
          {"size", entry.attr.size},  {"inode", entry.attr.ino.value},
          {"deleted_at_ns", entry.at}};
}

Result<Report> list_trash(Session& session, const TrashOptions& options) {
  ASTER_TRY(Api api, session.api());
  enter_tree(api, session.world(), options.team, options.what);
  fs::ListTrash query;
  if (!options.what.empty()) query.under = drive_path(session.world(), options.what);
  if (query.under == "/") query.under.clear();
  ASTER_TRY(const std::vector<Kept> entries, list_all(api, query));
  Table table({"ID", "DELETED", "SIZE", "PATH"});
  json::array out;
  for (const Kept& entry : entries) {
    json::object one = entry_json(entry);
    table.add({std::to_string(entry.id), time_text(entry.at),
               is_directory(entry) ? "folder" : byte_field(one, "size"),
               printable(shown_path(entry))});
    out.push_back(std::move(one));
  }
  return Report{std::move(out), table.text(), {}};
}

/// Restores entries and what lay in them, and remembers what could not be.
class Restorer {
 public:
  explicit Restorer(Api& api) : api_(api) {}

  /// `place`: instead of where it was.
  void restore(const Kept& entry, std::optional<fs::RestoreTrash> place = {});
  Report report() const;

 private:
  void restore_below(const Kept& directory);
  void restore_files(const std::vector<Kept>& files);
  void problem(const Kept& entry, const Error& error);

  Api& api_;
  uint64_t restored_ = 0;
  std::set<uint64_t> seen_;
  json::array problems_;
  std::string text_;
};

void Restorer::restore(const Kept& entry, std::optional<fs::RestoreTrash> place) {
  if (!seen_.insert(entry.id).second) return;
  fs::RestoreTrash operation = place.value_or(fs::RestoreTrash{});
  operation.id = entry.id;
  const Result<fs::Attr> back = run_one<fs::Attr>(api_, operation, shown_path(entry));
  // A directory that is there takes what was in the one of its name; one may have come back with
  // something in it.
  const bool merged = is_directory(entry) && !place &&
                      (back.failed_with(Errc::exists) || back.failed_with(Errc::not_found));
  if (back.ok()) ++restored_;
  if (!back.ok() && !merged) return problem(entry, back.error());
  if (is_directory(entry)) restore_below(entry);
}

void Restorer::restore_below(const Kept& directory) {
  fs::ListTrash query;
  query.parent = directory.attr.ino;
  const Result<std::vector<Kept>> inside = list_all(api_, query);
  if (!inside.ok()) return problem(directory, inside.error());
  std::set<std::string> names;
  std::vector<Kept> files;
  std::vector<Kept> folders;
  for (const Kept& entry : *inside) {
    if (!names.insert(entry.name).second) continue;
    (is_directory(entry) ? folders : files).push_back(entry);
  }
  restore_files(files);
  for (const Kept& folder : folders) restore(folder);
}

// Many in one round trip.
void Restorer::restore_files(const std::vector<Kept>& files) {
  for (size_t begin = 0; begin < files.size(); begin += kAtOnce) {
    const size_t end = std::min(files.size(), begin + kAtOnce);
    std::vector<fs::Operation> operations;
    for (size_t i = begin; i < end; ++i) {
      fs::RestoreTrash operation;
      operation.id = files[i].id;
      operations.emplace_back(std::move(operation));
    }
    const auto answers = run_batch(api_, std::move(operations), "restore");
    for (size_t i = begin; i < end; ++i) {
      const Result<void> one = !answers.ok()                ? Result<void>(answers.error())
                               : (*answers)[i - begin].ok() ? ok()
                                                            : (*answers)[i - begin].error();
      if (one.ok()) {
        ++restored_;
      } else {
        problem(files[i], one.error());
      }
    }
  }
}

void Restorer::problem(const Kept& entry, const Error& error) {
  problems_.push_back({{"path", entry.path}, {"problem", error.message()}});
  text_ += printable(shown_path(entry) + ": " + error.message()) + "\n";
}

Report Restorer::report() const {
  Report report;
  report.json = json::object{{"restored", restored_}, {"problems", problems_}};
  report.text = std::to_string(restored_) + " restored\n";
  if (!problems_.empty()) {
    report.problem = text_ + std::to_string(problems_.size()) + " could not be restored";
  }
  return report;
}

/// The latest one of each path, directories before what is in them.
std::vector<Kept> newest_of_each(std::vector<Kept> entries) {
  std::map<std::string, Kept> by_path;
  for (Kept& entry : entries) {
    std::string path = shown_path(entry);
    by_path.try_emplace(std::move(path), std::move(entry));
  }
  std::vector<Kept> out;
  for (auto& [path, entry] : by_path) out.push_back(std::move(entry));
  return out;
}

/// What an id or a path stands for.
Result<std::vector<Kept>> chosen(Session& session, Api& api, const std::string& what) {
  uint64_t id = 0;
  const auto parsed = std::from_chars(what.data(), what.data() + what.size(), id);
  const bool is_id = parsed.ec == std::errc() && parsed.ptr == what.data() + what.size();
  fs::ListTrash query;
  if (is_id && id != UINT64_MAX) {
    query.before = id + 1;
    query.limit = 1;
    ASTER_TRY(fs::KeptPage page, run_one<fs::KeptPage>(api, query, "restore"));
    if (!page.entries.empty() && page.entries[0].id == id) return std::move(page.entries);
    return fail(Errc::not_found, "there is no entry " + what + " in the trash");
  }
  query.under = drive_path(session.world(), what);
  if (query.under == "/") query.under.clear();
  ASTER_TRY(std::vector<Kept> entries, list_all(api, query));
  if (entries.empty()) return fail(Errc::not_found, "nothing of " + what + " is in the trash");
  for (const Kept& entry : entries) {
    if (entry.path == query.under) return std::vector<Kept>{entry};
  }
  return newest_of_each(std::move(entries));
}

Result<Report> restore(Session& session, const TrashOptions& options) {
  ASTER_TRY(Api api, session.api());
  enter_tree(api, session.world(), options.team, options.what);
  ASTER_TRY(const std::vector<Kept> entries, chosen(session, api, options.what));
  Restorer restorer(api);
  if (options.to.empty()) {
    for (const Kept& entry : entries) restorer.restore(entry);
    return restorer.report();
  }
  if (entries.size() != 1) {
    return fail(Errc::bad_request, "--to is for one thing: name a file or folder of the trash");
  }
  const std::string to = drive_path(session.world(), options.to);
  fs::RestoreTrash place;
  ASTER_TRY(place.parent, make_folder_of(api, to, "restore to " + to));
  place.name = to.substr(to.rfind('/') + 1);
  restorer.restore(entries[0], place);
  return restorer.report();
}

/// "7d", "12h", "30m", "10s" in nanoseconds.
Result<int64_t> parse_age(const std::string& text) {
  int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(parsed.ptr, text.data() + text.size());
  static const std::map<std::string, int64_t> kUnits = {
      {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 7 * 86400}};
  const auto found = kUnits.find(unit);
  if (parsed.ec != std::errc() || number < 0 || number > 100'000 || found == kUnits.end()) {
    return fail(Errc::bad_request, "'" + text + "' is no age; write e.g. 7d, 12h or 30m");
  }
  return number * found->second * 1'000'000'000;
}

Result<Report> empty_trash(Session& session, const TrashOptions& options) {
  ASTER_TRY(Api api, session.api());
  enter_tree(api, session.world(), options.team, options.what);
  fs::EmptyTrash operation;
  operation.until = INT64_MAX;
  if (!options.older_than.empty()) {
    ASTER_TRY(const int64_t age, parse_age(options.older_than));
    operation.until = SystemClock().now_ns() - age;
  }
  uint64_t count = 0;
  for (bool more = true; more;) {
    ASTER_TRY(const fs::Counted done, run_one<fs::Counted>(api, operation, "empty the trash"));
    count += done.count;
    more = done.more;
  }
  return Report{json::object{{"removed", count}}, std::to_string(count) + " removed\n", {}};
}

}  // namespace

void add_trash_commands(Commands& commands) {
  auto options = std::make_shared<TrashOptions>();
  CLI::App* group = commands.group("trash", "What was deleted from your drive");
  CLI::App* list = commands.add(group, "list", "List what is in the trash, the latest first",
                                [options](Session& s) { return list_trash(s, *options); });
  list->add_option("PATH", options->what, "Only what was here and below");
  CLI::App* back = commands.add(group, "restore", "Bring something back, folders with all they had",
                                [options](Session& s) { return restore(s, *options); });
  back->add_option("WHAT", options->what, "Id in the list, or the path that it had")->required();
  back->add_option("--to", options->to, "The path it gets, instead of the one it had");
  CLI::App* empty = commands.add(group, "empty", "Remove what is in the trash for ever",
                                 [options](Session& s) { return empty_trash(s, *options); });
  for (CLI::App* command : {list, back, empty}) {
    command->add_option("--team", options->team, "In the tree of this team, not in yours");
  }
  empty->add_option("--older-than", options->older_than, "Only what was deleted before, e.g. 7d");
}

}  // namespace aster::cli
