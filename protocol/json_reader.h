#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

/// Reads members of JSON objects with one kind of error. For codecs (.cpp files) only: it is the
/// one header that shows Boost.JSON.
namespace aster {

/// The whole text as one JSON value, at most 32 levels deep. bad_request, too_large.
Result<boost::json::value> parse_json(std::string_view text, size_t limit);
/// The same, and it must be an object.
Result<boost::json::object> parse_json_object(std::string_view text, size_t limit);

/// Reads members of one object; the first failure is kept, later reads then do nothing. `null` and
/// absent are the same.
class JsonReader {
 public:
  explicit JsonReader(const boost::json::object& object) : object_(object) {}

  void required(std::string_view name, std::string& out);
  void required(std::string_view name, bool& out);
  void required(std::string_view name, int64_t& out);
  void required(std::string_view name, uint64_t& out);
  void required(std::string_view name, std::vector<std::string>& out);

  /// Leaves `out` as it is when the member is absent; the wrong type is a failure still.
  template <class T>
  void optional(std::string_view name, T& out) {
    if (find(name)) required(name, out);
  }
  template <class T>
  void optional(std::string_view name, std::optional<T>& out) {
    if (find(name)) required(name, out.emplace());
  }
  /// nullptr when absent or no object.
  const boost::json::object* object(std::string_view name) const;

  /// `value`, or the first failure.
  template <class T>
  Result<T> finish(T value) {
    if (error_) return std::move(*error_);
    return value;
  }

 private:
  const boost::json::value* find(std::string_view name) const;
  const boost::json::value* demand(std::string_view name);
  void wrong_type(std::string_view name, std::string_view wanted);

  const boost::json::object& object_;
  std::optional<Error> error_;
};

}  // namespace aster
