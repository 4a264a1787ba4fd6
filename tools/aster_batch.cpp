#include "tools/aster_batch.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <ctime>
#include <filesystem>

#include "protocol/fs/json.h"
#include "tools/aster_mounts.h"
#include "tools/aster_output.h"

namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr int64_t kNanoseconds = 1'000'000'000;

std::string encode_path(std::string_view path) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace

Result<std::vector<Result<fs::Answer>>> run_batch(Api& api, std::vector<fs::Operation> operations,
                                                  std::string_view doing) {
  fs::BatchRequest request;
  const size_t count = operations.size();
  for (fs::Operation& operation : operations) {
    fs::BatchItem item{std::move(operation), std::nullopt};
    if (fs::is_mutation(item.operation)) item.id = OperationId::random();
    request.items.push_back(std::move(item));
  }
  const json::value body = json::parse(fs::encode(request));
  ASTER_TRY(const json::value data,
            api.post(api.in_tree("/api/v1/fs/batch"), body.get_object(), doing));
  ASTER_TRY(fs::BatchAnswer answer,
            fs::decode_batch_answer("{\"data\":" + json::serialize(data) + "}", count));
  return std::move(answer.results);
}

std::string drive_path(const World& world, const std::string& given) {
  std::error_code error;
  std::string path = std::filesystem::absolute(given, error).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (!error) {
    for (const std::string& mount : mounted_drives(world.mount_table)) {
      if (path == mount) return "/";
      if (path.starts_with(mount + "/")) return path.substr(mount.size());
    }
  }
  std::string own = given.starts_with('/') ? given : "/" + given;
  while (own.size() > 1 && own.back() == '/') own.pop_back();
  return own;
}

void enter_tree(Api& api, const World& world, const std::string& team, const std::string& given) {
  if (!team.empty() || given.empty()) return api.enter_team(team);
  std::error_code error;
  const auto path = std::filesystem::absolute(given, error).lexically_normal();
  api.enter_team(error ? std::string() : team_of_mount(world.mount_table, path.string()));
}

Result<Located> locate(Api& api, const std::string& path, std::string_view doing) {
  const std::string url = "/api/v1/info" + (path == "/" ? std::string() : encode_path(path));
  ASTER_TRY(const json::value told, api.get(api.in_tree(url), doing));
  const json::value* id = told.is_object() ? told.get_object().if_contains("id") : nullptr;
  if (id == nullptr || !id->is_number()) return fail(Errc::corrupt, std::string(doing));
  return Located{InodeNo(id->to_number<uint64_t>()), field(told, "type")};
}

Result<InodeNo> make_folder_of(Api& api, const std::string& path, std::string_view doing) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  const Result<Located> there = locate(api, folder, doing);
  if (there.ok() || !there.failed_with(Errc::not_found)) {
    if (!there.ok()) return there.error();
    return there->ino;
  }
  ASTER_TRY(
      const json::value made,
      api.post(api.in_tree("/api/v1/folders" + encode_path(folder) + "?parents=true"), {}, doing));
  static_cast<void>(made);
  ASTER_TRY(const Located now, locate(api, folder, doing));
  return now.ino;
}

std::string time_text(int64_t ns) {
  const std::time_t seconds = ns / kNanoseconds;
  std::tm local{};
  char text[32] = "";
  if (::localtime_r(&seconds, &local) == nullptr) return "-";
  std::strftime(text, sizeof text, "%F %T", &local);
  return text;
}

}  // namespace aster::cli
