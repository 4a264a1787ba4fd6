#include "fuse/kernel/self_errors.h"

#include <cstring>
#include <ctime>

#include "fuse/kernel/errno_map.h"

namespace aster {
namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && c != '\\') {
      out.push_back(c);
      continue;
    }
    out.push_back('\\');
    for (int shift = 6; shift >= 0; shift -= 3) {
      out.push_back(static_cast<char>('0' + (byte >> shift & 7)));
    }
  }
  return out;
}

std::string utc(int64_t ns) {
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string_view what_to_do(Errc code) {
  switch (code) {
    case Errc::no_space:
      return "make room on the node, or cut or remove the file; it is sent again by itself";
    case Errc::quota_exceeded:
      return "remove something, or have the quota raised; it is sent again by itself";
    case Errc::too_large: return "cut the file: the policy's limit stands against it";
    case Errc::unavailable:
    case Errc::timeout:
    case Errc::interrupted:
    case Errc::rate_limited:
    case Errc::out_of_resources:
      return "nothing: it is sent when the servers are back; /.aster/nodes says which are away";
    case Errc::corrupt:
      return "write the file anew: the disk of journal-dir lost what was waiting there";
    case Errc::token_invalid:
    case Errc::credentials_failed:
    case Errc::forbidden: return "mount again with a valid token, before it is unmounted for good";
    default: return "see the log; a copy of the file elsewhere can do no harm";
  }
}

}  // namespace

std::string errors_table(const std::vector<Filesystem::UnsentFile>& files) {
  std::string text;
  for (const Filesystem::UnsentFile& file : files) {
    const Error& error = file.why.error;
    const char* const name = ::strerrorname_np(to_errno(error.code));
    const std::string columns[] = {
        std::to_string(file.why.ino.value),
        file.path.empty() ? "-" : escaped(file.path),
        name != nullptr ? name : "EIO",
        utc(file.why.since),
        std::to_string(file.why.attempts),
        escaped(error.context.empty() ? std::string(to_string(error.code)) : error.context),
        std::string(what_to_do(error.code)),
    };
    for (const std::string& column : columns) text.append(column).push_back('\t');
    text.back() = '\n';
  }
  return text;
}

}  // namespace aster
