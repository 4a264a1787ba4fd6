#include "protocol/api_error.h"

#include <array>
#include <cstddef>

namespace aster {
namespace {

using enum ApiCode;

constexpr bool kOwn = true;
constexpr bool kSub = false;

constexpr std::array kTable = {
    ApiCodeInfo{success, "success", 0, kOwn, 200, Errc::internal},
    ApiCodeInfo{bad_request, "bad_request", 1000, kOwn, 400, Errc::bad_request},
    ApiCodeInfo{not_found, "not_found", 1001, kOwn, 404, Errc::not_found},
    ApiCodeInfo{internal_server_error, "internal_server_error", 1002, kOwn, 500, Errc::unavailable},
    ApiCodeInfo{database_error, "database.error", 1003, kOwn, 500, Errc::unavailable},
    ApiCodeInfo{config_error, "config.error", 1004, kOwn, 500, Errc::precondition_failed},
    ApiCodeInfo{endpoint_not_found, "endpoint.not_found", 1005, kOwn, 404, Errc::unsupported},
    ApiCodeInfo{rate_limited, "rate_limited", 1006, kOwn, 429, Errc::rate_limited},
    ApiCodeInfo{conflict, "conflict", 1009, kOwn, 409, Errc::conflict},
    ApiCodeInfo{request_origin_invalid, "validation.request_origin_invalid", 1000, kSub, 400,
                Errc::bad_request},

    ApiCodeInfo{auth_failed, "auth.failed", 2000, kOwn, 401, Errc::credentials_failed},
    ApiCodeInfo{auth_token_expired, "auth.token_expired", 2001, kOwn, 401, Errc::token_invalid},
    ApiCodeInfo{auth_token_invalid, "auth.token_invalid", 2002, kOwn, 401, Errc::token_invalid},
    ApiCodeInfo{forbidden, "forbidden", 2003, kOwn, 403, Errc::forbidden},
    ApiCodeInfo{auth_pending_activation, "auth.pending_activation", 2004, kOwn, 403,
                Errc::forbidden},
    ApiCodeInfo{auth_token_missing, "auth.token_missing", 2007, kOwn, 401, Errc::token_invalid},
    ApiCodeInfo{auth_credentials_failed, "auth.credentials_failed", 2008, kOwn, 401,
                Errc::credentials_failed},
    ApiCodeInfo{auth_mfa_failed, "auth.mfa_failed", 2009, kOwn, 401, Errc::credentials_failed},

    ApiCodeInfo{file_not_found, "file.not_found", 3000, kOwn, 404, Errc::not_found},
    ApiCodeInfo{file_too_large, "file.too_large", 3001, kOwn, 400, Errc::too_large},
    ApiCodeInfo{file_type_not_allowed, "file.type_not_allowed", 3002, kOwn, 400, Errc::bad_request},
    ApiCodeInfo{file_upload_failed, "file.upload_failed", 3003, kOwn, 500, Errc::io_error},
    ApiCodeInfo{upload_session_not_found, "upload.session_not_found", 3004, kOwn, 404,
                Errc::not_found},
    ApiCodeInfo{upload_session_expired, "upload.session_expired", 3005, kOwn, 410, Errc::not_found},
    ApiCodeInfo{upload_chunk_failed, "upload.chunk_failed", 3006, kOwn, 500, Errc::io_error},
    ApiCodeInfo{upload_assembly_failed, "upload.assembly_failed", 3007, kOwn, 500, Errc::io_error},
    ApiCodeInfo{resource_locked, "resource.locked", 3009, kOwn, 423, Errc::locked},
    ApiCodeInfo{precondition_failed, "precondition_failed", 3010, kOwn, 412,
                Errc::precondition_failed},
    ApiCodeInfo{upload_assembling, "upload.assembling", 3011, kOwn, 202, Errc::unavailable},

    ApiCodeInfo{storage_policy_not_found, "storage.policy_not_found", 4000, kOwn, 404,
                Errc::not_found},
    ApiCodeInfo{storage_unknown, "storage.unknown", 4001, kOwn, 500, Errc::io_error},
    ApiCodeInfo{storage_quota_exceeded, "storage.quota_exceeded", 4002, kOwn, 507, Errc::no_space},
    ApiCodeInfo{storage_unsupported_driver, "storage.unsupported_driver", 4003, kOwn, 500,
                Errc::unsupported},
    ApiCodeInfo{storage_auth, "storage.auth", 4004, kOwn, 500, Errc::io_error},
    ApiCodeInfo{storage_permission, "storage.permission", 4005, kOwn, 500, Errc::io_error},
    ApiCodeInfo{storage_misconfigured, "storage.misconfigured", 4006, kOwn, 500,
                Errc::precondition_failed},
    ApiCodeInfo{storage_not_found, "storage.not_found", 4007, kOwn, 500, Errc::not_found},
    ApiCodeInfo{storage_rate_limited, "storage.rate_limited", 4008, kOwn, 500, Errc::rate_limited},
    ApiCodeInfo{storage_transient, "storage.transient", 4009, kOwn, 500, Errc::unavailable},
    ApiCodeInfo{storage_precondition, "storage.precondition", 4010, kOwn, 500,
                Errc::precondition_failed},
    ApiCodeInfo{storage_unsupported, "storage.unsupported", 4011, kOwn, 500, Errc::unsupported},

    ApiCodeInfo{binding_disabled, "master_binding.disabled", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{target_required, "managed_ingress.required", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{target_default_missing, "managed_ingress.default_missing", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{target_default_error, "managed_ingress.default_error", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{target_default_not_applied, "managed_ingress.default_not_applied", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{target_default_update_requires_replacement,
                "managed_ingress.default_update_requires_replacement", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{target_default_delete_requires_replacement,
                "managed_ingress.default_delete_requires_replacement", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{target_driver_unsupported, "managed_ingress.driver_unsupported", 1000, kSub, 400,
                Errc::bad_request},
    ApiCodeInfo{target_local_path_invalid, "managed_ingress.local_path_invalid", 1000, kSub, 400,
                Errc::bad_request},
    ApiCodeInfo{target_not_found, "remote_storage_target.not_found", 3010, kSub, 412,
                Errc::precondition_failed},

    ApiCodeInfo{content_length_required, "internal_storage.content_length_required", 1000, kSub,
                400, Errc::bad_request},
    ApiCodeInfo{content_length_invalid, "internal_storage.content_length_invalid", 1000, kSub, 400,
                Errc::bad_request},
    ApiCodeInfo{compose_parts_required, "internal_storage.compose_parts_required", 1000, kSub, 400,
                Errc::bad_request},
    ApiCodeInfo{compose_expected_size_invalid, "internal_storage.compose_expected_size_invalid",
                1000, kSub, 400, Errc::bad_request},
    ApiCodeInfo{range_length_invalid, "internal_storage.range_length_invalid", 1000, kSub, 400,
                Errc::bad_request},
    ApiCodeInfo{range_empty_object, "internal_storage.range_empty_object", 1000, kSub, 400,
                Errc::bad_request},
    ApiCodeInfo{range_offset_out_of_bounds, "internal_storage.range_offset_out_of_bounds", 1000,
                kSub, 400, Errc::bad_request},
    ApiCodeInfo{range_header_invalid, "internal_storage.range_header_invalid", 1000, kSub, 400,
                Errc::bad_request},
    ApiCodeInfo{range_multiple_unsupported, "internal_storage.range_multiple_unsupported", 1000,
                kSub, 400, Errc::bad_request},
    ApiCodeInfo{range_bounds_invalid, "internal_storage.range_bounds_invalid", 1000, kSub, 400,
                Errc::bad_request},

    ApiCodeInfo{node_disabled, "remote_node.disabled", 3010, kSub, 412, Errc::precondition_failed},
    ApiCodeInfo{node_enrollment_required, "remote_node.enrollment_required", 3010, kSub, 412,
                Errc::precondition_failed},
    ApiCodeInfo{node_unique_conflict, "remote_node.unique_conflict", 1000, kSub, 400,
                Errc::conflict},
};

constexpr bool rows_stand_in_enum_order() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].code) != i) return false;
  }
  return kTable.size() == static_cast<size_t>(kLastApiCode) + 1;
}
static_assert(rows_stand_in_enum_order());

}  // namespace

const ApiCodeInfo& info(ApiCode code) noexcept {
  return kTable[static_cast<size_t>(code)];
}

std::optional<ApiCode> api_code_from_text(std::string_view text) noexcept {
  for (const ApiCodeInfo& row : kTable) {
    if (row.text == text) return row.code;
  }
  return std::nullopt;
}

std::optional<ApiCode> api_code_from_number(int64_t number) noexcept {
  for (const ApiCodeInfo& row : kTable) {
    if (row.has_own_number && row.number == number) return row.code;
  }
  return std::nullopt;
}

ApiCode api_code_for(Errc code) noexcept {
  switch (code) {
    case Errc::token_invalid: return auth_token_invalid;
    case Errc::credentials_failed: return auth_credentials_failed;
    case Errc::forbidden:
    case Errc::not_permitted:
    case Errc::access_denied: return forbidden;
    case Errc::precondition_failed:
    case Errc::stale_version: return precondition_failed;
    case Errc::conflict:
    case Errc::exists: return conflict;
    case Errc::rate_limited:
    case Errc::out_of_resources: return rate_limited;
    case Errc::too_large: return file_too_large;
    case Errc::unsupported: return storage_unsupported;
    case Errc::not_found: return not_found;
    case Errc::quota_exceeded:
    case Errc::no_space: return storage_quota_exceeded;
    case Errc::locked: return resource_locked;
    case Errc::interrupted:
    case Errc::timeout:
    case Errc::unavailable: return storage_transient;
    case Errc::read_only:
    case Errc::corrupt:
    case Errc::io_error: return storage_unknown;
    case Errc::bad_request:
    case Errc::not_directory:
    case Errc::is_directory:
    case Errc::not_empty:
    case Errc::name_too_long:
    case Errc::too_many_links:
    case Errc::cross_workspace:
    case Errc::no_attribute:
    case Errc::range_too_small:
    case Errc::stale_handle: return bad_request;
    case Errc::internal: return internal_server_error;
  }
  return internal_server_error;
}

Errc errc_for_status(int status) noexcept {
  switch (status) {
    case 401: return Errc::token_invalid;
    case 403: return Errc::forbidden;
    case 404: return Errc::not_found;
    case 405:
    case 501: return Errc::unsupported;
    case 409:
    case 412: return Errc::precondition_failed;
    case 413: return Errc::too_large;
    case 429: return Errc::rate_limited;
    case 507: return Errc::no_space;
    default: return status >= 500 ? Errc::unavailable : Errc::bad_request;
  }
}

std::string_view class_name(ApiCode code) noexcept {
  const std::string_view text = info(code).text;
  if (text.starts_with("storage.")) return "Storage Driver Error";
  if (code == database_error) return "Database Error";
  if (code == config_error) return "Configuration Error";
  if (text.starts_with("file.") || text.starts_with("upload.")) return "Upload Error";
  return "Internal Server Error";
}

}  // namespace aster
