#include "fuse/vfs/conflict_name.h"

#include <algorithm>
#include <ctime>

#include "protocol/fs/messages.h"

namespace aster {

std::string conflict_name(const std::string& name, const std::string& client, unsigned attempt) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char when[32];
  std::strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &utc);
  std::string mark = ".conflict-" + client.substr(0, 60) + "-" + when;
  if (attempt > 0) mark += "-" + std::to_string(attempt);
  const size_t dot = name.rfind('.');
  const bool has_ending = dot != std::string::npos && dot != 0 && name.size() - dot <= 16;
  const std::string ending = has_ending ? name.substr(dot) : "";
  std::string stem = name.substr(0, name.size() - ending.size());
  stem.resize(std::min(stem.size(), fs::kNameMax - mark.size() - ending.size()));
  return stem + mark + ending;
}

}  // namespace aster
