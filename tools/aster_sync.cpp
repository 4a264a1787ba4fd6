#include <sys/statfs.h>
#include <sys/xattr.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "protocol/base/progress_line.h"
#include "tools/aster_command.h"
#include "tools/aster_mounts.h"

/// `aster sync`: what a mount has not sent yet. Talks to the mount, not to the server.
namespace aster::cli {
namespace {

constexpr const char* kSync = "user.aster.sync";
constexpr std::chrono::seconds kPause{1};

/// What may pass when the servers come back.
bool may_pass(int error) {
  return error == EIO || error == ETIMEDOUT || error == EAGAIN || error == EHOSTUNREACH;
}

Result<Report> sync(World& world, const std::string& path, bool wait) {
  ASTER_TRY(std::string durable, durability_of(path));
  ProgressLine line(world.terminal);
  line.follow([path] {
    const Result<std::string> now = durability_of(path);
    return "sending: " + (now.ok() ? *now : now.error().message());
  });
  while (durable != "remote") {
    if (::setxattr(path.c_str(), kSync, "1", 1, 0) != 0 && !(wait && may_pass(errno))) {
      const int error = errno;
      Report report;
      report.json = {{"path", path}, {"durable", durable}};
      report.problem = path + ": not everything could be sent (" + durable +
                       "): " + std::generic_category().message(error);
      return report;
    }
    ASTER_TRY(durable, durability_of(path));
    if (durable == "remote" || !wait) break;
    std::this_thread::sleep_for(kPause);
  }
  Report report;
  report.json = {{"path", path}, {"durable", durable}};
  report.text = path + ": " + durable + "\n";
  return report;
}

}  // namespace

void add_sync_command(Commands& commands) {
  struct Choice {
    std::string path;
    bool wait = false;
  };
  auto choice = std::make_shared<Choice>();
  CLI::App* app = commands.add(
      &commands.app(), "sync", "Send what a mounted drive has not sent yet",
      [choice](Session& session) { return sync(session.world(), choice->path, choice->wait); });
  app->add_option("PATH", choice->path, "A file; or a directory, for everything of its mount")
      ->required();
  app->add_flag("--wait", choice->wait, "Wait for servers that are away, as long as it takes");
}

}  // namespace aster::cli
