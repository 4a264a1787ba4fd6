#include "server/diagnosis.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iomanip>
#include <ostream>

#include "protocol/base/check.h"

namespace aster {

namespace json = boost::json;

void Diagnosis::ok(std::string topic, std::string text) {
  items_.push_back({Level::ok, std::move(topic), std::move(text), {}});
}

void Diagnosis::warn(std::string topic, std::string text, std::string way_out) {
  ASTER_CHECK(!way_out.empty());
  items_.push_back({Level::warning, std::move(topic), std::move(text), std::move(way_out)});
}

void Diagnosis::wrong(std::string topic, std::string text, std::string way_out) {
  ASTER_CHECK(!way_out.empty());
  wrong_ = true;
  items_.push_back({Level::wrong, std::move(topic), std::move(text), std::move(way_out)});
}

std::string_view Diagnosis::word(Level level) {
  switch (level) {
    case Level::ok: return "ok";
    case Level::warning: return "warning";
    case Level::wrong: return "wrong";
  }
  return "";
}

void Diagnosis::print(std::ostream& out) const {
  for (const Item& item : items_) {
    out << std::left << std::setw(7) << word(item.level) << "  " << item.topic << ": " << item.text
        << "\n";
    if (!item.way_out.empty()) out << "         " << item.way_out << "\n";
  }
}

void Diagnosis::print_json(std::ostream& out) const {
  json::array items;
  for (const Item& item : items_) {
    items.push_back({{"level", word(item.level)},
                     {"topic", item.topic},
                     {"text", item.text},
                     {"way_out", item.way_out}});
  }
  out << json::serialize(items) << "\n";
}

}  // namespace aster
