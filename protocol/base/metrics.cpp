#include "protocol/base/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace aster::metrics {
namespace {

constexpr double kNanosecond = 1e-9;

constexpr uint64_t kTimes[] = {
    100'000,       250'000,       500'000,       1'000'000,      2'500'000,     5'000'000,
    10'000'000,    25'000'000,    50'000'000,    100'000'000,    250'000'000,   500'000'000,
    1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000};
constexpr uint64_t kSizes[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
static_assert(std::size(kTimes) <= Histogram::kBucketsMax);

std::string number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || (quotes && c == '"')) out += '\\';
      out += c;
    }
  }
}

uint64_t open_files() {
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  uint64_t count = 0;
  while (const dirent* entry = ::readdir(folder)) count += entry->d_name[0] != '.';
  ::closedir(folder);
  return count - 1;  // the folder itself
}

/// Bytes: the second number of /proc/self/statm counts pages.
uint64_t resident_memory() {
  FILE* const file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long size = 0;
  unsigned long long resident = 0;
  const bool read = std::fscanf(file, "%llu %llu", &size, &resident) == 2;
  std::fclose(file);
  return read ? resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

const time_t g_started = ::time(nullptr);

}  // namespace

TimeHistogram::TimeHistogram() : Histogram(kTimes, kNanosecond) {}
SizeHistogram::SizeHistogram() : Histogram(kSizes, 1) {}

void Exposition::describe(std::string_view name, std::string_view help, std::string_view type) {
  if (last_ == name) return;
  last_ = name;
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, help, false);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::sample(std::string_view name, std::string_view suffix, Labels labels,
                        std::pair<std::string_view, std::string_view> last,
                        std::string_view value) {
  text_.append(name).append(suffix);
  char before = '{';
  const auto label = [&](std::string_view key, std::string_view text) {
    text_ += before;
    text_.append(key).append("=\"");
    append_escaped(text_, text, true);
    text_ += '"';
    before = ',';
  };
  if (!common_.first.empty()) label(common_.first, common_.second);
  for (const auto& [key, text] : labels) label(key, text);
  if (!last.first.empty()) label(last.first, last.second);
  if (before == ',') text_ += '}';
  text_.append(" ").append(value).append("\n");
}

void Exposition::counter(std::string_view name, std::string_view help, Labels labels,
                         uint64_t value) {
  describe(name, help, "counter");
  sample(name, "", labels, {}, std::to_string(value));
}

void Exposition::gauge(std::string_view name, std::string_view help, Labels labels, double value) {
  describe(name, help, "gauge");
  sample(name, "", labels, {}, number(value));
}

void Exposition::histogram(std::string_view name, std::string_view help, Labels labels,
                           const Histogram& histogram) {
  describe(name, help, "histogram");
  uint64_t below = 0;
  const auto bounds = histogram.bounds();
  for (size_t i = 0; i < bounds.size(); ++i) {
    below += histogram.bucket(i);
    const double bound = static_cast<double>(bounds[i]) * histogram.unit();
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", bound);
    sample(name, "_bucket", labels, {"le", text}, std::to_string(below));
  }
  below += histogram.bucket(bounds.size());
  sample(name, "_bucket", labels, {"le", "+Inf"}, std::to_string(below));
  sample(name, "_sum", labels, {}, number(static_cast<double>(histogram.sum()) * histogram.unit()));
  sample(name, "_count", labels, {}, std::to_string(below));
}

void Exposition::summary(std::string_view name, std::string_view help, Labels labels,
                         const Summary& figures) {
  describe(name, help, "summary");
  sample(name, "", labels, {"quantile", "0.5"}, number(figures.p50));
  sample(name, "", labels, {"quantile", "0.9"}, number(figures.p90));
  sample(name, "", labels, {"quantile", "0.99"}, number(figures.p99));
  sample(name, "_sum", labels, {}, number(figures.sum));
  sample(name, "_count", labels, {}, std::to_string(figures.count));
}

void Exposition::process(std::string_view program) {
  gauge("aster_build_info", "The program and its version",
        {{"program", program}, {"version", ASTER_VERSION}}, 1);
  gauge("process_start_time_seconds", "When the process started, unix seconds", {},
        static_cast<double>(g_started));
  describe("process_cpu_seconds_total", "Processor time used", "counter");
  sample("process_cpu_seconds_total", "", {}, {}, number(cpu_seconds()));
  gauge("process_resident_memory_bytes", "Memory in use", {},
        static_cast<double>(resident_memory()));
  gauge("process_open_fds", "Open file descriptors", {}, static_cast<double>(open_files()));
}

}  // namespace aster::metrics
