#include "server/primary/remote_driver.h"
namespace aster { std::unique_ptr<FollowerClient> make_follower_client(FollowerEndpoint, HttpClient&, const Clock&) { return nullptr; } }
namespace aster::primary {
RemoteDriver::RemoteDriver(FollowerRef follower, const Policy& policy, Executor& executor) : follower_(follower), base_path_(policy.base_path), target_key_(policy.target_key), max_file_size_(policy.max_file_size), executor_(executor) {}
Task<Result<void>> RemoteDriver::put(ObjectId, std::shared_ptr<ByteSource>, uint64_t) { (void)max_file_size_; (void)executor_; co_return ok(); }
Task<ApiResult<ObjectBody>> RemoteDriver::open(ObjectId, WantedRange) { co_return fail(Errc::internal); }
Task<Result<uint64_t>> RemoteDriver::stat(ObjectId) { co_return fail(Errc::internal); }
Task<Result<void>> RemoteDriver::remove(ObjectId) { co_return ok(); }
Task<Result<ObjectBackends::Composed>> RemoteDriver::compose(ObjectId, std::vector<ObjectId>, uint64_t) { co_return fail(Errc::internal); }
Task<Result<ObjectBackends::Capacity>> RemoteDriver::capacity() { co_return fail(Errc::internal); }
std::optional<std::string> RemoteDriver::presigned_url(std::string_view, const ObjectId&, int64_t) const { return std::nullopt; }
}
