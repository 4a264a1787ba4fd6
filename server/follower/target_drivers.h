#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"
#include "server/follower/binding_store.h"
#include "server/storage/ingress_target.h"
#include "server/storage/s3_target.h"

namespace aster::follower {

/// Makes and keeps the drivers of storage targets. Blocks: call it on an executor, but not on that
/// of the S3 services. Thread-safe.
class TargetDrivers {
 public:
  using Driver = std::shared_ptr<storage::IngressTarget>;

  /// Local targets lie below `local_root`. Everything must outlive the drivers.
  TargetDrivers(std::string local_root, Executor& disk, storage::S3Services s3)
      : local_root_(std::move(local_root)), disk_(disk), s3_(s3) {}

  /// The driver of a target that was applied before. Asks no bucket, makes no folder.
  Result<Driver> open(const Target& target);
  /// Sets the target up: makes the folder, or looks whether the bucket can be used. Takes at most
  /// some seconds.
  Result<void> apply(const Target& target);
  /// Removes what uploads of a dead process left in buckets, below the bindings' namespaces. For
  /// the start, before anything is served; takes at most some seconds.
  struct Place {
    Target target;
    std::string storage_namespace;
  };
  void remove_leftovers(const std::vector<Place>& places);

 private:
  struct Drivers {
    std::map<std::string, Driver> local;  ///< by base path
    std::set<std::string> cleaned;        ///< bases whose leftovers are gone; later temps are alive
    /// By all that makes them, so that targets of one place share what they know.
    std::map<std::string, std::shared_ptr<storage::S3Target>> s3;
  };
  Result<Driver> open_local(const std::string& base, bool make);
  Result<std::shared_ptr<storage::S3Target>> open_s3(const Target& target);

  const std::string local_root_;
  Executor& disk_;
  const storage::S3Services s3_;
  Guarded<Drivers> drivers_;
};

/// The services that S3 targets need, with threads of their own. The destructor waits for what goes
/// on in the background.
class S3Runtime {
 public:
  /// `ca_file`: PEM file of the authorities to trust; empty = the system's.
  explicit S3Runtime(std::string ca_file = {});
  ~S3Runtime();
  storage::S3Services services();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace aster::follower
