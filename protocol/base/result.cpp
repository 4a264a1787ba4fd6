#include "protocol/base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace aster {

void check_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "level=error event=invariant_broken check=\"%s\" at=%s:%d\n", expression,
               file, line);
  std::abort();
}

Error fail_errno(int err, std::string context) {
  return {errc_from_errno(err), std::move(context) + ": " + std::generic_category().message(err)};
}

Error fail_errno(std::string context) {
  return fail_errno(errno, std::move(context));
}

}  // namespace aster
