#include "protocol/fs/json.h"

#include "protocol/fs/json_reader.h"
#include "protocol/fs/json_writer.h"

namespace aster::fs {
namespace json = boost::json;
namespace {

template <class T>
std::string encode_message(const T& message) {
  std::string out;
  Writer writer(out);
  writer.inlined(message);
  writer.end();
  return out;
}

template <class T>
Result<T> decode_message(std::string_view text) {
  ASTER_TRY(const json::value parsed, parse_json(text));
  return read_message<T>(parsed);
}

/// The `data` of an envelope.
template <class T>
Result<T> decode_enveloped(std::string_view text) {
  ASTER_TRY(const json::value parsed, parse_json(text));
  const auto* object = parsed.if_object();
  const auto* data = object ? object->if_contains("data") : nullptr;
  if (data == nullptr) return fail(Errc::bad_request, "envelope without data");
  return read_message<T>(*data);
}

void append_item(std::string& out, const BatchItem& item) {
  Writer writer(out);
  writer("op", std::string(operation_name(item.operation)));
  writer.defaulted("id", item.id);
  std::visit([&](const auto& operation) { writer.inlined(operation); }, item.operation);
  writer.end();
}

void append_result(std::string& out, const Result<Answer>& result) {
  out += '{';
  if (result.ok()) {
    append_literal(out, kAnswerNames[result->index()]);
    out += ':';
    std::visit(
        [&](const auto& answer) {
          Writer writer(out);
          writer.inlined(answer);
          writer.end();
        },
        *result);
  } else {
    out += "\"error\":{\"code\":";
    append_literal(out, to_string(result.error().code));
    out += ",\"msg\":";
    append_bytes(out, result.error().context);
    out += '}';
  }
  out += '}';
}

/// Reads alternative `name` of a variant, given the wire names in the variant's order.
template <class Variant, size_t I = 0>
Result<Variant> read_alternative(std::string_view name, const std::string_view* names,
                                 const json::value& value) {
  if constexpr (I == std::variant_size_v<Variant>) {
    return fail(Errc::bad_request, "unknown kind \"" + std::string(name) + "\"");
  } else {
    if (names[I] != name) return read_alternative<Variant, I + 1>(name, names, value);
    ASTER_TRY(auto message, (read_message<std::variant_alternative_t<I, Variant>>(value)));
    return Variant(std::in_place_index<I>, std::move(message));
  }
}

template <size_t... I>
constexpr auto operation_names(std::index_sequence<I...>) {
  return std::array<std::string_view, sizeof...(I)>{
      operation_name(Operation(std::in_place_index<I>))...};
}

Result<Operation> read_operation(const json::value& item) {
  static const auto kNames =
      operation_names(std::make_index_sequence<std::variant_size_v<Operation>>());
  const auto* object = item.if_object();
  const auto* op = object ? object->if_contains("op") : nullptr;
  if (op == nullptr || !op->is_string()) return fail(Errc::bad_request, "field \"op\" is missing");
  return read_alternative<Operation>(op->get_string(), kNames.data(), item);
}

Result<BatchItem> read_item(const json::value& value) {
  ASTER_TRY(Operation operation, read_operation(value));
  BatchItem item{std::move(operation), std::nullopt};
  std::string fault;
  Reader reader(value.get_object(), fault);
  reader.defaulted("id", item.id);
  if (!fault.empty()) return fail(Errc::bad_request, std::move(fault));
  if (is_mutation(item.operation) && !item.id) {
    return fail(Errc::bad_request,
                "operation " + std::string(operation_name(item.operation)) + " needs field \"id\"");
  }
  return item;
}

Error read_error(const json::value& value) {
  std::string code;
  std::string msg;
  std::string fault;
  if (const auto* object = value.if_object()) {
    Reader reader(*object, fault);
    reader.defaulted("code", code);
    reader.defaulted("msg", msg);
  }
  return {errc_from_string(code).value_or(Errc::internal), std::move(msg)};
}

Result<Result<Answer>> read_result(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr || object->size() != 1) {
    return fail(Errc::bad_request, "a result must be an object with one member");
  }
  const auto& member = *object->begin();
  if (member.key() == "error") return Result<Answer>(read_error(member.value()));
  ASTER_TRY(Answer answer, read_alternative<Answer>(member.key(), kAnswerNames, member.value()));
  return Result<Answer>(std::move(answer));
}

/// The list `name` of an object, at most `limit` long.
Result<const json::array*> list_of(const json::value& value, std::string_view name, size_t limit) {
  const auto* object = value.if_object();
  const auto* found = object ? object->if_contains(name) : nullptr;
  const auto* list = found ? found->if_array() : nullptr;
  if (list == nullptr)
    return fail(Errc::bad_request, "list \"" + std::string(name) + "\" is missing");
  if (list->size() > limit) {
    return fail(Errc::too_large, "list \"" + std::string(name) + "\" has " +
                                     std::to_string(list->size()) + " items, the limit is " +
                                     std::to_string(limit));
  }
  return list;
}

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return fail(Errc::bad_request, "not JSON: " + error.message());
  return value;
}

std::string encode(const BatchRequest& request) {
  std::string out = "{\"session\":" + std::to_string(request.session.value);
  if (request.stop_on_error) out += ",\"stop_on_error\":true";
  out += ",\"ops\":[";
  for (size_t i = 0; i < request.items.size(); ++i) {
    if (i > 0) out += ',';
    append_item(out, request.items[i]);
  }
  return out += "]}";
}

Result<BatchRequest> decode_batch_request(std::string_view text) {
  ASTER_TRY(const json::value parsed, parse_json(text));
  ASTER_TRY(const json::array* list, list_of(parsed, "ops", kBatchOpsMax));
  BatchRequest request;
  std::string fault;
  Reader reader(parsed.get_object(), fault);
  reader("session", request.session);
  reader.defaulted("stop_on_error", request.stop_on_error);
  if (!fault.empty()) return fail(Errc::bad_request, std::move(fault));
  request.items.reserve(list->size());
  for (size_t i = 0; i < list->size(); ++i) {
    Result<BatchItem> item = read_item((*list)[i]);
    if (!item)
      return fail(item.error().code, "ops[" + std::to_string(i) + "]: " + item.error().context);
    request.items.push_back(std::move(*item));
  }
  return request;
}

std::string encode(const BatchAnswer& answer) {
  std::string out = "{\"results\":[";
  for (size_t i = 0; i < answer.results.size(); ++i) {
    if (i > 0) out += ',';
    append_result(out, answer.results[i]);
  }
  return out += "]}";
}

Result<BatchAnswer> decode_batch_answer(std::string_view text, size_t expected) {
  ASTER_TRY(const json::value parsed, parse_json(text));
  const auto* object = parsed.if_object();
  const auto* data = object ? object->if_contains("data") : nullptr;
  if (data == nullptr) return fail(Errc::bad_request, "envelope without data");
  ASTER_TRY(const json::array* list, list_of(*data, "results", expected));
  if (list->size() != expected) {
    return fail(Errc::bad_request, "asked " + std::to_string(expected) + " operations, got " +
                                       std::to_string(list->size()) + " answers");
  }
  BatchAnswer answer;
  answer.results.reserve(expected);
  for (const json::value& value : *list) {
    ASTER_TRY(Result<Answer> result, read_result(value));
    answer.results.push_back(std::move(result));
  }
  return answer;
}

std::string encode(const SessionRequest& request) {
  return encode_message(request);
}
Result<SessionRequest> decode_session_request(std::string_view text) {
  return decode_message<SessionRequest>(text);
}
std::string encode(const SessionAnswer& answer) {
  return encode_message(answer);
}
Result<SessionAnswer> decode_session_answer(std::string_view text) {
  return decode_enveloped<SessionAnswer>(text);
}
std::string encode(const LeaseNotice& notice) {
  return encode_message(notice);
}
Result<LeaseNotice> decode_lease_notice(std::string_view text) {
  return decode_message<LeaseNotice>(text);
}
std::string encode(const Ack& ack) {
  return encode_message(ack);
}
Result<Ack> decode_ack(std::string_view text) {
  ASTER_TRY(Ack ack, decode_message<Ack>(text));
  if (ack.done.size() > kAckDoneMax) return fail(Errc::too_large, "list \"done\" is too long");
  return ack;
}
std::string encode(const AckAnswer& answer) {
  return encode_message(answer);
}
Result<AckAnswer> decode_ack_answer(std::string_view text) {
  return decode_enveloped<AckAnswer>(text);
}
std::string encode(const LeaseRequest& request) {
  return encode_message(request);
}
Result<LeaseRequest> decode_lease_request(std::string_view text) {
  ASTER_TRY(LeaseRequest request, decode_message<LeaseRequest>(text));
  if (request.give.size() > kGiveMax) return fail(Errc::too_large, "list \"give\" is too long");
  return request;
}
std::string encode(const LeaseAnswer& answer) {
  return encode_message(answer);
}
Result<LeaseAnswer> decode_lease_answer(std::string_view text) {
  return decode_enveloped<LeaseAnswer>(text);
}
std::string encode(const LeaseWanted& wanted) {
  return encode_message(wanted);
}
Result<LeaseWanted> decode_lease_wanted(std::string_view text) {
  return decode_message<LeaseWanted>(text);
}
std::string encode(const LockRequest& request) {
  return encode_message(request);
}
Result<LockRequest> decode_lock_request(std::string_view text) {
  return decode_message<LockRequest>(text);
}
std::string encode(const LockAnswer& answer) {
  return encode_message(answer);
}
Result<LockAnswer> decode_lock_answer(std::string_view text) {
  return decode_enveloped<LockAnswer>(text);
}
std::string encode(const Invalidation& event) {
  return encode_message(event);
}
Result<Invalidation> decode_invalidation(std::string_view text) {
  return decode_message<Invalidation>(text);
}

std::string encode_result(const Result<Answer>& result) {
  std::string out;
  append_result(out, result);
  return out;
}

Result<Result<Answer>> decode_result(std::string_view text) {
  ASTER_TRY(const json::value parsed, parse_json(text));
  return read_result(parsed);
}

std::string success_envelope(std::string_view data) {
  std::string out = "{\"code\":\"success\",\"msg\":\"\"";
  if (!data.empty()) {
    out += ",\"data\":";
    out += data;
  }
  return out += '}';
}

std::string error_envelope(const Error& error) {
  std::string out = "{\"code\":";
  append_literal(out, to_string(error.code));
  out += ",\"msg\":";
  append_bytes(out, error.context);
  return out += '}';
}

Error decode_error(int status, std::string_view text) {
  const auto parsed = parse_json(text);
  if (parsed.ok() && parsed->is_object()) {
    const Error error = read_error(*parsed);
    const auto* code = parsed->get_object().if_contains("code");
    if (code && code->is_string() && errc_from_string(code->get_string())) return error;
    if (!error.context.empty()) return {decode_error(status, {}).code, error.context};
  }
  const std::string context = "the server answered HTTP status " + std::to_string(status);
  switch (status) {
    case 400:
    case 422: return {Errc::bad_request, context};
    case 401: return {Errc::token_invalid, context};
    case 403: return {Errc::forbidden, context};
    case 404: return {Errc::not_found, context};
    case 409: return {Errc::conflict, context};
    case 412: return {Errc::precondition_failed, context};
    case 413: return {Errc::too_large, context};
    case 429: return {Errc::rate_limited, context};
    case 507: return {Errc::no_space, context};
    default: return {Errc::unavailable, context};
  }
}

}  // namespace aster::fs
