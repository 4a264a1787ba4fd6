#pragma once

#include <chrono>
#include <memory>

#include "protocol/base/config.h"
#include "protocol/base/result.h"

namespace aster::follower {

/// A running follower: composition root of this mode. Built in order, torn down in reverse.
class Follower {
 public:
  /// Opens and migrates the database, enrols from the environment when that asks for it, opens the
  /// targets and listens. Errors name what could not be opened.
  static Result<std::unique_ptr<Follower>> start(const Config& config);
  /// As stop() without grace.
  ~Follower();

  uint16_t port() const;
  /// Reads the certificate again, for the connections to come. After a failure the old one stays.
  Result<void> reload();
  /// Stops listening, lets requests in flight finish until `grace` has passed.
  void stop(std::chrono::milliseconds grace);

 private:
  struct Parts;
  explicit Follower(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// The path of the SQLite database in database.url, absolute; unsupported for another engine.
Result<std::string> follower_database_path(const std::string& absolute_url);

}  // namespace aster::follower
