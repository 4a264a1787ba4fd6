#include "server/content/object_places.h"

#include "server/db/object_store.h"

namespace aster::content {

Result<std::vector<PolicyId>> ObjectPlaces::policies(const std::vector<ObjectId>& objects) {
  return database_.read([&](db::Txn& txn) -> Result<std::vector<PolicyId>> {
    db::ObjectStore store(txn);
    std::vector<PolicyId> found;
    for (const ObjectId& object : objects) {
      const auto row = store.find(object);
      if (!row || row->state == db::ObjectState::dead) {
        return fail(Errc::not_found, "object " + object.hex());
      }
      found.push_back(row->policy);
    }
    return found;
  });
}

Task<Result<std::vector<std::shared_ptr<primary::ObjectDriver>>>> ObjectPlaces::drivers(
    std::vector<ObjectId> objects) {
  ASTER_CO_TRY(const std::vector<PolicyId> policies,
               co_await executor_.run([&] { return this->policies(objects); }));
  std::vector<std::shared_ptr<primary::ObjectDriver>> found;
  for (const PolicyId policy : policies) {
    ASTER_CO_TRY(std::shared_ptr<primary::ObjectDriver> driver, drivers_(policy));
    found.push_back(std::move(driver));
  }
  co_return found;
}

Task<Result<std::shared_ptr<primary::ObjectDriver>>> ObjectPlaces::driver(ObjectId object) {
  std::vector<ObjectId> one{object};
  ASTER_CO_TRY(auto found, co_await drivers(std::move(one)));
  co_return std::move(found.front());
}

}  // namespace aster::content
