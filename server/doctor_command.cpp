#include "server/doctor_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "protocol/base/config.h"
#include "protocol/base/progress_line.h"
#include "protocol/client/curl_http_client.h"
#include "server/db/database.h"
#include "server/db/dead_objects.h"
#include "server/db/node_store.h"
#include "server/db/policy_store.h"
#include "server/diagnosis.h"
#include "server/follower/binding_store.h"
#include "server/http/listen_options.h"
#include "server/http/tls.h"
#include "server/primary/inspection.h"
#include "server/primary/policy_json.h"
#include "server/primary/s3_storage.h"

namespace aster {
namespace {

namespace filesystem = std::filesystem;

/// Signed requests are refused beyond 300 s; warn long before.
constexpr int64_t kSkewWarning = 60;
constexpr int64_t kSkewMost = 300;
constexpr uint64_t kSpaceWarning = 5ull << 30;
constexpr uint64_t kSpaceLeast = 512ull << 20;
/// Certificates are renewed long before: one that has so little left was forgotten.
constexpr int64_t kCertificateDays = 14;
/// What the collector could not remove for so long waits for a node.
constexpr std::chrono::hours kGarbageAge{24};

/// Of what cannot be read although the database as such can.
constexpr const char* kDatabaseWayOut =
    "is another program at work on it? Else aster_drive restore a backup";

std::string text_of(const Error& error) {
  return error.context.empty() ? error.message() : error.context;
}

void check_config_file(const Config& config, Diagnosis& diagnosis) {
  struct stat st {};
  const std::string file = config.file().string();
  if (::stat(file.c_str(), &st) == 0 && (st.st_mode & 077) != 0) {
    diagnosis.wrong("configuration", file + " holds secrets and others may read it",
                    "chmod 600 " + file);
  }
  for (const std::string& key : config.ignored()) {
    diagnosis.warn("configuration", key + " has no effect here", "remove it from " + file);
  }
  diagnosis.ok("configuration", file + ", mode " + config.text("server.start_mode"));
}

/// What the server would listen with: addresses, proxies, certificate.
void check_listening(const Config& config, const DoctorSenses& senses, Diagnosis& diagnosis) {
  const Result<http::ServerOptions> options = http::listen_options(config);
  if (!options.ok()) {
    diagnosis.wrong("listening", text_of(options.error()),
                    "the server will not start: see aster-config(5)");
    return;
  }
  if (!options->tls) return;
  const http::TlsIdentity::Facts facts = options->tls->facts();
  const int64_t now = senses.clock.now_seconds();
  const int64_t days = (facts.not_after - now) / (24 * 3600);
  const std::string text = facts.subject + ", good for " + std::to_string(days) + " days";
  const std::string renew = "put a new one in its place and run: systemctl reload aster_drive";
  if (facts.not_after <= now) {
    diagnosis.wrong("certificate", facts.subject + " has expired", renew);
  } else if (days < kCertificateDays) {
    diagnosis.warn("certificate", text, renew);
  } else {
    diagnosis.ok("certificate", text);
  }
}

void check_space(const std::string& what, const filesystem::path& folder,
                 const DoctorSenses& senses, Diagnosis& diagnosis) {
  std::error_code error;
  const uint64_t available = senses.space(folder, error);
  if (error) {
    diagnosis.wrong(what, folder.string() + ": " + error.message(),
                    "is the disk mounted, and may this user read it?");
    return;
  }
  const std::string text = std::to_string(available >> 20) + " MiB free in " + folder.string();
  if (available < kSpaceLeast) {
    diagnosis.wrong(what, text, "free space: writes are about to fail");
  } else if (available < kSpaceWarning) {
    diagnosis.warn(what, text, "free space soon");
  } else {
    diagnosis.ok(what, text);
  }
}

/// Seconds that the other clock is ahead, by the Date of its answer; nullopt when it has none.
std::optional<int64_t> skew_of(const HttpClientResponse& response, int64_t now) {
  const std::string* date = find_header(response.headers, "Date");
  std::tm utc{};
  if (date == nullptr || ::strptime(date->c_str(), "%a, %d %b %Y %H:%M:%S GMT", &utc) == nullptr) {
    return std::nullopt;
  }
  return ::timegm(&utc) - now;
}

/// Does the server at `url` answer, and is its clock right?
void check_peer(HttpClient& http, const std::string& topic, const std::string& url,
                const DoctorSenses& senses, Diagnosis& diagnosis) {
  diagnosis.begin("asking " + topic);
  HttpClientRequest request;
  request.url = url + "/health";
  request.total_timeout = std::chrono::seconds(10);
  const Result<HttpClientResponse> answer = run_blocking(http.send(std::move(request)));
  if (!answer.ok()) {
    diagnosis.wrong(topic, url + ": " + text_of(answer.error()),
                    "is it running, and is the URL right as seen from here?");
    return;
  }
  if (answer->status != 200) {
    diagnosis.wrong(topic, url + "/health answers with status " + std::to_string(answer->status),
                    "is another program behind this URL?");
    return;
  }
  const int64_t skew = skew_of(*answer, senses.clock.now_seconds()).value_or(0);
  const std::string apart =
      std::to_string(std::abs(skew)) + " s " + (skew > 0 ? "ahead of" : "behind") + " this one";
  if (std::abs(skew) >= kSkewMost) {
    diagnosis.wrong(topic, "its clock is " + apart + ": signatures are refused",
                    "set both clocks by NTP");
  } else if (std::abs(skew) >= kSkewWarning) {
    diagnosis.warn(topic, "its clock is " + apart, "set both clocks by NTP");
  } else {
    diagnosis.ok(topic, url + " answers");
  }
}

void check_nodes(const Config& config, db::Database& database, Executor& executor,
                 const DoctorSenses& senses, Diagnosis& diagnosis) {
  db::NodeStore store(database, executor, senses.clock);
  CurlHttpClient http({.ca_file = config.path("remote.ca_file").string()}, executor);
  const Result<std::vector<db::NodeRow>> nodes = run_blocking(store.nodes());
  if (!nodes.ok()) {
    diagnosis.wrong("nodes", text_of(nodes.error()), kDatabaseWayOut);
    return;
  }
  for (const db::NodeRow& node : *nodes) {
    const std::string topic = "node " + node.name;
    if (!node.enabled) {
      diagnosis.warn(topic, "disabled: its data cannot be read or written",
                     "aster node enable " + node.name);
    } else if (!node.enrolled) {
      diagnosis.warn(topic, "not enrolled yet", "aster node enroll-command " + node.name);
    } else if (node.base_url.empty()) {
      diagnosis.wrong(topic, "has no base URL: this server cannot reach it",
                      "aster node set " + node.name + " --base-url URL");
    } else {
      check_peer(http, topic, node.base_url, senses, diagnosis);
      if (!node.last_error.empty()) {
        diagnosis.warn(topic, "the last probe said: " + node.last_error,
                       "aster node test " + node.name);
      }
    }
  }
}

/// Whether the server's own keys list and write each bucket; nothing stays in it.
void check_buckets(const Config& config, const std::vector<db::PolicyRow>& policies,
                   Executor& executor, Diagnosis& diagnosis) {
  CurlHttpClient http({.ca_file = config.path("remote.ca_file").string()}, executor);
  primary::S3Storage buckets(http, executor);
  for (const db::PolicyRow& row : policies) {
    if (row.driver != "s3") continue;
    const std::string topic = "policy " + row.name;
    const primary::Policy policy = primary::parse_policy(row);
    const Result<void> usable = run_blocking(buckets.check(policy));
    if (usable.ok()) {
      diagnosis.ok(topic, "bucket " + row.s3.bucket + " can be listed and written");
    } else {
      diagnosis.wrong(topic, text_of(usable.error()),
                      "aster policy set-credentials " + row.name +
                          ", or see that the service answers from here");
    }
  }
}

void check_policies(const Config& config, db::Database& database, Executor& executor,
                    const DoctorSenses& senses, Diagnosis& diagnosis) {
  db::PolicyStore store(database, executor, senses.clock);
  const Result<std::vector<db::PolicyRow>> policies = run_blocking(store.policies());
  if (!policies.ok()) {
    diagnosis.wrong("policies", text_of(policies.error()), kDatabaseWayOut);
    return;
  }
  check_buckets(config, *policies, executor, diagnosis);
  const auto chosen = std::find_if(policies->begin(), policies->end(),
                                   [](const db::PolicyRow& policy) { return policy.is_default; });
  if (chosen != policies->end()) {
    diagnosis.ok("policies", "new files go to " + chosen->name);
  } else {
    diagnosis.wrong("policies", "there is no default: files cannot be stored",
                    "aster policy set-default NAME, or aster policy add --help");
  }
  const bool stores_here =
      std::any_of(policies->begin(), policies->end(),
                  [](const db::PolicyRow& policy) { return policy.driver == "local"; });
  if (stores_here) {
    check_space("objects", config.path("server.primary.local_root"), senses, diagnosis);
  }
}

void check_garbage(db::Database& database, const DoctorSenses& senses, Diagnosis& diagnosis) {
  const int64_t before = senses.clock.now_ns() - std::chrono::nanoseconds(kGarbageAge).count();
  const Result<uint64_t> stuck = database.read(
      [&](db::Txn& txn) -> Result<uint64_t> { return db::count_dead_objects(txn, before); });
  if (!stuck.ok()) {
    diagnosis.wrong("collector", text_of(stuck.error()), kDatabaseWayOut);
  } else if (*stuck > 0) {
    diagnosis.warn("collector",
                   std::to_string(*stuck) + " objects wait for their removal for over a day",
                   "nodes that are away or disabled keep their garbage; is the server running?");
  } else {
    diagnosis.ok("collector", "no garbage is waiting");
  }
}

void check_namespace(const Config& config, Diagnosis& diagnosis) {
  diagnosis.begin("checking the namespace");
  const Result<primary::Inspection> inspection = primary::inspect(config, {});
  if (!inspection.ok()) {
    diagnosis.wrong("namespace", text_of(inspection.error()), kDatabaseWayOut);
    return;
  }
  for (const db::Finding& finding : inspection->findings) {
    diagnosis.wrong(
        "namespace", finding.rule + ": " + std::to_string(finding.count),
        finding.repairable ? "aster_drive check --repair" : "aster_drive check says where");
  }
  if (inspection->findings.empty()) diagnosis.ok("namespace", "all its rules hold");
}

void check_primary(const Config& config, const DoctorSenses& senses, Diagnosis& diagnosis) {
  const auto place = db::parse_database_url(config.database_url());
  if (!place.ok()) {
    diagnosis.wrong("database", text_of(place.error()), "set database.url");
    return;
  }
  if (!filesystem::exists(place->path)) {
    diagnosis.wrong("database", place->path + " is not there yet",
                    "start the server once, or aster_drive restore a backup");
    return;
  }
  check_space("database", filesystem::absolute(place->path).parent_path(), senses, diagnosis);
  Executor executor({.name = "doctor", .threads = 2});
  db::DatabaseOptions options{.url = config.database_url()};
  const auto database = db::Database::open(std::move(options), executor);
  if (!database.ok()) {
    diagnosis.wrong("database", text_of(database.error()), "aster_drive restore a backup");
    return;
  }
  diagnosis.begin("reading the database");
  const Result<std::string> sound = (*database)->read([](db::Txn& txn) -> Result<std::string> {
    db::Query q = txn.query("PRAGMA integrity_check(1)");
    return q.next() ? q.text(0) : std::string("no answer");
  });
  if (!sound.ok() || *sound != "ok") {
    diagnosis.wrong("database", sound.ok() ? *sound : text_of(sound.error()),
                    "aster_drive restore a backup");
    return;
  }
  diagnosis.ok("database", place->path + " is sound");
  check_namespace(config, diagnosis);
  check_policies(config, **database, executor, senses, diagnosis);
  check_nodes(config, **database, executor, senses, diagnosis);
  check_garbage(**database, senses, diagnosis);
}

void check_binding(HttpClient& http, const follower::BindingStore& store,
                   const follower::Binding& binding, const DoctorSenses& senses,
                   Diagnosis& diagnosis) {
  const std::string topic = "primary " + binding.name;
  if (!binding.is_enabled) {
    diagnosis.warn(topic, "the primary has disabled this node",
                   "enable it at the primary: aster node enable");
  }
  check_peer(http, topic, binding.master_url, senses, diagnosis);
  bool has_default = false;
  for (const follower::Target& target : store.targets(binding.id)) {
    has_default |= target.info.is_default;
    if (target.info.last_error.empty()) continue;
    diagnosis.wrong(topic, "target " + target.info.name + ": " + target.info.last_error,
                    "mend what it names, or aster target remove at the primary");
  }
  if (!has_default) {
    diagnosis.wrong(topic, "there is no default target: uploads are refused",
                    "at the primary: aster target add NODE --name NAME --default");
  }
}

void check_follower(const Config& config, const DoctorSenses& senses, Diagnosis& diagnosis) {
  check_space("objects", config.path("server.follower.remote_storage_target_local_root"), senses,
              diagnosis);
  const auto place = db::parse_database_url(config.database_url());
  if (!place.ok() || !filesystem::exists(place->path)) {
    diagnosis.wrong("database",
                    place.ok() ? place->path + " is not there yet" : text_of(place.error()),
                    "enrol this follower: aster_drive node enroll --help");
    return;
  }
  const auto store = follower::BindingStore::open(place->path, senses.clock);
  if (!store.ok()) {
    diagnosis.wrong("database", text_of(store.error()),
                    "is it this user's and this program's? Else move it away and enrol anew");
    return;
  }
  diagnosis.ok("database", place->path);
  Executor executor({.name = "doctor", .threads = 2});
  CurlHttpClient http({.ca_file = config.path("remote.ca_file").string()}, executor);
  for (const follower::Binding& binding : (*store)->bindings()) {
    check_binding(http, **store, binding, senses, diagnosis);
  }
  if ((*store)->bindings().empty()) {
    diagnosis.wrong("primary", "this follower belongs to none", "aster_drive node enroll --help");
  }
}

void examine(const DoctorCommand& command, const DoctorSenses& senses, Diagnosis& diagnosis) {
  if (!filesystem::exists(command.config_file)) {
    diagnosis.wrong("configuration", command.config_file.string() + " is not there",
                    "name it with --config, or start the server once");
    return;
  }
  const Result<Config> config = Config::load(command.config_file, Config::process_environment());
  if (!config.ok()) {
    diagnosis.wrong("configuration", text_of(config.error()),
                    "mend it by aster-config(5), as the user that runs the server");
    return;
  }
  check_config_file(*config, diagnosis);
  check_listening(*config, senses, diagnosis);
  if (config->text("server.start_mode") == "primary") {
    check_primary(*config, senses, diagnosis);
  } else {
    check_follower(*config, senses, diagnosis);
  }
}

}  // namespace

int run_doctor(const DoctorCommand& command, std::ostream& out, std::ostream& errors) {
  const SystemClock clock;
  return run_doctor(command,
                    {clock,
                     [](const filesystem::path& folder, std::error_code& error) {
                       return uint64_t{filesystem::space(folder, error).available};
                     },
                     terminal_behind(errors, STDERR_FILENO)},
                    out);
}

int run_doctor(const DoctorCommand& command, const DoctorSenses& senses, std::ostream& out) {
  Diagnosis diagnosis(senses.terminal);
  examine(command, senses, diagnosis);
  diagnosis.end();
  if (command.json) {
    diagnosis.print_json(out);
  } else {
    diagnosis.print(out);
  }
  return diagnosis.is_anything_wrong() ? 1 : 0;
}

}  // namespace aster
