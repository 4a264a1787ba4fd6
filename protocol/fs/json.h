#pragma once

#include <string>
#include <string_view>

#include "protocol/fs/lease_messages.h"
#include "protocol/fs/lock_messages.h"
#include "protocol/fs/messages.h"

/// The one codec of the client API. Names and xattr values are JSON strings when they are valid
/// UTF-8 without NUL, else {"b64": "..."}; checksums are base64 of little-endian 32-bit words.
/// Decoders ignore unknown fields, refuse missing or out-of-range ones by name (bad_request), and
/// never throw.
namespace aster::fs {

std::string encode(const BatchRequest& request);
Result<BatchRequest> decode_batch_request(std::string_view json);

/// The `data` object of the envelope: {"results":[...]}. Embedding is the caller's job.
std::string encode(const BatchAnswer& answer);
/// Decodes the whole body {code,msg,data}. `expected` is the number of operations asked.
Result<BatchAnswer> decode_batch_answer(std::string_view json, size_t expected);

std::string encode(const SessionRequest& request);
Result<SessionRequest> decode_session_request(std::string_view json);
std::string encode(const SessionAnswer& answer);
Result<SessionAnswer> decode_session_answer(std::string_view json);

std::string encode(const LeaseNotice& notice);
Result<LeaseNotice> decode_lease_notice(std::string_view json);
std::string encode(const Ack& ack);
Result<Ack> decode_ack(std::string_view json);
std::string encode(const AckAnswer& answer);
/// Decodes the whole body {code,msg,data}.
Result<AckAnswer> decode_ack_answer(std::string_view json);

std::string encode(const LeaseRequest& request);
Result<LeaseRequest> decode_lease_request(std::string_view json);
std::string encode(const LeaseAnswer& answer);
/// Decodes the whole body {code,msg,data}.
Result<LeaseAnswer> decode_lease_answer(std::string_view json);
std::string encode(const LeaseWanted& wanted);
Result<LeaseWanted> decode_lease_wanted(std::string_view json);

std::string encode(const LockRequest& request);
Result<LockRequest> decode_lock_request(std::string_view json);
std::string encode(const LockAnswer& answer);
/// Decodes the whole body {code,msg,data}.
Result<LockAnswer> decode_lock_answer(std::string_view json);

std::string encode(const Invalidation& event);
Result<Invalidation> decode_invalidation(std::string_view json);

/// One answer alone, for the stored answers that make mutations exactly-once.
std::string encode_result(const Result<Answer>& result);
Result<Result<Answer>> decode_result(std::string_view json);

/// {"code":"success","msg":"","data":<data>}; `data` is JSON text or empty.
std::string success_envelope(std::string_view data);
/// {"code":<code>,"msg":<msg>} of a failed request.
std::string error_envelope(const Error& error);
/// The error that a non-2xx body carries, else one by status.
Error decode_error(int status, std::string_view json);

}  // namespace aster::fs
