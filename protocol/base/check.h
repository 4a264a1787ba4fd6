#pragma once

namespace aster {
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace aster

/// Stops the program when an invariant of our own is broken, in release builds too. Never for bad
/// input, a bad disk or a bad network: those are Errors.
#define ASTER_CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::aster::check_failed(#expression, __FILE__, __LINE__))
