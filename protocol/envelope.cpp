#include "protocol/envelope.h"

#include <boost/json/serialize.hpp>
#include <cstdio>

#include "protocol/base/text.h"
#include "protocol/http_text.h"
#include "protocol/json_reader.h"

namespace aster {
namespace {

namespace json = boost::json;

bool is_retryable(Errc code) {
  return code == Errc::unavailable || code == Errc::rate_limited || code == Errc::timeout;
}

// The reference gives every kind of failure an E-number; ours is the code's place in the table.
std::string internal_code(ApiCode code) {
  char text[8];
  std::snprintf(text, sizeof text, "E%03u", static_cast<unsigned>(code) % 1000);
  return text;
}

json::object numeric_error(const ApiCodeInfo& row) {
  json::object error;
  error["internal_code"] = internal_code(row.code);
  error["code"] = json::string_view(row.text.data(), row.text.size());
  if (!row.has_own_number) error["subcode"] = json::string_view(row.text.data(), row.text.size());
  error["retryable"] = is_retryable(row.errc);
  return error;
}

// A text that is not ours alone (a path, a peer's words) might not be UTF-8; JSON must be.
std::string as_utf8(std::string text) {
  if (is_utf8(text)) return text;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return text;
}

json::object string_error(const ApiCodeInfo& row) {
  return {{"retryable", is_retryable(row.errc)}};
}

void read_code(const json::value& code, const json::object* error, Envelope& out) {
  if (const json::string* text = code.if_string()) {
    out.dialect = Dialect::str;
    out.code = api_code_from_text({text->data(), text->size()});
  } else if (const int64_t* number = code.if_int64()) {
    out.dialect = Dialect::num;
    out.code = api_code_from_number(*number);
    // The sub-code is the finer of the two.
    const json::value* subcode = error ? error->if_contains("subcode") : nullptr;
    if (subcode && subcode->is_string()) {
      const json::string& text = subcode->get_string();
      if (const auto finer = api_code_from_text({text.data(), text.size()})) out.code = finer;
    }
  }
  out.success = out.code == ApiCode::success;
}

}  // namespace

std::string encode_success(Dialect dialect, std::string_view data) {
  std::string out =
      dialect == Dialect::num ? R"({"code":0,"msg":"")" : R"({"code":"success","msg":"")";
  if (!data.empty()) out.append(R"(,"data":)").append(data);
  return out += '}';
}

std::string encode_error(Dialect dialect, const ApiError& error) {
  const ApiCodeInfo& row = info(error.code);
  json::object out;
  if (dialect == Dialect::num) {
    out["code"] = row.number;
  } else {
    out["code"] = json::string_view(row.text.data(), row.text.size());
  }
  out["msg"] =
      error.http_status() >= 500 ? std::string(class_name(error.code)) : as_utf8(error.message);
  out["error"] = dialect == Dialect::num ? numeric_error(row) : string_error(row);
  return json::serialize(out);
}

Result<Envelope> decode_envelope(std::string_view text, size_t limit) {
  ASTER_TRY(const json::object object, parse_json_object(text, limit));
  const json::value* code = object.if_contains("code");
  if (!code || !(code->is_string() || code->is_int64())) {
    return fail(Errc::bad_request, "answer has no 'code'");
  }
  Envelope out;
  JsonReader reader(object);
  read_code(*code, reader.object("error"), out);
  const json::value* message = object.if_contains("msg");
  if (message && message->is_string()) out.message = message->get_string().c_str();
  const json::value* data = object.if_contains("data");
  if (data && !data->is_null()) out.data = json::serialize(*data);
  return out;
}

Error error_of_answer(int status, std::string_view body, std::string_view doing) {
  std::string context = std::string(doing) + ": status " + std::to_string(status);
  const auto envelope = decode_envelope(body);
  if (!envelope || !envelope->code || envelope->success) {
    return {errc_for_status(status), std::move(context)};
  }
  const ApiCodeInfo& row = info(*envelope->code);
  context.append(" ").append(row.text);
  constexpr size_t kMostText = 300;  // a peer's words end up in logs
  if (!envelope->message.empty()) context += ": " + envelope->message.substr(0, kMostText);
  return {row.errc, std::move(context)};
}

}  // namespace aster
