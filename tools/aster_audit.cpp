#include "tools/aster_command.h"
#include "tools/aster_output.h"

/// `aster audit list`: who did what.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct AuditOptions {
  uint64_t limit = 100;
};

Result<Report> list_audit(Session& session, const AuditOptions& options) {
  constexpr uint64_t kPage = 100;
  ASTER_TRY(Api api, session.api());
  json::array events;
  while (events.size() < options.limit) {
    const uint64_t count = std::min(kPage, options.limit - events.size());
    ASTER_TRY(const json::value page,
              api.get("/api/v1/admin/audit-logs?limit=" + std::to_string(count) +
                          "&offset=" + std::to_string(events.size()),
                      "read the audit log"));
    const json::value* items = page.is_object() ? page.get_object().if_contains("items") : nullptr;
    if (items == nullptr || !items->is_array() || items->get_array().empty()) break;
    for (const json::value& event : items->get_array()) events.push_back(event);
  }
  Table table({"TIME", "ACTOR", "ACTION", "SUBJECT", "DETAIL"});
  for (const json::value& event : events) {
    table.add({field(event, "at"), field(event, "actor_name"), field(event, "action"),
               field(event, "subject"), field(event, "detail")});
  }
  return Report{std::move(events), table.text(), {}};
}

}  // namespace

void add_audit_commands(Commands& commands) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* group = commands.group("audit", "The log of administrative and security events");
  CLI::App* list = commands.add(group, "list", "Show the latest events, the newest first",
                                [options](Session& s) { return list_audit(s, *options); });
  list->add_option("--limit", options->limit, "How many events (default: 100)")
      ->check(CLI::Range(1, 12000));
}

}  // namespace aster::cli
