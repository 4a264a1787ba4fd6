#pragma once

#include "server/storage/s3_client.h"
#include "server/storage/task_group.h"

namespace aster::storage {

/// One range of one version of an object. Nothing is asked for before the first read. A transfer
/// that breaks off is taken up where it ended, a few times; stale_version when the object has been
/// replaced meanwhile. `client` and `tasks` must outlive the tasks of the group.
std::shared_ptr<ByteSource> read_s3_object(std::shared_ptr<S3Client> client, Executor& executor,
                                           TaskGroup& tasks, S3Client::Piece piece);

/// Gives the same to a sink.
Task<Result<void>> fetch_s3_object(std::shared_ptr<S3Client> client, Executor& executor,
                                   S3Client::Piece piece, std::shared_ptr<ByteSink> sink,
                                   CancelToken cancel);

}  // namespace aster::storage
