#include "protocol/http_text.h"
#include "server/webdav/dav.h"

namespace aster::webdav {

/// A COPY or MOVE whose rules are kept.
struct Dav::Transfer {
  content::Spot from;
  content::Spot to;
  bool deep = true;
  std::optional<http::Response> refused;
};

Task<Result<Dav::Transfer>> Dav::plan_transfer(Exchange& exchange, bool is_move) {
  Transfer plan;
  const http::Request& request = exchange.request;
  const std::string* const destination = request.header("Destination");
  if (destination == nullptr) co_return fail(Errc::bad_request, "a Destination is needed");
  ASTER_CO_TRY(auto target, path_of_url(request, *destination));
  if (!target) {
    plan.refused = http::Response::text(502, "the destination is on another server\n");
    co_return plan;
  }
  const std::string* const depth_header = request.header("Depth");
  const std::string_view depth = depth_header == nullptr ? "infinity" : trim(*depth_header);
  plan.deep = equals_ignoring_case(depth, "infinity");
  if (!plan.deep && (is_move || depth != "0")) {
    co_return fail(Errc::bad_request, "Depth is infinity, or 0 for COPY");
  }
  const std::string* const overwrite = request.header("Overwrite");
  const bool keep = overwrite != nullptr && equals_ignoring_case(trim(*overwrite), "F");
  ASTER_CO_TRY(plan.from, co_await exchange.tree.find(exchange.path));
  ASTER_CO_TRY(plan.to, co_await exchange.tree.find(std::move(*target)));
  if (!plan.from.node) co_return fail(Errc::not_found, "nothing is there");
  if (content::is_within(plan.from.path, plan.to.path) ||
      (plan.from.is_directory() && content::is_within(plan.to.path, plan.from.path))) {
    co_return fail(Errc::forbidden, "source and destination contain one another");
  }
  const bool displaced = (is_move && plan.from.is_fixed) || (plan.to.node && plan.to.is_fixed);
  if (displaced) co_return fail(Errc::forbidden, "the root cannot be moved or replaced");
  if (!plan.to.has_parent) {
    co_return fail(Errc::conflict, "the collection above the destination is missing");
  }
  if (plan.to.node && keep) co_return fail(Errc::precondition_failed, "the destination exists");
  if (is_move) ASTER_CO_TRY(may_remove(exchange, plan.from));
  if (plan.to.node && (is_move || !plan.to.is_file() || !plan.from.is_file())) {
    ASTER_CO_TRY(may_remove(exchange, plan.to));
  } else {
    ASTER_CO_TRY(may_write(exchange, plan.to));
  }
  ASTER_CO_TRY(content::Failures held, co_await held_by_mounts_below(exchange, plan.to));
  if (is_move && held.empty()) {
    ASTER_CO_TRY(held, co_await held_by_mounts_below(exchange, plan.from));
  }
  if (!held.empty()) plan.refused = multistatus(held, exchange);
  co_return plan;
}

Task<content::Failures> Dav::clear(Exchange& exchange, const content::Spot& to) {
  content::Failures failures = co_await exchange.tree.remove(to);
  if (!failures.empty()) co_return failures;
  const Result<void> dropped = co_await locks_.drop(node_place(exchange, to));
  if (!dropped.ok()) failures.push_back({to.path, dropped.error()});
  co_return failures;
}

Task<Result<http::Response>> Dav::copy(Exchange& exchange) {
  ASTER_CO_TRY(Transfer plan, co_await plan_transfer(exchange, false));
  if (plan.refused) co_return std::move(*plan.refused);
  const bool replaces = plan.to.node.has_value();
  content::Failures failures;
  if (replaces && !(plan.to.is_file() && plan.from.is_file())) {
    failures = co_await clear(exchange, plan.to);
    plan.to.node.reset();
  }
  const content::Path target = plan.to.path;
  if (failures.empty()) {
    failures = co_await exchange.tree.copy(std::move(plan.from), std::move(plan.to), plan.deep);
  }
  if (failures.size() == 1 && failures[0].path == target) co_return failures[0].error;
  if (!failures.empty()) co_return multistatus(failures, exchange);
  http::Response answer;
  answer.status = replaces ? 204 : 201;
  co_return answer;
}

Task<Result<http::Response>> Dav::move(Exchange& exchange) {
  ASTER_CO_TRY(Transfer plan, co_await plan_transfer(exchange, true));
  if (plan.refused) co_return std::move(*plan.refused);
  const bool replaces = plan.to.node.has_value();
  // A file takes the place of a file in one step.
  const bool in_one_step = plan.to.is_file() && plan.from.is_file();
  if (replaces && !in_one_step) {
    const content::Failures failures = co_await clear(exchange, plan.to);
    if (failures.size() == 1 && failures[0].path == plan.to.path) co_return failures[0].error;
    if (!failures.empty()) co_return multistatus(failures, exchange);
    plan.to.node.reset();
  }
  const LockPlace source = node_place(exchange, plan.from);
  std::optional<LockPlace> replaced;
  if (in_one_step) replaced = node_place(exchange, plan.to);
  ASTER_CO_TRY(const fs::Attr moved,
               co_await exchange.tree.move(std::move(plan.from), std::move(plan.to)));
  static_cast<void>(moved);
  // Locks belong to names: they do not move along.
  ASTER_CO_TRY(co_await locks_.drop(source));
  if (replaced) ASTER_CO_TRY(co_await locks_.drop(*replaced));
  http::Response answer;
  answer.status = replaces ? 204 : 201;
  co_return answer;
}

}  // namespace aster::webdav
