#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/integration/conformance/peer.h"

namespace aster::conformance {

/// Collects what one row finds wrong.
class Findings {
 public:
  void equal(const std::string& what, const std::string& got, const std::string& wanted) {
    if (got != wanted) wrong_.push_back(what + ": got \"" + got + "\", wanted \"" + wanted + "\"");
  }
  void equal(const std::string& what, int64_t got, int64_t wanted) {
    equal(what, std::to_string(got), std::to_string(wanted));
  }
  void is_true(const std::string& what, bool holds) {
    if (!holds) wrong_.push_back(what);
  }
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  std::vector<std::string> wrong_;
};

/// One rule of the protocol: section, what it says, how it is checked.
struct Row {
  std::string section;
  std::string text;
  std::function<void(const Peer&, Findings&)> check;
};

/// In the order in which they must run: the first ones need a binding without a target.
std::vector<Row> before_first_target();
std::vector<Row> matrix_rows_without_target();
std::vector<Row> identity_rows();
std::vector<Row> attack_rows();
std::vector<Row> object_rows();
std::vector<Row> range_and_list_rows();
std::vector<Row> compose_rows();
std::vector<Row> browser_rows();
std::vector<Row> target_rows();
std::vector<Row> matrix_rows();
std::vector<Row> vector_rows();
std::vector<Row> detail_rows();
std::vector<Row> binding_rows();
std::vector<Row> matrix_rows_of_a_disabled_binding();
std::vector<Row> two_binding_rows();  ///< for a peer with credentials of a second binding

}  // namespace aster::conformance
