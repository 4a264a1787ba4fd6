#include "protocol/json_reader.h"

#include <boost/json/parse.hpp>

namespace aster {

namespace json = boost::json;

Result<json::value> parse_json(std::string_view text, size_t limit) {
  if (text.size() > limit) {
    return fail(Errc::too_large, "JSON text is larger than " + std::to_string(limit) + " bytes");
  }
  json::error_code error;
  json::value value =
      json::parse({text.data(), text.size()}, error, {}, json::parse_options{.max_depth = 32});
  if (error) return fail(Errc::bad_request, "malformed JSON");
  return value;
}

Result<json::object> parse_json_object(std::string_view text, size_t limit) {
  ASTER_TRY(json::value value, parse_json(text, limit));
  if (!value.is_object()) return fail(Errc::bad_request, "JSON object expected");
  return std::move(value.get_object());
}

const json::value* JsonReader::find(std::string_view name) const {
  const json::value* value = object_.if_contains({name.data(), name.size()});
  return value && !value->is_null() ? value : nullptr;
}

const json::object* JsonReader::object(std::string_view name) const {
  const json::value* value = find(name);
  return value ? value->if_object() : nullptr;
}

const json::value* JsonReader::demand(std::string_view name) {
  if (error_) return nullptr;
  const json::value* value = find(name);
  if (!value) error_ = fail(Errc::bad_request, "missing member '" + std::string(name) + "'");
  return value;
}

void JsonReader::wrong_type(std::string_view name, std::string_view wanted) {
  error_ =
      fail(Errc::bad_request, "member '" + std::string(name) + "' must be " + std::string(wanted));
}

void JsonReader::required(std::string_view name, std::string& out) {
  const json::value* value = demand(name);
  if (!value) return;
  if (!value->is_string()) return wrong_type(name, "a string");
  const json::string& text = value->get_string();
  out.assign(text.data(), text.size());
}

void JsonReader::required(std::string_view name, bool& out) {
  const json::value* value = demand(name);
  if (!value) return;
  if (!value->is_bool()) return wrong_type(name, "true or false");
  out = value->get_bool();
}

void JsonReader::required(std::string_view name, int64_t& out) {
  const json::value* value = demand(name);
  if (!value) return;
  if (!value->is_int64()) return wrong_type(name, "a signed 64-bit number");
  out = value->get_int64();
}

void JsonReader::required(std::string_view name, uint64_t& out) {
  const json::value* value = demand(name);
  if (!value) return;
  if (value->is_uint64()) {
    out = value->get_uint64();
  } else if (value->is_int64() && value->get_int64() >= 0) {
    out = static_cast<uint64_t>(value->get_int64());
  } else {
    wrong_type(name, "an unsigned 64-bit number");
  }
}

void JsonReader::required(std::string_view name, std::vector<std::string>& out) {
  const json::value* value = demand(name);
  if (!value) return;
  if (!value->is_array()) return wrong_type(name, "an array of strings");
  out.clear();
  out.reserve(value->get_array().size());
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return wrong_type(name, "an array of strings");
    out.emplace_back(item.get_string().data(), item.get_string().size());
  }
}

}  // namespace aster
