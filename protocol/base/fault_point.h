#pragma once

#include "protocol/base/fault_config.h"

#ifdef ASTER_FAULT_POINTS
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#endif

/// Places where crash tests end the process as kill -9 would: ASTER_FAULT_POINT("journal.write")
/// when the environment has ASTER_FAULT=journal.write (the first time) or journal.write:7 (the
/// seventh). Nothing at all in a release build (option fault_points).
namespace aster {

#ifdef ASTER_FAULT_POINTS
inline void fault_point(const char* name) {
  static const char* const wanted = std::getenv("ASTER_FAULT");
  if (wanted == nullptr) return;
  const size_t length = std::strcspn(wanted, ":");
  if (std::strlen(name) != length || std::strncmp(name, wanted, length) != 0) return;
  static std::atomic<long> left{wanted[length] == ':' ? std::atol(wanted + length + 1) : 1};
  if (left.fetch_sub(1) == 1) std::raise(SIGKILL);
}
#define ASTER_FAULT_POINT(name) ::aster::fault_point(name)
#else
#define ASTER_FAULT_POINT(name) static_cast<void>(0)
#endif

}  // namespace aster
