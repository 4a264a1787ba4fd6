#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "protocol/api_error.h"
#include "server/follower/binding_store.h"
#include "server/follower/target_drivers.h"

namespace aster::follower {

/// The storage targets of all bindings: their rules (protocol section 9.2) and their open drivers.
/// Everything but resolve() blocks: call it on an executor. Thread-safe.
class TargetService {
 public:
  /// Both must outlive the service.
  TargetService(BindingStore& store, TargetDrivers& drivers) : store_(store), drivers_(drivers) {}

  /// Opens what is applied, so that leftovers of a dead process go at once. What cannot be opened
  /// is logged and tried again when it is used. For the start, before anything is served.
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
  ApiResult<TargetInfo> apply(Target target);
  std::optional<Target> find(const Binding& binding, const std::string& key) const;

  BindingStore& store_;
  TargetDrivers& drivers_;
  std::mutex changing_;  ///< one change at a time, so that rules hold
};

}  // namespace aster::follower
