#pragma once

#include <boost/json.hpp>
#include <limits>
#include <string>

#include "protocol/base/text.h"
#include "protocol/fs/json_fields.h"

/// Reads messages from parsed JSON. The first fault is kept and everything after it skipped. Inside
/// protocol/fs only.
namespace aster::fs {

class Reader {
 public:
  Reader(const boost::json::object& object, std::string& fault) : object_(object), fault_(fault) {}

  template <class T>
  void operator()(std::string_view name, T& value) {
    const boost::json::value* found = object_.if_contains(name);
    if (found == nullptr) return set_fault(name, "is missing");
    read(name, *found, value);
  }
  template <class T>
  void defaulted(std::string_view name, T& value) {
    if (const auto* found = object_.if_contains(name)) read(name, *found, value);
  }
  template <class T>
  void defaulted(std::string_view name, std::optional<T>& value) {
    const auto* found = object_.if_contains(name);
    if (found == nullptr || found->is_null()) return;
    read(name, *found, value.emplace());
  }
  template <class T>
  void inlined(T& value) {
    fields(*this, value);
  }

 private:
  /// Longest list of anything: no message has a larger one.
  static constexpr size_t kListMax = kReadDirMax;

  void set_fault(std::string_view name, std::string_view what) {
    if (fault_.empty()) fault_ = "field \"" + std::string(name) + "\" " + std::string(what);
  }
  void read(std::string_view name, const boost::json::value& json, bool& out) {
    if (!json.is_bool()) return set_fault(name, "must be true or false");
    out = json.get_bool();
  }
  template <class T>
  requires(std::is_integral_v<T> &&
           !std::is_same_v<T, bool>) void read(std::string_view name,
                                               const boost::json::value& json, T& out) {
    boost::system::error_code error;
    const T value = json.is_number() ? json.to_number<T>(error) : T{};
    if (!json.is_number() || json.is_double() || error) {
      return set_fault(name, "must be a whole number from " +
                                 std::to_string(std::numeric_limits<T>::min()) + " to " +
                                 std::to_string(std::numeric_limits<T>::max()));
    }
    out = value;
  }
  template <class Tag>
  void read(std::string_view name, const boost::json::value& json, NumberId<Tag>& out) {
    read(name, json, out.value);
  }
  template <class Tag>
  void read(std::string_view name, const boost::json::value& json, RandomId<Tag>& out) {
    const auto id = json.is_string() ? RandomId<Tag>::from_hex(json.get_string()) : std::nullopt;
    if (!id) return set_fault(name, "must be 32 hex digits");
    out = *id;
  }
  void read(std::string_view name, const boost::json::value& json, std::string& out) {
    if (json.is_string()) {
      out.assign(json.get_string().data(), json.get_string().size());
      return;
    }
    const auto* object = json.if_object();
    const auto* b64 = object ? object->if_contains("b64") : nullptr;
    auto bytes = b64 && b64->is_string() ? decode_base64(b64->get_string()) : std::nullopt;
    if (!bytes) return set_fault(name, "must be a string or {\"b64\": base64}");
    out = std::move(*bytes);
  }
  void read(std::string_view name, const boost::json::value& json, FileType& out) {
    for (size_t i = 0; i < std::size(kTypeNames); ++i) {
      if (json.is_string() && json.get_string() == kTypeNames[i]) {
        out = static_cast<FileType>(i);
        return;
      }
    }
    set_fault(name, "is no file type");
  }
  void read(std::string_view name, const boost::json::value& json, std::vector<uint32_t>& out) {
    const auto raw = json.is_string() ? decode_base64(json.get_string()) : std::nullopt;
    if (!raw || raw->size() % 4 != 0) return set_fault(name, "must be base64 of 32-bit words");
    out.resize(raw->size() / 4);
    for (size_t i = 0; i < out.size(); ++i) {
      uint32_t word = 0;
      for (size_t k = 4; k-- > 0;) word = word << 8 | static_cast<unsigned char>((*raw)[4 * i + k]);
      out[i] = word;
    }
  }
  template <class T>
  void read(std::string_view name, const boost::json::value& json, std::vector<T>& out) {
    const auto* array = json.if_array();
    if (array == nullptr) return set_fault(name, "must be a list");
    if (array->size() > kListMax) {
      return set_fault(name, "has more than " + std::to_string(kListMax) + " items");
    }
    out.resize(array->size());
    for (size_t i = 0; i < out.size() && fault_.empty(); ++i) read(name, (*array)[i], out[i]);
  }
  template <class T>
  requires std::is_class_v<T>
  void read(std::string_view name, const boost::json::value& json, T& out) {
    const auto* object = json.if_object();
    if (object == nullptr) return set_fault(name, "must be an object");
    Reader inner(*object, fault_);
    inner.inlined(out);
  }

  const boost::json::object& object_;
  std::string& fault_;
};

/// bad_request when `text` is no JSON; depth and duplicate handling as Boost.JSON does by default.
Result<boost::json::value> parse_json(std::string_view text);

/// The whole of `json` as one message.
template <class T>
Result<T> read_message(const boost::json::value& json) {
  const auto* object = json.if_object();
  if (object == nullptr) return fail(Errc::bad_request, "JSON object expected");
  T message;
  std::string fault;
  Reader reader(*object, fault);
  reader.inlined(message);
  if (!fault.empty()) return fail(Errc::bad_request, std::move(fault));
  return message;
}

}  // namespace aster::fs
