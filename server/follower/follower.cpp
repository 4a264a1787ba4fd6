#include "server/follower/follower.h"

#include <atomic>
#include <thread>

#include "protocol/base/log.h"
#include "protocol/client/curl_http_client.h"
#include "server/follower/binding_sync.h"
#include "server/follower/follower_api.h"
#include "server/follower/node_enroll.h"
#include "server/http/http_metrics.h"
#include "server/http/listen_options.h"
#include "server/http/metrics_route.h"
#include "server/http/tls.h"

namespace aster::follower {
namespace {

/// The newer name wins; the older one is read when only it is set.
std::string local_root(const Config& config) {
  constexpr std::string_view kNew = "server.follower.remote_storage_target_local_root";
  constexpr std::string_view kOld = "server.follower.managed_ingress_local_root";
  const bool old = config.is_set(kOld) && !config.is_set(kNew);
  return config.path(old ? kOld : kNew).string();
}

Result<http::ServerOptions> server_options(const Config& config) {
  ASTER_TRY(http::ServerOptions out, http::listen_options(config));
  out.threads = static_cast<size_t>(config.integer("server.workers"));
  if (out.threads == 0) out.threads = std::max(1u, std::thread::hardware_concurrency());
  return out;
}

}  // namespace

struct Follower::Parts {
  explicit Parts(const Config& config)
      : disk({.name = "disk",
              .threads = static_cast<size_t>(config.integer("server.follower.io_threads"))}),
        s3(config.path("remote.ca_file").string()) {}

  SystemClock clock;
  Executor disk;
  std::optional<CurlHttpClient> http;  ///< towards the primaries
  std::unique_ptr<BindingStore> store;
  std::unique_ptr<NonceLog> nonces;
  S3Runtime s3;
  std::unique_ptr<TargetDrivers> drivers;
  std::unique_ptr<TargetService> targets;
  std::unique_ptr<FollowerApi> api;
  http::Router router;
  std::shared_ptr<http::TlsIdentity> tls;  ///< null: plain HTTP
  std::optional<http::HttpMetrics> http_metrics;
  std::atomic<const http::Server*> listening{nullptr};
  std::unique_ptr<http::Server> server;
  std::optional<BindingSync> sync;

  std::string metrics_text();
};

std::string Follower::Parts::metrics_text() {
  metrics::Exposition out;
  out.process("aster_drive follower");
  http_metrics->write(out);
  if (const http::Server* const now = listening) {
    out.gauge("aster_http_connections", "Open connections", {},
              static_cast<double>(now->open_connections()));
  }
  const std::vector<Binding> bindings = store->bindings();
  for (const Binding& binding : bindings) {
    out.gauge("aster_binding_enabled", "1 when the primary lets this follower serve it",
              {{"primary", binding.master_url}, {"binding", std::to_string(binding.id)}},
              binding.is_enabled ? 1 : 0);
  }
  write_exchanges(out, *http);
  out.gauge("aster_executor_waiting", "Pieces of work that wait for a thread",
            {{"executor", "disk"}}, static_cast<double>(disk.waiting()));
  return out.take();
}

Follower::Follower(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Follower::~Follower() {
  stop(std::chrono::milliseconds(0));
}

Result<std::unique_ptr<Follower>> Follower::start(const Config& config) {
  auto parts = std::make_unique<Parts>(config);
  ASTER_TRY(const std::string path, follower_database_path(config.database_url()));
  ASTER_TRY(parts->store, BindingStore::open(path, parts->clock));
  parts->http.emplace(CurlHttpClientOptions{.ca_file = config.path("remote.ca_file").string()},
                      parts->disk);
  run_blocking(bootstrap_from_environment(*parts->http, *parts->store));
  ASTER_TRY(parts->nonces, NonceLog::open(config.folder().string(), parts->clock));
  parts->drivers =
      std::make_unique<TargetDrivers>(local_root(config), parts->disk, parts->s3.services());
  parts->targets = std::make_unique<TargetService>(*parts->store, *parts->drivers);
  parts->targets->open_all();
  parts->api = std::make_unique<FollowerApi>(FollowerApi::Parts{
      .store = *parts->store,
      .targets = *parts->targets,
      .nonces = *parts->nonces,
      .disk = parts->disk,
      .clock = parts->clock,
      .ready_requires_target = config.boolean("server.follower.ready_requires_target"),
      .most_unpaged = static_cast<uint64_t>(config.integer("server.follower.max_unpaged_list"))});
  parts->api->add_routes(parts->router);
  ASTER_TRY(http::NetworkList sources, http::metrics_sources(config));
  http::add_metrics_route(parts->router,
                          {std::move(sources), nullptr,
                           [raw = parts.get()] { return raw->metrics_text(); }, parts->disk});
  parts->http_metrics.emplace(parts->router);
  ASTER_TRY(http::ServerOptions listen, server_options(config));
  parts->tls = listen.tls;
  listen.observer = &*parts->http_metrics;
  ASTER_TRY(parts->server, http::start_server(listen, parts->router));
  parts->listening = parts->server.get();
  parts->sync.emplace(BindingSync::Parts{
      .store = *parts->store,
      .http = *parts->http,
      .executor = parts->disk,
      .clock = parts->clock,
      .interval = std::chrono::seconds(config.integer("server.follower.sync_interval_secs"))});
  parts->sync->start();
  ASTER_LOG(info, "follower listens", {"host", config.text("server.host")},
            {"port", parts->server->port()}, {"bindings", parts->store->bindings().size()});
  return std::unique_ptr<Follower>(new Follower(std::move(parts)));
}

uint16_t Follower::port() const {
  return parts_->server->port();
}

Result<void> Follower::reload() {
  return parts_->tls ? parts_->tls->reload() : ok();
}

void Follower::stop(std::chrono::milliseconds grace) {
  parts_->sync->stop();
  parts_->server->stop(grace);
}

Result<std::string> follower_database_path(const std::string& url) {
  constexpr std::string_view kScheme = "sqlite://";
  if (!url.starts_with(kScheme)) {
    return fail(Errc::unsupported, "database.url: a follower keeps its bindings in sqlite:// only");
  }
  const std::string path = url.substr(kScheme.size(), url.find('?') - kScheme.size());
  if (path.empty() || path.front() != '/') {
    return fail(Errc::bad_request, "database.url: expected sqlite:///path/to/file");
  }
  return path;
}

}  // namespace aster::follower
