#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tools/aster_batch.h"
#include "tools/aster_output.h"

/// `aster versions ...`: earlier contents of files.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct VersionOptions {
  std::string path;
  uint64_t id = 0;
  std::string to;
  std::string team;
};

struct Versions {
  InodeNo file;
  std::vector<fs::Kept> all;
};

Result<Versions> versions_of(Api& api, const std::string& path) {
  const std::string doing = "versions of " + path;
  ASTER_TRY(const Located file, locate(api, path, doing));
  if (file.type != "file") return fail(Errc::bad_request, path + " is no regular file");
  ASTER_TRY(fs::KeptPage page, run_one<fs::KeptPage>(api, fs::ListVersions{file.ino}, doing));
  return Versions{file.ino, std::move(page.entries)};
}

Result<Report> list_versions(Session& session, const VersionOptions& options) {
  if (options.path.empty()) return fail(Errc::bad_request, "give the path of a file");
  ASTER_TRY(Api api, session.api());
  enter_tree(api, session.world(), options.team, options.path);
  ASTER_TRY(const Versions versions, versions_of(api, drive_path(session.world(), options.path)));
  Table table({"ID", "REPLACED", "MODIFIED", "SIZE"});
  json::array out;
  for (const fs::Kept& version : versions.all) {
    json::object one{{"id", version.id},
                     {"size", version.attr.size},
                     {"inode", version.attr.ino.value},
                     {"modified_at_ns", version.attr.mtime},
                     {"replaced_at_ns", version.at}};
    table.add({std::to_string(version.id), time_text(version.at), time_text(version.attr.mtime),
               byte_field(one, "size")});
    out.push_back(std::move(one));
  }
  return Report{std::move(out), table.text(), {}};
}

/// The version as a file of its own.
Result<void> copy_version(Api& api, const fs::Kept& version, const std::string& to) {
  const std::string doing = "restore to " + to;
  fs::Create create;
  ASTER_TRY(create.parent, make_folder_of(api, to, doing));
  create.name = to.substr(to.rfind('/') + 1);
  create.mode = version.attr.mode;
  create.uid = version.attr.uid;
  create.gid = version.attr.gid;
  ASTER_TRY(const fs::Attr made, run_one<fs::Attr>(api, create, doing));
  const fs::CopyRange copy{version.attr.ino, 0, made.ino, 0, version.attr.size};
  ASTER_TRY(const fs::Attr copied, run_one<fs::Attr>(api, copy, doing));
  static_cast<void>(copied);
  fs::SetAttr set;
  set.ino = made.ino;
  set.size = version.attr.size;
  set.mode = version.attr.mode;
  ASTER_TRY(const fs::Attr sized, run_one<fs::Attr>(api, set, doing));
  static_cast<void>(sized);
  fs::SetAttr times;
  times.ino = made.ino;
  times.mtime = version.attr.mtime;
  ASTER_TRY(const fs::Attr done, run_one<fs::Attr>(api, times, doing));
  static_cast<void>(done);
  return ok();
}

Result<Report> restore_version(Session& session, const VersionOptions& options) {
  ASTER_TRY(Api api, session.api());
  enter_tree(api, session.world(), options.team, options.path);
  const std::string path = drive_path(session.world(), options.path);
  ASTER_TRY(const Versions versions, versions_of(api, path));
  for (const fs::Kept& version : versions.all) {
    if (version.id != options.id) continue;
    std::string to = path;
    if (options.to.empty()) {
      ASTER_TRY(const fs::Attr back,
                run_one<fs::Attr>(api, fs::RestoreVersion{options.id}, "restore " + path));
      static_cast<void>(back);
    } else {
      to = drive_path(session.world(), options.to);
      ASTER_TRY(copy_version(api, version, to));
    }
    return Report{
        json::object{{"id", options.id}, {"path", to}},
        printable(to) + " has the content of version " + std::to_string(options.id) + "\n",
        {}};
  }
  return fail(Errc::not_found, path + " has no version " + std::to_string(options.id));
}

}  // namespace

void add_version_commands(Commands& commands) {
  auto options = std::make_shared<VersionOptions>();
  CLI::App* list = commands.add(&commands.app(), "versions", "Earlier contents of a file",
                                [options](Session& s) { return list_versions(s, *options); });
  list->add_option("PATH", options->path, "A file: list its versions, the latest first");
  CLI::App* back = commands.add(list, "restore", "Give a file an earlier content again",
                                [options](Session& s) { return restore_version(s, *options); });
  for (CLI::App* command : {list, back}) {
    command->add_option("--team", options->team, "In the tree of this team, not in yours");
  }
  back->add_option("PATH", options->path, "The file")->required();
  back->add_option("ID", options->id, "The version, as listed")->required();
  back->add_option("--to", options->to, "Another path, made anew, instead of the file itself");
}

}  // namespace aster::cli
