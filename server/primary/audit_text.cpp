#include "server/primary/audit_text.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>
#include <iterator>

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr std::string_view kHidden = "***";
constexpr std::string_view kSecretWords[] = {"secret",     "password",   "passphrase", "token",
                                             "credential", "access_key", "private"};

bool is_secret(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(std::begin(kSecretWords), std::end(kSecretWords),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

/// "https://***@host" of "https://user:password@host".
std::string without_user_info(std::string_view text) {
  std::string out(text);
  const size_t scheme = out.find("://");
  if (scheme == std::string::npos) return out;
  const size_t host = scheme + 3;
  const size_t at = out.substr(0, out.find('/', host)).rfind('@');
  if (at != std::string::npos && at > host) out.replace(host, at - host, kHidden);
  return out;
}

/// As it is where it can be read in one way only, else as JSON.
std::string as_word(const std::string& text) {
  constexpr std::string_view kPlain = "._:/@%+-*";
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return std::isalnum(c) || kPlain.find(static_cast<char>(c)) != std::string_view::npos;
  });
  return plain ? text : json::serialize(json::string(text));
}

void hide_secrets(json::value& value) {
  if (auto* const text = value.if_string()) {
    *text = without_user_info(std::string_view(text->data(), text->size()));
  } else if (auto* const items = value.if_array()) {
    for (json::value& item : *items) hide_secrets(item);
  } else if (auto* const members = value.if_object()) {
    for (auto& member : *members) {
      if (is_secret(member.key())) {
        member.value() = kHidden;
      } else {
        hide_secrets(member.value());
      }
    }
  }
}

void add_changes(std::string& out, const std::string& path, const json::value& value) {
  if (const auto* const members = value.if_object()) {
    for (const auto& member : *members) {
      const std::string name(member.key());
      add_changes(out, path.empty() ? name : path + "." + name, member.value());
    }
    return;
  }
  const bool text = value.is_string();
  out += (out.empty() ? "" : " ") + as_word(path) + "=" +
         (text ? as_word(std::string(value.as_string())) : json::serialize(value));
}

}  // namespace

std::string changes_text(std::string_view json_object) {
  boost::system::error_code failed;
  json::value value =
      json::parse(json::string_view(json_object.data(), json_object.size()), failed);
  if (failed || !value.is_object()) return {};
  hide_secrets(value);
  std::string out;
  add_changes(out, {}, value);
  if (out.size() > kAuditChangesMax) {
    size_t end = kAuditChangesMax - 3;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80)
      --end;  // whole letters
    out.resize(end);
    out += "...";
  }
  return out;
}

}  // namespace aster::primary
