#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/api_error.h"
#include "protocol/version.h"

namespace aster {

/// The wrapper of every JSON answer: {code, msg, data} or {code, msg, error}, in the peer's
/// dialect. `data` is JSON text (to_json of a message); empty = no data member.
std::string encode_success(Dialect dialect, std::string_view data = {});
/// With a status of 500 and more the error's text gives way to its class name.
std::string encode_error(Dialect dialect, const ApiError& error);

/// Answers to control calls and to listings, bytes.
inline constexpr size_t kMaxControlAnswer = 1 << 20;
inline constexpr size_t kMaxListAnswer = 8 << 20;

/// An envelope of either dialect.
struct Envelope {
  Dialect dialect = Dialect::str;
  bool success = false;
  std::optional<ApiCode> code;  ///< nullopt for a code we do not know
  std::string message;
  std::string data;  ///< JSON text; empty when absent
};

/// Reads what it can: unknown members are skipped, a missing `msg` is empty. bad_request when the
/// text is no JSON object with a `code`, too_large when it exceeds `limit` bytes.
Result<Envelope> decode_envelope(std::string_view json, size_t limit = kMaxControlAnswer);

/// The failure behind an answer that is not 2xx: code and text of its envelope when there is one,
/// else what the status alone says. `doing` is put in front of the text.
Error error_of_answer(int status, std::string_view body, std::string_view doing);

}  // namespace aster
