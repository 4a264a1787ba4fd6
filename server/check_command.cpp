#include "server/check_command.h"

#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

#include "protocol/base/progress_line.h"
#include "server/primary/inspection.h"

namespace aster {
namespace {

namespace json = boost::json;

Result<primary::Inspection> inspect(const CheckCommand& command, std::ostream& errors) {
  ASTER_TRY(const Config config, Config::load(command.config_file, Config::process_environment()));
  if (config.text("server.start_mode") != "primary") {
    return fail(Errc::precondition_failed,
                "server.start_mode is not \"primary\": a follower has no namespace to check");
  }
  ProgressLine line(terminal_behind(errors, STDERR_FILENO));
  line.follow_time("reading the database");
  primary::InspectionOptions options{command.deep, command.repair, {}};
  options.progress = [&line](uint64_t done, uint64_t all) {
    line.follow([done, all] {
      return std::to_string(done) + " of " + std::to_string(all) + " objects asked for";
    });
  };
  return primary::inspect(config, std::move(options));
}

void print_json(const primary::Inspection& inspection, std::ostream& out) {
  json::array findings;
  for (const db::Finding& finding : inspection.findings) {
    json::array examples(finding.examples.begin(), finding.examples.end());
    findings.push_back({{"rule", finding.rule},
                        {"count", finding.count},
                        {"repairable", finding.repairable},
                        {"examples", std::move(examples)}});
  }
  const json::object report{{"findings", std::move(findings)},
                            {"repaired", inspection.repaired},
                            {"objects", inspection.objects},
                            {"listed", inspection.listed}};
  out << json::serialize(report) << "\n";
}

void print_text(const CheckCommand& command, const primary::Inspection& inspection,
                std::ostream& out) {
  for (const db::Finding& finding : inspection.findings) {
    out << finding.rule << ": " << finding.count
        << (finding.repairable ? " (--repair sets it right)" : "") << "\n";
    for (const std::string& example : finding.examples) out << "  " << example << "\n";
  }
  if (command.repair) out << inspection.repaired << " rows repaired\n";
  if (command.deep) out << inspection.objects << " objects asked for\n";
  out << (inspection.findings.empty() ? "all is well\n" : "");
}

}  // namespace

int run_check(const CheckCommand& command, std::ostream& out, std::ostream& errors) {
  const Result<primary::Inspection> inspection = inspect(command, errors);
  if (!inspection.ok()) {
    const Error& error = inspection.error();
    errors << "aster_drive: check: " << (error.context.empty() ? error.message() : error.context)
           << "\n";
    return 1;
  }
  if (command.json) {
    print_json(*inspection, out);
  } else {
    print_text(command, *inspection, out);
  }
  return inspection->findings.empty() ? 0 : 1;
}

}  // namespace aster
