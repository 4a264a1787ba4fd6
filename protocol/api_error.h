#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "protocol/base/result.h"

namespace aster {

/// Every code that an answer of the follower protocol can carry, each with its numeric form
/// (v1-v3), its string form (v4 and later), HTTP status and Errc: one table in api_error.cpp.
enum class ApiCode {
  success,
  // general
  bad_request,
  not_found,
  internal_server_error,
  database_error,
  config_error,
  endpoint_not_found,
  rate_limited,
  conflict,
  request_origin_invalid,
  // identity
  auth_failed,
  auth_token_expired,
  auth_token_invalid,
  forbidden,
  auth_pending_activation,
  auth_token_missing,
  auth_credentials_failed,
  auth_mfa_failed,
  // files of the primary's own API
  file_not_found,
  file_too_large,
  file_type_not_allowed,
  file_upload_failed,
  upload_session_not_found,
  upload_session_expired,
  upload_chunk_failed,
  upload_assembly_failed,
  resource_locked,
  precondition_failed,
  upload_assembling,
  // storage drivers
  storage_policy_not_found,
  storage_unknown,
  storage_quota_exceeded,
  storage_unsupported_driver,
  storage_auth,
  storage_permission,
  storage_misconfigured,
  storage_not_found,
  storage_rate_limited,
  storage_transient,
  storage_precondition,
  storage_unsupported,
  // bindings and targets
  binding_disabled,
  target_required,
  target_default_missing,
  target_default_error,
  target_default_not_applied,
  target_default_update_requires_replacement,
  target_default_delete_requires_replacement,
  target_driver_unsupported,
  target_local_path_invalid,
  target_not_found,
  // objects
  content_length_required,
  content_length_invalid,
  compose_parts_required,
  compose_expected_size_invalid,
  range_length_invalid,
  range_empty_object,
  range_offset_out_of_bounds,
  range_header_invalid,
  range_multiple_unsupported,
  range_bounds_invalid,
  // remote nodes at the primary
  node_disabled,
  node_enrollment_required,
  node_unique_conflict,
};

inline constexpr ApiCode kLastApiCode = ApiCode::node_unique_conflict;

/// One row of the table.
struct ApiCodeInfo {
  ApiCode code;
  std::string_view text;  ///< string dialect, e.g. "managed_ingress.required"
  int number;             ///< numeric dialect
  bool has_own_number;    ///< false: `number` is the class and `text` goes out as the sub-code
  int status;             ///< usual HTTP status
  Errc errc;              ///< what it means to our own code
};

const ApiCodeInfo& info(ApiCode code) noexcept;
std::optional<ApiCode> api_code_from_text(std::string_view text) noexcept;
/// The code that owns this number.
std::optional<ApiCode> api_code_from_number(int64_t number) noexcept;
/// The code that a failure of ours leaves with, when nothing better is known.
ApiCode api_code_for(Errc code) noexcept;
/// What an HTTP status of 400 and more means when no code could be read.
Errc errc_for_status(int status) noexcept;
/// The generic words that replace the text of an answer with status >= 500.
std::string_view class_name(ApiCode code) noexcept;

/// A failure as it goes out to a peer: an exact code, an HTTP status and a text for people.
struct [[nodiscard]] ApiError {
  ApiCode code = ApiCode::internal_server_error;
  std::string message;
  int status = 0;  ///< 0 = the code's usual one

  ApiError(ApiCode c, std::string m = {}, int s = 0) : code(c), message(std::move(m)), status(s) {}
  /// From a failure of ours: the code's default mapping.
  ApiError(Error error)
      : code(api_code_for(error.code)), message(std::move(error.context)) {}  // NOLINT

  int http_status() const noexcept { return status ? status : info(code).status; }
  Error to_error() const {
    return {info(code).errc, std::string(info(code).text) + ": " + message};
  }
};

/// A T, or the ApiError to answer with. Works with ASTER_TRY, which also lifts a Result's Error.
template <class T>
class [[nodiscard]] ApiResult {
 public:
  using value_type = T;
  ApiResult(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  ApiResult(ApiError error) : state_(std::in_place_index<1>, std::move(error)) {}
  ApiResult(Error error) : state_(std::in_place_index<1>, ApiError(std::move(error))) {}

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  const T& value() const& {
    ASTER_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    ASTER_CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  const T& operator*() const& { return value(); }
  const T* operator->() const { return &value(); }
  const ApiError& error() const& {
    ASTER_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  ApiError&& error() && {
    ASTER_CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }
  /// True for a failure with this code.
  bool failed_with(ApiCode code) const noexcept { return !ok() && error().code == code; }

 private:
  std::variant<T, ApiError> state_;
};

}  // namespace aster
