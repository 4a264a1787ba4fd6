#pragma once

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace aster::testing {

/// What a scrape of /metrics says: values by name and labels, as written. Complains, by failures of
/// the running test, about whatever Prometheus would not take.
struct Scrape {
  std::map<std::string, double> samples;  ///< `name{labels}`
  std::set<std::string> names;            ///< without labels, with _bucket, _sum, _count

  double at(const std::string& sample) const {
    const auto found = samples.find(sample);
    EXPECT_NE(found, samples.end()) << "no sample " << sample;
    return found == samples.end() ? -1 : found->second;
  }
};

inline std::string family_of(const std::string& name,
                             const std::map<std::string, std::string>& types) {
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    const std::string end = suffix;
    if (!name.ends_with(end)) continue;
    std::string family = name.substr(0, name.size() - end.size());
    const auto type = types.find(family);
    if (type != types.end() && type->second != "counter" && type->second != "gauge") return family;
  }
  return name;
}

inline Scrape parse_exposition(const std::string& text) {
  static const std::regex kSample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="([^"\\\n]|\\.)*"(,[a-z_]+="([^"\\\n]|\\.)*")*\})? (\S+))re");
  static const std::regex kComment(R"(# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+))");
  Scrape scrape;
  std::map<std::string, std::string> types;
  std::set<std::string> finished;
  std::string current;
  std::istringstream lines(text);
  EXPECT_TRUE(text.ends_with('\n'));
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (line.starts_with('#')) {
      EXPECT_TRUE(std::regex_match(line, match, kComment)) << line;
      if (match[1] == "TYPE") {
        EXPECT_TRUE(types.emplace(match[2], match[3]).second) << line;
      }
      continue;
    }
    if (!std::regex_match(line, match, kSample)) {
      ADD_FAILURE() << "malformed: " << line;
      continue;
    }
    const std::string family = family_of(match[1], types);
    EXPECT_TRUE(types.contains(family)) << "no TYPE before " << line;
    if (family != current) {
      EXPECT_TRUE(finished.insert(family).second) << "not in one piece: " << family;
      current = family;
    }
    const std::string sample = match[1].str() + match[2].str();
    EXPECT_TRUE(scrape.samples.emplace(sample, std::stod(match[6])).second) << "twice: " << sample;
    scrape.names.insert(match[1]);
  }
  return scrape;
}

}  // namespace aster::testing
