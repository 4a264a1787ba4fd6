#pragma once

#include <cstdint>
#include <string>

#include "tests/integration/drive_fixture.h"

namespace aster {

/// A header of an answer; empty when it is not there.
inline std::string header_of(const ApiAnswer& answer, std::string_view name) {
  const std::string* found = find_header(answer.headers, name);
  return found != nullptr ? *found : std::string();
}

/// Bytes that differ everywhere.
inline std::string some_content(size_t size = 300 * 1024) {
  std::string content(size, '\0');
  uint32_t state = 4711;
  for (char& c : content) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return content;
}

}  // namespace aster
