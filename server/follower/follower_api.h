#pragma once

#include <memory>
#include <optional>
#include <string>

#include "protocol/api_error.h"
#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/http_text.h"
#include "protocol/sign/signature.h"
#include "protocol/version.h"
#include "server/follower/binding_store.h"
#include "server/follower/nonce_log.h"
#include "server/follower/target_service.h"
#include "server/http/http.h"
#include "server/storage/object_store.h"

namespace aster::follower {

inline constexpr std::string_view kStoragePath = "/api/v1/internal/storage";

/// The HTTP surface of a follower (protocol section 3), in both dialects. Thread-safe.
class FollowerApi {
 public:
  /// All references must outlive the api and its requests.
  struct Parts {
    BindingStore& store;
    TargetService& targets;
    NonceLog& nonces;
    Executor& disk;  ///< everything that may block
    const Clock& clock;
    bool ready_requires_target = false;
    uint64_t most_unpaged = 250'000;  ///< keys of a list that was not asked for in pages
  };
  explicit FollowerApi(Parts parts);

  void add_routes(http::Router& router);

 private:
  /// What a handler knows of its request besides the request.
  struct Call {
    http::Request& request;
    Dialect dialect = Dialect::num;
    Binding binding;
    QueryList query;
    std::string key;  ///< decoded path tail or segment; empty when the route has none
    std::optional<TargetService::Usable> usable;
  };
  using Outcome = ApiResult<http::Response>;
  using Action = Task<Outcome> (FollowerApi::*)(Call&);
  /// Who may call, and what must be there (section 3.1).
  struct Rule {
    Action action = nullptr;
    bool enabled = false;  ///< the binding must be
    bool target = false;   ///< an effective target must resolve
    bool presignable = false;
    bool object_path = false;  ///< CORS applies
  };

  http::Handler handler(Rule rule);
  Task<http::Response> serve(http::Request& request, Rule rule);
  Task<Outcome> run(Call& call, Rule rule);
  Task<http::Response> get_or_metadata(http::Request& request);
  Task<http::Response> options(http::Request& request);
  Task<http::Response> no_endpoint(http::Request& request);

  ApiResult<Binding> authenticate(const http::Request& request, const Rule& rule) const;
  ApiResult<bool> check_restart_floor(const http::Request& request) const;
  Task<void> learn_dialect(Call& call);
  Dialect dialect_for(const http::Request& request) const;
  storage::ObjectStore objects(const Call& call) const;
  http::Response error_answer(const http::Request& request, Dialect dialect,
                              const ApiError& error) const;

  // object_routes.cpp
  Task<Outcome> put_object(Call& call);
  Task<Outcome> get_object(Call& call);
  Task<Outcome> head_object(Call& call);
  Task<Outcome> delete_object(Call& call);
  Task<Outcome> get_metadata(Call& call);
  Task<Outcome> list_objects(Call& call);
  Task<Outcome> compose(Call& call);
  Task<Outcome> batch_delete(Call& call);

  // control_routes.cpp
  Task<Outcome> get_capabilities(Call& call);
  Task<Outcome> get_capacity(Call& call);
  Task<Outcome> put_binding(Call& call);
  Task<Outcome> list_targets(Call& call);
  Task<Outcome> create_target(Call& call);
  Task<Outcome> update_target(Call& call);
  Task<Outcome> delete_target(Call& call);
  Task<http::Response> health(http::Request& request);
  Task<http::Response> ready(http::Request& request);
  Task<ApiResult<bool>> check_ready();

  const Parts parts_;
  const sign::Verifier verifier_;
};

/// 200 with an envelope; `data` is JSON text.
http::Response success(Dialect dialect, std::string_view data = {}, int status = 200);
/// The whole body of a JSON request; file.too_large with status 413 beyond 1 MiB.
Task<ApiResult<std::string>> read_json_body(std::shared_ptr<ByteSource> body);
/// A number in the query; nullopt when absent. The error is what the reference's query decoder
/// gives: bad_request, sent without an envelope (see kPlainText).
ApiResult<std::optional<uint64_t>> query_number(const QueryList& query, std::string_view name);
/// Marks an ApiError whose answer is plain text.
inline constexpr std::string_view kPlainText = "\x01";

}  // namespace aster::follower
