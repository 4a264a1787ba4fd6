#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

#include "server/primary/namespace_service.h"

namespace aster::content {

/// One operation with an answer of a known type.
template <class A>
Task<Result<A>> call(primary::NamespaceService& namespaces, primary::Caller caller,
                     fs::Operation operation) {
  fs::BatchRequest request;
  request.items.push_back({std::move(operation), std::nullopt});
  std::vector<Result<fs::Answer>> answers = co_await namespaces.apply(caller, std::move(request));
  if (!answers.front().ok()) co_return std::move(answers.front()).error();
  A* const typed = std::get_if<A>(&*answers.front());
  if (typed == nullptr) co_return fail(Errc::internal, "an answer of another type");
  co_return std::move(*typed);
}

/// Operations of one transaction, in order; with `stop_on_error` none after the first that fails.
/// At most kBatchOpsMax.
inline Task<std::vector<Result<fs::Answer>>> call_all(primary::NamespaceService& namespaces,
                                                      primary::Caller caller,
                                                      std::vector<fs::Operation> operations,
                                                      bool stop_on_error) {
  fs::BatchRequest request;
  request.stop_on_error = stop_on_error;
  for (fs::Operation& operation : operations) {
    request.items.push_back({std::move(operation), std::nullopt});
  }
  std::vector<Result<fs::Answer>> answers = co_await namespaces.apply(caller, std::move(request));
  co_return answers;
}

/// Any number of operations, `at_once` in a batch; each is answered on its own.
inline Task<std::vector<Result<fs::Answer>>> call_each(primary::NamespaceService& namespaces,
                                                       primary::Caller caller,
                                                       std::vector<fs::Operation> operations,
                                                       size_t at_once) {
  std::vector<Result<fs::Answer>> all;
  for (size_t from = 0; from < operations.size(); from += at_once) {
    const auto begin = operations.begin() + static_cast<std::ptrdiff_t>(from);
    const auto count = std::min(at_once, operations.size() - from);
    std::vector<fs::Operation> some(
        std::make_move_iterator(begin),
        std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(count)));
    auto answers = co_await call_all(namespaces, caller, std::move(some), false);
    for (Result<fs::Answer>& answer : answers) all.push_back(std::move(answer));
  }
  co_return all;
}

/// The first failure of a batch.
inline Result<void> first_failure(const std::vector<Result<fs::Answer>>& answers) {
  for (const Result<fs::Answer>& answer : answers) {
    if (!answer.ok()) return answer.error();
  }
  return ok();
}

}  // namespace aster::content
