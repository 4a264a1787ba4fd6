#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "protocol/base/check.h"
#include "protocol/base/errc.h"

namespace aster {

/// An expected failure. `code` says what happened, `context` what was being done, for people.
/// `context` must never hold a secret: it reaches logs and error answers.
struct [[nodiscard]] Error {
  Errc code;
  std::string context;

  /// "not_found: object files/a"
  std::string message() const {
    return context.empty() ? std::string(to_string(code))
                           : std::string(to_string(code)) + ": " + context;
  }
};

/// A T or an Error. value() and error() on the wrong side are bugs and stop the program.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <class U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error> &&
           !std::is_same_v<std::remove_cvref_t<U>, Result>) Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  T& value() & {
    ASTER_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    ASTER_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    ASTER_CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    ASTER_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    ASTER_CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }
  /// True for a failure with this code.
  bool failed_with(Errc code) const noexcept { return !ok() && error().code == code; }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const noexcept { return error_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  void value() const { ASTER_CHECK(ok()); }
  const Error& error() const& {
    ASTER_CHECK(!ok());
    return *std::get_if<1>(&error_);
  }
  Error&& error() && {
    ASTER_CHECK(!ok());
    return std::move(*std::get_if<1>(&error_));
  }
  bool failed_with(Errc code) const noexcept { return !ok() && error().code == code; }

 private:
  std::variant<std::monostate, Error> error_;
};

/// Success of a Result<void>: `return ok();`
inline Result<void> ok() {
  return {};
}

/// Fails with `code`: `return fail(Errc::not_found, "object " + key);`
inline Error fail(Errc code, std::string context = {}) {
  return {code, std::move(context)};
}

/// From errno, as it stands after a failed system call: `return fail_errno("open " + path);`
Error fail_errno(std::string context);
Error fail_errno(int err, std::string context);

}  // namespace aster

#define ASTER_CONCAT_(a, b) a##b
#define ASTER_CONCAT(a, b) ASTER_CONCAT_(a, b)
#define ASTER_TRY_PICK_(a, b, name, ...) name
#define ASTER_TRY_IMPL1_(tmp, ret, expr)       \
  do {                                         \
    auto tmp = (expr);                         \
    if (!tmp.ok()) ret std::move(tmp).error(); \
  } while (false)
#define ASTER_TRY_IMPL2_(tmp, ret, decl, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) ret std::move(tmp).error();   \
  decl = std::move(tmp).value()
#define ASTER_TRY1_(expr) ASTER_TRY_IMPL1_(ASTER_CONCAT(aster_try_, __COUNTER__), return, expr)
#define ASTER_TRY2_(decl, expr) \
  ASTER_TRY_IMPL2_(ASTER_CONCAT(aster_try_, __COUNTER__), return, decl, expr)
#define ASTER_CO_TRY1_(expr) \
  ASTER_TRY_IMPL1_(ASTER_CONCAT(aster_try_, __COUNTER__), co_return, expr)
#define ASTER_CO_TRY2_(decl, expr) \
  ASTER_TRY_IMPL2_(ASTER_CONCAT(aster_try_, __COUNTER__), co_return, decl, expr)

/// Hands an error up: `ASTER_TRY(auto x, f());` declares x, `ASTER_TRY(g());` is for Result<void>.
/// Extra parentheses are needed round an expression with a comma outside parentheses.
#define ASTER_TRY(...) ASTER_TRY_PICK_(__VA_ARGS__, ASTER_TRY2_, ASTER_TRY1_, 0)(__VA_ARGS__)
/// The same inside a coroutine: `ASTER_CO_TRY(auto x, co_await f());`
#define ASTER_CO_TRY(...) \
  ASTER_TRY_PICK_(__VA_ARGS__, ASTER_CO_TRY2_, ASTER_CO_TRY1_, 0)(__VA_ARGS__)
