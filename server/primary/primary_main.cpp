#include "server/primary/primary_main.h"

#include <algorithm>
#include <thread>

#include "protocol/base/log.h"
#include "protocol/base_url.h"
#include "protocol/client/curl_http_client.h"
#include "server/db/database.h"
#include "server/http/http_metrics.h"
#include "server/http/listen_options.h"
#include "server/http/metrics_route.h"
#include "server/http/tls.h"
#include "server/primary/admin_api.h"
#include "server/primary/auth_api.h"
#include "server/primary/client_api.h"
#include "server/primary/data_relay.h"
#include "server/primary/enrollment_api.h"
#include "server/primary/interruptible_http_client.h"
#include "server/primary/namespace_meter.h"
#include "server/primary/node_control_api.h"
#include "server/primary/policy_group_api.h"
#include "server/primary/policy_migration_api.h"
#include "server/primary/primary_metrics.h"
#include "server/primary/prober.h"
#include "server/primary/s3_storage.h"
#include "server/primary/team_api.h"
#include "server/primary/token_api.h"
#include "server/primary/tree_quota_api.h"
#include "server/storage/local_target.h"

namespace aster::primary {
namespace {

constexpr const char* kRelayKeySetting = "relay_key";
constexpr size_t kDiskThreads = 4;

size_t worker_count(const Config& config) {
  const auto asked = static_cast<size_t>(config.integer("server.workers"));
  return asked != 0 ? asked : std::max(2u, std::thread::hardware_concurrency());
}

bool is_wildcard(const std::string& host) {
  return host.empty() || host == "0.0.0.0" || host == "::" || host == "[::]";
}

/// Where followers find this server: what the configuration says, else its own address.
Result<std::string> public_url(const Config& config, uint16_t port) {
  const std::string& given = config.text("server.public_url");
  if (!given.empty()) return normalize_master_url(given);
  const std::string& host = config.text("server.host");
  if (is_wildcard(host)) {
    return fail(Errc::precondition_failed,
                "server.public_url is not set: followers would not find this server");
  }
  const bool bare_v6 = host.find(':') != std::string::npos && host.front() != '[';
  return std::string(http::scheme_of(config)) + "://" + (bare_v6 ? "[" + host + "]" : host) + ":" +
         std::to_string(port);
}

Result<std::unique_ptr<db::Database>> open_database(std::string url, Executor& executor) {
  db::DatabaseOptions options{.url = std::move(url)};
  return db::Database::open(std::move(options), executor);
}

KeepOptions keep_options(const Config& config) {
  using std::chrono::seconds;
  const auto days = [&](const char* key) { return std::chrono::hours(24) * config.integer(key); };
  KeepOptions keep;
  keep.trash_age = days("server.primary.trash_days");
  keep.trash_min_age = seconds(config.integer("server.primary.trash_min_age_secs"));
  keep.versions = static_cast<uint32_t>(config.integer("server.primary.versions"));
  keep.version_age = days("server.primary.version_days");
  keep.version_interval = seconds(config.integer("server.primary.version_interval_secs"));
  keep.percent = static_cast<uint32_t>(config.integer("server.primary.keep_percent"));
  return keep;
}

LoginThrottle::Options throttle_options(const Config& config) {
  LoginThrottle::Options throttle;
  if (!config.boolean("rate_limit.enabled")) return throttle;
  throttle.address.burst = static_cast<int>(config.integer("rate_limit.auth.burst_size"));
  throttle.address.interval =
      std::chrono::seconds(config.integer("rate_limit.auth.seconds_per_request"));
  throttle.count_successes = true;
  return throttle;
}

}  // namespace

/// In order of construction; destroyed in reverse.
struct Primary::Parts {
  Parts(const Config& c, PrimaryOptions o) : config(c), options(std::move(o)) {}

  Result<void> open();
  Result<void> make_front_ends();
  Result<void> add_routes();
  Result<void> listen();
  Task<Result<void>> prove_admin(http::Request& request);
  std::string metrics_text();
  Task<Result<void>> check_ready();
  Task<void> take_over_enrollment(NodeId node, bool first);

  const Config config;
  const PrimaryOptions options;
  SystemClock clock;
  http::Router router;
  Executor work{{.name = "primary", .threads = worker_count(config) * 2}};
  Executor disk{{.name = "disk", .threads = kDiskThreads}};
  std::unique_ptr<db::Database> database;
  std::optional<db::AccountStore> account_store;
  std::optional<db::NodeStore> node_store;
  std::optional<db::PolicyStore> policy_store;
  std::optional<CurlHttpClient> curl;
  std::shared_ptr<InterruptibleHttpClient> http;
  std::optional<FollowerRegistry> registry;
  std::optional<S3Storage> s3;
  std::optional<Policies> policies;
  std::optional<db::PolicyGroupStore> group_store;
  std::optional<PolicyGroups> groups;
  std::optional<RelayUrls> relay_urls;
  std::shared_ptr<storage::LocalTarget> local;
  std::optional<PolicyBackends> backends;
  std::unique_ptr<NamespaceService> namespaces;
  std::optional<Accounts> accounts;
  std::optional<db::TokenStore> token_store;
  std::optional<db::TeamStore> team_store;
  std::optional<Teams> teams;
  std::optional<Workspaces> workspaces;
  std::optional<Enrollment> enrollment;
  std::optional<TargetService> targets;
  std::optional<ApiGate> gate;
  std::optional<AuthApi> auth_api;
  std::optional<TokenApi> token_api;
  std::optional<TreePurger> purger;
  std::optional<TeamApi> team_api;
  std::optional<AdminApi> admin_api;
  std::optional<EnrollmentApi> enrollment_api;
  std::optional<NodeControlApi> node_control_api;
  std::optional<PolicyMigrator> migrator;
  std::optional<PolicyGroupApi> group_api;
  std::optional<PolicyMigrationApi> migration_api;
  std::optional<TreeQuotas> tree_quotas;
  std::optional<TreeQuotaApi> tree_quota_api;
  std::optional<ClientApi> client_api;
  std::optional<DataRelay> relay;
  std::optional<Prober> prober;
  std::vector<std::unique_ptr<FrontEnd>> front_ends;
  std::atomic<uint16_t> port{0};
  std::shared_ptr<http::TlsIdentity> tls;  ///< null: plain HTTP
  std::optional<http::HttpMetrics> http_metrics;
  std::atomic<const http::Server*> listening{nullptr};
  std::unique_ptr<http::Server> server;
};

Result<void> Primary::Parts::open() {
  ASTER_TRY(database, open_database(config.database_url(), work));
  account_store.emplace(*database, work, clock);
  node_store.emplace(*database, work, clock);
  policy_store.emplace(*database, work, clock);
  curl.emplace(CurlHttpClientOptions{.ca_file = config.path("remote.ca_file").string()}, work);
  http = std::make_shared<InterruptibleHttpClient>(*curl);
  registry.emplace(*node_store, *http, work, clock);
  ASTER_TRY(run_blocking(registry->load()));
  s3.emplace(*http, work);
  policies.emplace(*policy_store, *registry, *s3, work);
  ASTER_TRY(run_blocking(policies->load()));
  run_blocking(s3->remove_leftovers(*policies));
  group_store.emplace(*database, work, clock);
  groups.emplace(*group_store, work);
  ASTER_TRY(run_blocking(groups->load()));
  ASTER_TRY(std::string key,
            run_blocking(policy_store->setting_or_store(kRelayKeySetting, random_hex(32))));
  relay_urls.emplace(std::move(key), clock);
  const storage::LocalTarget::Options place{.root = config.path("server.primary.local_root")};
  ASTER_TRY(local, storage::LocalTarget::open(place, disk));
  backends.emplace(*policies, *groups, *registry, *relay_urls, *s3, local, work, clock);
  NamespaceOptions namespace_options;
  namespace_options.keep = keep_options(config);
  namespace_options.directory_policies = config.boolean("server.primary.directory_policies");
  ASTER_TRY(namespaces,
            make_namespace_service(namespace_options, *database, *backends, work, clock));
  AccountOptions account_options{.cost = options.password_cost};
  account_options.hash_threads =
      static_cast<size_t>(config.integer("auth.password_hash_max_concurrency"));
  account_options.throttle = throttle_options(config);
  accounts.emplace(account_options, *account_store, namespaces.get(), work, clock);
  token_store.emplace(*database, work, clock);
  team_store.emplace(*database, work, clock);
  teams.emplace(Teams::Options{}, *team_store, *account_store, *accounts, *namespaces, work, clock);
  workspaces.emplace(*teams, *namespaces);
  enrollment.emplace(
      *node_store, [this] { return public_url(config, port); }, clock,
      [this](NodeId node, bool first) { return take_over_enrollment(node, first); });
  return ok();
}

Result<void> Primary::Parts::make_front_ends() {
  gate.emplace(*accounts);
  const FrontEndParts lent{config,         *gate,     *accounts,   *workspaces,
                           *account_store, *database, *namespaces, *backends,
                           work,           disk,      clock};
  for (const MakeFrontEnd& make : options.front_ends) {
    ASTER_TRY(std::unique_ptr<FrontEnd> made, make(lent));
    front_ends.push_back(std::move(made));
  }
  return ok();
}

Result<void> Primary::Parts::add_routes() {
  targets.emplace(*registry, *node_store);
  auth_api.emplace(*gate, *accounts, *workspaces, *account_store, clock);
  token_api.emplace(*gate, *accounts, *token_store, *account_store, clock);
  purger.emplace(*database, *account_store, work, clock);
  team_api.emplace(*gate, *teams, *team_store, *account_store, *purger, *groups);
  admin_api.emplace(
      *gate, AdminParts{*accounts, *account_store, *node_store, *registry, *enrollment, *targets,
                        *policies, *backends, *groups, *purger});
  enrollment_api.emplace(*enrollment);
  node_control_api.emplace(*registry, clock);
  migrator.emplace(*database, *backends, work, clock);
  group_api.emplace(*gate, *groups, *policies, *account_store, *team_store);
  migration_api.emplace(*gate, *migrator, *policies, *account_store, *team_store, *database, work);
  tree_quotas.emplace(*database, work, clock,
                      [this](uint64_t workspace) { return namespaces->call_back(workspace); });
  tree_quota_api.emplace(*gate, *tree_quotas, *account_store, *team_store);
  client_api.emplace(*gate, *accounts, *workspaces, *namespaces);
  relay.emplace(*backends, *relay_urls);
  for (const auto& front_end : front_ends) front_end->add_routes(router);
  auth_api->add_routes(router);
  token_api->add_routes(router);
  team_api->add_routes(router);
  admin_api->add_routes(router);
  enrollment_api->add_routes(router);
  group_api->add_routes(router);
  migration_api->add_routes(router);
  tree_quota_api->add_routes(router);
  node_control_api->add_routes(router);
  client_api->add_routes(router);
  relay->add_routes(router);
  add_health_routes(router, [this] { return check_ready(); });
  ASTER_TRY(http::NetworkList sources, http::metrics_sources(config));
  http::add_metrics_route(
      router, {std::move(sources), [this](http::Request& request) { return prove_admin(request); },
               [this] { return metrics_text(); }, work});
  http_metrics.emplace(router);
  return ok();
}

Task<Result<void>> Primary::Parts::prove_admin(http::Request& request) {
  ASTER_CO_TRY(const Identity who, co_await gate->identify(request, Access::admin));
  static_cast<void>(who);
  co_return ok();
}

std::string Primary::Parts::metrics_text() {
  metrics::Exposition out;
  out.process("aster_drive primary");
  http_metrics->write(out);
  if (const http::Server* const now = listening) {
    out.gauge("aster_http_connections", "Open connections", {},
              static_cast<double>(now->open_connections()));
  }
  if (const NamespaceMeter* meter = meter_of(*namespaces)) meter->write_metrics(out);
  write_database(out, *database);
  write_nodes(out, *registry);
  write_policies(out, *backends);
  write_exchanges(out, *curl);
  out.gauge("aster_executor_waiting", "Pieces of work that wait for a thread",
            {{"executor", "primary"}}, static_cast<double>(work.waiting()));
  out.gauge("aster_executor_waiting", "Pieces of work that wait for a thread",
            {{"executor", "disk"}}, static_cast<double>(disk.waiting()));
  return out.take();
}

Task<void> Primary::Parts::take_over_enrollment(NodeId node, bool first) {
  const Result<void> refreshed = co_await registry->refresh();
  if (!refreshed.ok()) ASTER_LOG(error, "nodes_not_reloaded", {"err", refreshed.error()});
  if (!first) co_return;
  const auto follower = registry->find(node);
  std::string name = follower.ok() ? (*follower)->row.name : std::to_string(node.value);
  const Result<void> noted =
      co_await account_store->audit(UserId(), "node.enrolled", std::move(name));
  if (!noted.ok()) ASTER_LOG(warn, "audit_not_written", {"err", noted.error()});
}

Result<void> Primary::Parts::listen() {
  ASTER_TRY(http::ServerOptions listen, http::listen_options(config));
  listen.threads = worker_count(config);
  tls = listen.tls;
  listen.observer = &*http_metrics;
  ASTER_TRY(server, http::start_server(listen, router));
  port = server->port();
  listening = server.get();
  return ok();
}

Task<Result<void>> Primary::Parts::check_ready() {
  ASTER_CO_TRY(const auto users, co_await account_store->list_users({.limit = 1}));
  static_cast<void>(users);
  co_return ok();
}

Primary::Primary(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Primary::~Primary() {
  stop(std::chrono::milliseconds(0));
}

Result<std::unique_ptr<Primary>> Primary::start(const Config& config, PrimaryOptions options) {
  auto parts = std::make_unique<Parts>(config, std::move(options));
  ASTER_TRY(parts->open());
  ASTER_TRY(parts->make_front_ends());
  ASTER_TRY(parts->add_routes());
  ASTER_TRY(parts->listen());
  parts->namespaces->start_duties();
  parts->migrator->start();
  parts->tree_quotas->start();
  parts->purger->start();
  const std::chrono::seconds interval(config.integer("server.primary.probe_interval_secs"));
  parts->prober.emplace(*parts->registry, *parts->backends, *parts->account_store, parts->work,
                        interval);
  parts->prober->start();
  ASTER_LOG(info, "primary_started", {"host", config.text("server.host")},
            {"port", parts->port.load()});
  return std::unique_ptr<Primary>(new Primary(std::move(parts)));
}

uint16_t Primary::port() const {
  return parts_->port;
}

Result<void> Primary::reload() {
  return parts_->tls ? parts_->tls->reload() : ok();
}

std::vector<std::string> Primary::routes() const {
  std::vector<std::string> lines;
  for (const auto& [method, pattern] : parts_->router.names()) {
    lines.push_back(method + " " + pattern);
  }
  return lines;
}

void Primary::stop(std::chrono::milliseconds grace) {
  // Handlers that wait for a follower have the same grace as everybody.
  parts_->work.post_after(grace, [http = parts_->http] { http->interrupt(); });
  parts_->server->stop(grace);
  parts_->http->interrupt();
  if (parts_->prober) parts_->prober->stop();
  if (parts_->migrator) parts_->migrator->stop();
  if (parts_->tree_quotas) parts_->tree_quotas->stop();
  if (parts_->purger) parts_->purger->stop();
  parts_->namespaces->stop();
}

Result<void> add_account(const std::string& database_url, NewAccount account, PasswordCost cost) {
  Executor work({.name = "accounts", .threads = 2});
  SystemClock clock;
  ASTER_TRY(const std::unique_ptr<db::Database> database, open_database(database_url, work));
  db::AccountStore store(*database, work, clock);
  Accounts accounts({.cost = cost}, store, nullptr, work, clock);
  Accounts::NewUser user{.name = std::move(account.name), .password = std::move(account.password)};
  if (account.admin) user.role = db::UserRole::admin;
  ASTER_TRY(const db::UserRow made, run_blocking(accounts.create_user(std::move(user))));
  return run_blocking(
      store.audit(UserId(), "user.create", made.name,
                  "by the command line, role=" + std::string(to_string(made.role))));
}

}  // namespace aster::primary
