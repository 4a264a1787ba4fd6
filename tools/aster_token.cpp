#include <boost/json/object.hpp>
#include <charconv>

#include "protocol/base/secret_file.h"
#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster token ...`: tokens with limits for scripts and mounts, of whoever is logged in.
namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kTokensPath = "/api/v1/auth/tokens";

struct TokenOptions {
  std::string name;
  std::vector<std::string> paths;
  std::string expires;
  std::string output;
  bool read_only = false;
};

/// Seconds of "90d", "12h", "30m", "never" (0).
Result<uint64_t> lifetime_of(const std::string& text) {
  if (text == "never") return uint64_t{0};
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  uint64_t factor = 0;
  if (unit == "d") factor = 86400;
  if (unit == "h") factor = 3600;
  if (unit == "m") factor = 60;
  if (error != std::errc() || factor == 0 || number == 0 || number > UINT32_MAX) {
    return fail(Errc::bad_request,
                "--expires " + text + ": give a time such as 30d, 12h or 30m, or 'never'");
  }
  return number * factor;
}

Result<Report> create_token(Session& session, const TokenOptions& options) {
  json::object body{{"name", options.name}, {"read_only", options.read_only}};
  if (!options.paths.empty()) {
    body["paths"] = json::array(options.paths.begin(), options.paths.end());
  }
  if (!options.expires.empty()) {
    ASTER_TRY(body["expires_in"], lifetime_of(options.expires));
  }
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::value made, api.post(kTokensPath, body, "create token '" + options.name + "'"));
  const json::value* token = made.is_object() ? made.get_object().if_contains("token") : nullptr;
  if (token == nullptr || !token->is_string()) {
    return fail(Errc::corrupt, api.server() + " answered without a token");
  }
  const std::string secret = token->get_string().c_str();
  std::string text = "token '" + options.name + "' is made, good until " +
                     (field(made, "expires_at") == "-" ? "revoked" : field(made, "expires_at")) +
                     "\n";
  if (options.output.empty()) {
    text += secret + "\n(shown only now)\n";
  } else {
    made.get_object().erase("token");
    ASTER_TRY(write_private_file(options.output, secret + "\n"));
    text += "it is in " + options.output + "\n";
  }
  return Report{std::move(made), std::move(text), {}};
}

std::string places_of(const json::value& token) {
  std::string out;
  const json::value* paths = token.is_object() ? token.get_object().if_contains("paths") : nullptr;
  if (paths == nullptr || !paths->is_array()) return "-";
  for (const json::value& path : paths->get_array()) {
    if (path.is_string()) out += (out.empty() ? "" : " ") + printable(path.get_string());
  }
  return out.empty() ? "-" : out;
}

Result<Report> list_tokens(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array tokens, api.list(kTokensPath, "list tokens"));
  Table table({"ID", "NAME", "READ-ONLY", "PATHS", "CREATED", "LAST USED", "EXPIRES"});
  for (const json::value& token : tokens) {
    table.add({field(token, "id"), field(token, "name"), field(token, "read_only"),
               places_of(token), field(token, "created_at"), field(token, "last_used_at"),
               field(token, "expires_at")});
  }
  return Report{std::move(tokens), table.text(), {}};
}

Result<Report> revoke_token(Session& session, const TokenOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::array tokens, api.list(kTokensPath, "list tokens"));
  ASTER_TRY(const json::object token, find_item(tokens, "token", options.name, {"id"}));
  ASTER_TRY(json::value done,
            api.remove(item_path(kTokensPath, token), "revoke token '" + options.name + "'"));
  return Report{std::move(done), "token '" + options.name + "' is revoked\n", {}};
}

}  // namespace

void add_token_commands(Commands& commands) {
  auto options = std::make_shared<TokenOptions>();
  CLI::App* group = commands.group("token", "Your tokens for scripts and mounts");
  CLI::App* create = commands.add(group, "create", "Make a token; it is shown once",
                                  [options](Session& s) { return create_token(s, *options); });
  create->add_option("--name", options->name, "Name for lists")->required();
  create->add_flag("--read-only", options->read_only, "It may change nothing");
  create
      ->add_option("--path", options->paths,
                   "Folder that it is limited to: /FOLDER, team:NAME or team:NAME/FOLDER; may be "
                   "given several times")
      ->option_text("PREFIX")
      ->allow_extra_args(false);
  create->add_option("--expires", options->expires,
                     "How long it is good: 30d, 12h, 30m or 'never' (default: 90d)");
  create->add_option("--output", options->output,
                     "Write it to this file, which only you may read, instead of showing it");
  commands.add(group, "list", "List your tokens and logins", list_tokens);
  CLI::App* revoke = commands.add(group, "revoke", "End a token at once",
                                  [options](Session& s) { return revoke_token(s, *options); });
  revoke->add_option("NAME", options->name, "Name or id of the token")->required();
}

}  // namespace aster::cli
