#pragma once

#include <string>
#include <vector>

#include "protocol/fs/messages.h"
#include "tools/aster_command.h"

/// The operations of mounts, for commands.
namespace aster::cli {

/// Runs the operations in order, each on its own; changes get their operation ids.
Result<std::vector<Result<fs::Answer>>> run_batch(Api& api, std::vector<fs::Operation> operations,
                                                  std::string_view doing);

/// One operation with an answer of this kind.
template <class A>
Result<A> run_one(Api& api, fs::Operation operation, std::string_view doing) {
  std::vector<fs::Operation> one;
  one.push_back(std::move(operation));
  ASTER_TRY(auto answers, run_batch(api, std::move(one), doing));
  if (!answers[0].ok()) {
    return fail(answers[0].error().code, std::string(doing) + ": " + answers[0].error().message());
  }
  A* typed = std::get_if<A>(&*answers[0]);
  if (typed == nullptr) return fail(Errc::corrupt, std::string(doing) + ": not the answer to that");
  return std::move(*typed);
}

/// A path of the drive ("/a/b") for what a person wrote: one below a mounted drive, or one from the
/// drive's root.
std::string drive_path(const World& world, const std::string& given);

/// Paths are those of this team's tree from now on; without a team, of the one that is mounted
/// where `given` lies, if there is one.
void enter_tree(Api& api, const World& world, const std::string& team, const std::string& given);

/// What the drive says of a path. not_found.
struct Located {
  InodeNo ino;
  std::string type;  ///< "file", "folder" ...
};
Result<Located> locate(Api& api, const std::string& path, std::string_view doing);
/// The folder of `path`, made with those above it if need be.
Result<InodeNo> make_folder_of(Api& api, const std::string& path, std::string_view doing);

/// Local time for people: "2026-11-21 19:30:00".
std::string time_text(int64_t ns);

}  // namespace aster::cli
