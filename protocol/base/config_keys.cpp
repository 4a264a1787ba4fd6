#include "protocol/base/config.h"

namespace aster {
namespace {

using enum ConfigKey::Type;

constexpr int64_t kAny = INT64_MAX;

/// A key that is understood and has no effect (yet).
constexpr ConfigKey unused(ConfigKey key) {
  key.has_effect = false;
  return key;
}

// Names and defaults of AsterDrive's file where it has the key, so that its files are understood.
constexpr ConfigKey kKeys[] = {
    {"server.host", text, "127.0.0.1"},
    {"server.port", integer, "3000", 0, 65535},
    {"server.port_file", text, ""},
    {"server.workers", integer, "0", 0, 1024},
    {"server.max_connections", integer, "2048", 1, 1'000'000},
    {"server.shutdown_grace_secs", integer, "20", 0, 3600},
    unused({"server.temp_dir", text, ".tmp"}),
    unused({"server.upload_temp_dir", text, ".uploads"}),
    {"server.start_mode", text, "primary", 0, 0, "primary|follower"},
    {"server.public_url", text, ""},
    {"server.tls_certificate", text, ""},
    {"server.tls_key", text, ""},
    {"server.plain_http", text, "auto", 0, 0, "auto|redirect|refuse|allow"},
    {"server.plain_port", integer, "0", 0, 65535},
    {"remote.ca_file", text, ""},
    {"metrics.allow_from", list, "127.0.0.0/8,::1"},
    {"server.primary.local_root", text, "uploads"},
    {"server.primary.probe_interval_secs", integer, "30", 1, 86400},
    {"server.primary.trash_days", integer, "30", 0, 36500},
    {"server.primary.trash_min_age_secs", integer, "30", 0, 86400},
    {"server.primary.versions", integer, "10", 0, 1000},
    {"server.primary.version_days", integer, "30", 1, 36500},
    {"server.primary.version_interval_secs", integer, "600", 0, 86400},
    {"server.primary.directory_policies", boolean, "false"},
    {"server.primary.keep_percent", integer, "25", 0, 1000},
    {"server.follower.managed_ingress_local_root", text, "managed-ingress"},
    {"server.follower.remote_storage_target_local_root", text, "remote-storage-targets"},
    {"server.follower.ready_requires_target", boolean, "false"},
    {"server.follower.sync_interval_secs", integer, "30", 1, 86400},
    {"server.follower.max_unpaged_list", integer, "250000", 1, 100'000'000},
    {"server.follower.io_threads", integer, "8", 1, 256},
    {"database.url", text, "sqlite://asterdrive.db?mode=rwc"},
    unused({"database.pool_size", integer, "10", 1, 1000}),
    unused({"database.retry_count", integer, "3", 0, 100}),
    {"auth.jwt_secret", text, ""},
    {"auth.mfa_secret_key", text, ""},
    {"auth.bootstrap_insecure_cookies", boolean, "false"},
    {"auth.share_cookie_secret", text, ""},
    {"auth.direct_link_secret", text, ""},
    {"auth.storage_credential_secret_key", text, ""},
    {"auth.webdav_auth_cache_secret", text, ""},
    {"auth.password_hash_max_concurrency", integer, "2", 1, 64},
    unused({"cache.enabled", boolean, "true"}),
    unused({"cache.backend", text, "memory", 0, 0, "memory|redis"}),
    unused({"cache.redis_url", text, ""}),
    unused({"cache.default_ttl", integer, "3600", 0, kAny}),
    {"logging.level", text, "info", 0, 0, "trace|debug|info|warn|error|off"},
    unused({"logging.format", text, "text", 0, 0, "text|json"}),
    unused({"logging.file", text, ""}),
    unused({"logging.enable_rotation", boolean, "true"}),
    unused({"logging.max_backups", integer, "5", 0, 1000}),
    {"webdav.prefix", text, "/webdav"},
    {"webdav.payload_limit", integer, "10737418240", 0, kAny},
    {"webdav.xml_payload_limit", integer, "1048576", 1024, 1 << 30},
    {"network_trust.trusted_proxies", list, ""},
    {"rate_limit.enabled", boolean, "false"},
    {"rate_limit.auth.seconds_per_request", integer, "2", 1, 3600},
    {"rate_limit.auth.burst_size", integer, "5", 1, 1'000'000},
    unused({"rate_limit.public.seconds_per_request", integer, "1", 1, 3600}),
    unused({"rate_limit.public.burst_size", integer, "30", 1, 1'000'000}),
    unused({"rate_limit.api.seconds_per_request", integer, "1", 1, 3600}),
    unused({"rate_limit.api.burst_size", integer, "120", 1, 1'000'000}),
    unused({"rate_limit.write.seconds_per_request", integer, "2", 1, 3600}),
    unused({"rate_limit.write.burst_size", integer, "10", 1, 1'000'000}),
};

}  // namespace

std::span<const ConfigKey> config_keys() noexcept {
  return kKeys;
}

}  // namespace aster
