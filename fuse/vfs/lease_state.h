#pragma once

#include <cstdint>

namespace aster {

/// What a mount may believe and keep to itself at the moment: Filesystem::lease_state().
struct LeaseState {
  bool held = false;        ///< what the primary told is believed
  uint64_t known = 0;       ///< inodes in memory; with `held` each is leased for reading
  uint64_t writes = 0;      ///< inodes and directories leased for writing
  uint64_t wanted = 0;      ///< of these, being sent and given back
  uint64_t unsent = 0;      ///< changes of names and attributes that the primary does not know yet
  uint64_t taken = 0;       ///< write leases asked for and got, since the mount
  uint64_t given_back = 0;  ///< of these, given back because somebody wanted them
};

}  // namespace aster
