#include "server/enroll_command.h"

#include <unistd.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

#include "protocol/base/config.h"
#include "protocol/client/curl_http_client.h"
#include "server/follower/follower.h"
#include "server/follower/node_enroll.h"

namespace aster {
namespace {

namespace json = boost::json;
using follower::BindingStore;

/// The configuration of a follower: made when there is none, refused when it is a primary's.
Result<Config> follower_config(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    ASTER_TRY(create_config(file, {.start_mode = "follower", .host = "0.0.0.0"}));
  }
  ASTER_TRY(Config config, Config::load(file, Config::process_environment()));
  if (config.text("server.start_mode") != "follower") {
    return fail(Errc::precondition_failed,
                config.file().string() + ": server.start_mode is \"" +
                    config.text("server.start_mode") +
                    "\"; only a follower can be enrolled. Set start_mode = \"follower\", or name "
                    "another file with --config");
  }
  return config;
}

json::object describe(const Config& config, const BindingStore::Enrolled& enrolled) {
  const auto& binding = enrolled.binding;
  return {{"action", enrolled.created ? "created" : "updated"},
          {"binding_id", binding.id},
          {"binding_name", binding.name},
          {"master_url", binding.master_url},
          {"access_key", binding.access_key},
          {"config_path", config.file().string()},
          {"server_host", config.text("server.host")},
          {"server_port", config.integer("server.port")},
          {"readiness_check_path", "/health/ready"},
          {"connectivity_hint",
           "Restart this follower, then test the connection at the primary. The primary must reach "
           "this server under the node's base URL."}};
}

/// Two-space indentation of objects that hold only scalars and objects.
void write_pretty(std::ostream& out, const json::object& object, int depth) {
  const std::string pad(static_cast<size_t>(depth) * 2 + 2, ' ');
  out << "{\n";
  size_t left = object.size();
  for (const auto& [key, value] : object) {
    out << pad << json::serialize(json::value(key)) << ": ";
    if (value.is_object()) {
      write_pretty(out, value.get_object(), depth + 1);
    } else {
      out << json::serialize(value);
    }
    out << (--left ? ",\n" : "\n");
  }
  out << std::string(static_cast<size_t>(depth) * 2, ' ') << "}";
}

void write_human(std::ostream& out, const json::object& answer) {
  if (answer.at("ok").as_bool()) {
    const json::object& data = answer.at("data").as_object();
    const auto text = [&](const char* name) { return data.at(name).as_string().c_str(); };
    out << "Binding " << text("binding_name") << " " << text("action") << ".\n"
        << "  primary:       " << text("master_url") << "\n"
        << "  access key:    " << text("access_key") << "\n"
        << "  configuration: " << text("config_path") << "\n"
        << text("connectivity_hint") << "\n";
  } else {
    out << "aster_drive: " << answer.at("error").at("message").as_string().c_str() << "\n";
  }
}

void write_answer(std::ostream& out, const std::string& format, const json::object& answer) {
  const bool human = format == "human" || (format == "auto" && ::isatty(STDOUT_FILENO) == 1);
  if (human) {
    write_human(out, answer);
  } else if (format == "pretty-json") {
    write_pretty(out, answer, 0);
    out << "\n";
  } else {
    out << json::serialize(answer) << "\n";
  }
}

json::object failure(const Error& error) {
  const std::string code(to_string(error.code));
  return {{"ok", false},
          {"error", json::object{{"code", code},
                                 {"error_type", "enrollment_failed"},
                                 {"message", error.context.empty() ? code : error.context}}}};
}

/// Everything that can fail here is tried before the one-time token is spent.
Result<json::object> enroll(const EnrollCommand& command) {
  ASTER_TRY(const Config config, follower_config(command.config_file));
  const std::string url = command.database_url.empty()
                              ? config.database_url()
                              : config.absolute_database_url(command.database_url);
  ASTER_TRY(const std::string path, follower::follower_database_path(url));
  const SystemClock clock;
  ASTER_TRY(const auto store, BindingStore::open(path, clock));
  Executor executor({.name = "enroll", .threads = 1});
  CurlHttpClient http({.ca_file = config.path("remote.ca_file").string()}, executor);
  auto result =
      run_blocking(follower::enroll_node(http, *store, {command.master_url, command.token}));
  if (result.failure) return std::move(result.failure->error);
  return json::object{{"ok", true}, {"data", describe(config, *result.enrolled)}};
}

}  // namespace

int run_enroll(const EnrollCommand& command, std::ostream& out) {
  const auto answer = enroll(command);
  write_answer(out, command.output_format, answer.ok() ? *answer : failure(answer.error()));
  return answer.ok() ? 0 : 1;
}

}  // namespace aster
