#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/config.h"
#include "protocol/base/result.h"
#include "server/primary/front_end.h"
#include "server/primary/password_hash.h"

namespace aster::primary {

struct PrimaryOptions {
  PasswordCost password_cost;
  std::vector<MakeFrontEnd> front_ends = {};
};

/// A running primary: composition root of this mode. Built in order, torn down in reverse.
class Primary {
 public:
  /// Opens and migrates the database, loads nodes and policies, starts duties and listens. Errors
  /// name what could not be opened.
  static Result<std::unique_ptr<Primary>> start(const Config& config, PrimaryOptions options = {});
  /// As stop() without grace.
  ~Primary();

  uint16_t port() const;
  /// Reads the certificate again, for the connections to come. After a failure the old one stays.
  Result<void> reload();
  /// Stops listening, lets requests in flight finish until `grace` has passed, ends duties.
  void stop(std::chrono::milliseconds grace);

 private:
  struct Parts;
  explicit Primary(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// `aster_drive user add`: puts an account into the database (an absolute URL) of a server that may
/// run or not. Its tree is made when the server first sees the user.
struct NewAccount {
  std::string name;
  std::string password;
  bool admin = false;
};
Result<void> add_account(const std::string& database_url, NewAccount account,
                         PasswordCost cost = {});

}  // namespace aster::primary
