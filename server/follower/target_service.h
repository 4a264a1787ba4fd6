#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "protocol/api_error.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "server/follower/binding_store.h"
#include "server/storage/ingress_target.h"

namespace aster::follower {

/// The storage targets of all bindings: their rules (protocol section 9.2) and their open drivers.
/// Everything but resolve() blocks: call it on an executor. Thread-safe.
class TargetService {
 public:
  /// Local targets lie below `local_root`. All three must outlive the service.
  TargetService(BindingStore& store, std::string local_root, Executor& executor)
      : store_(store), local_root_(std::move(local_root)), executor_(executor) {}

  /// Opens what is applied, so that leftovers of a dead process go at once. What cannot be opened
  /// is logged and tried again when it is used.
  void open_all();

  ApiResult<TargetInfo> create(const Binding& binding, const TargetCreate& wish);
  ApiResult<TargetInfo> update(const Binding& binding, const std::string& key,
                               const TargetUpdate& wish);
  ApiResult<bool> remove(const Binding& binding, const std::string& key);
  std::vector<TargetInfo> list(const Binding& binding) const;

  /// A target that may be used, and its record.
  struct Usable {
    std::shared_ptr<storage::IngressTarget> driver;
    Target target;
  };
  /// The effective target (section 9.3). Blocks only when the driver could not be opened before.
  ApiResult<Usable> resolve(const Binding& binding, const std::optional<std::string>& key);

 private:
  using Driver = std::shared_ptr<storage::IngressTarget>;
  struct Drivers {
    std::map<std::string, Driver> by_base;
    std::set<std::string> cleaned;  ///< bases whose leftovers are gone; later temps are alive
  };
  ApiResult<TargetInfo> apply(Target target);
  /// What a target's folder must be: there since it was applied, or made now.
  enum class Folder { existing, make };
  Result<Driver> open_local(const std::string& base, Folder folder);
  std::optional<Target> find(const Binding& binding, const std::string& key) const;

  BindingStore& store_;
  const std::string local_root_;
  Executor& executor_;
  std::mutex changing_;  ///< one change at a time, so that rules hold
  Guarded<Drivers> drivers_;
};

}  // namespace aster::follower
