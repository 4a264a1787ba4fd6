#pragma once

#include <string>
#include <vector>

#include "server/content/content_reader.h"
#include "server/content/content_writer.h"
#include "server/content/tree.h"
#include "server/webdav/lock_table.h"
#include "server/webdav/visitors.h"
#include "server/webdav/xml_request.h"

namespace aster::webdav {

struct DavOptions {
  std::string prefix = "/webdav";  ///< of all paths, without a '/' at its end
  uint64_t payload_limit = 10ull << 30;
  uint64_t xml_limit = 1 << 20;
};

/// The methods of WebDAV (RFC 4918, classes 1, 2 and 3) over one namespace. Outlives the server
/// that uses its routes.
class Dav {
 public:
  Dav(DavOptions options, Visitors& visitors, LockTable& locks,
      primary::NamespaceService& namespaces, content::ContentReader& reader,
      content::ContentWriter& writer, const Clock& clock)
      : options_(std::move(options)),
        visitors_(visitors),
        locks_(locks),
        namespaces_(namespaces),
        reader_(reader),
        writer_(writer),
        clock_(clock) {}

  void add_routes(http::Router& router);

 private:
  /// One request of a proven visitor.
  struct Exchange {
    http::Request& request;
    Visitor visitor;
    content::Tree tree;
    content::Path path;
    bool trailing_slash = false;
    std::vector<std::string> tokens;  ///< state tokens that the If header submits
  };
  using Method = Task<Result<http::Response>> (Dav::*)(Exchange&);
  struct MethodName {
    const char* name;
    Method method;
  };
  static const std::vector<MethodName>& methods();

  Task<http::Response> answer(http::Request& request, Method method);
  Task<Result<http::Response>> admit_and_run(http::Request& request, Method method);
  Task<http::Response> options(http::Request& request);

  Task<Result<http::Response>> get(Exchange& exchange);
  Task<Result<http::Response>> propfind(Exchange& exchange);
  Task<Result<http::Response>> put(Exchange& exchange);
  Task<Result<http::Response>> make_collection(Exchange& exchange);
  Task<Result<http::Response>> remove(Exchange& exchange);
  Task<Result<http::Response>> copy(Exchange& exchange);
  Task<Result<http::Response>> move(Exchange& exchange);
  Task<Result<http::Response>> proppatch(Exchange& exchange);
  Task<Result<http::Response>> lock(Exchange& exchange);
  Task<Result<http::Response>> unlock(Exchange& exchange);

  /// Evaluates the If header; precondition_failed when it does not hold. Fills in `tokens`.
  Task<Result<void>> check_if(Exchange& exchange);
  /// Of a URL in a header; nullopt when it is not one of ours.
  Result<std::optional<content::Path>> path_of_url(const http::Request& request,
                                                   std::string_view url) const;
  LockPlace node_place(const Exchange& exchange, const content::Spot& spot) const;
  LockPlace parent_place(const Exchange& exchange, const content::Spot& spot) const;
  /// `locked` unless the visitor submitted a token of each lock, or of one of several shared ones.
  Result<void> may_change(const Exchange& exchange, const std::vector<Lock>& locks) const;
  /// `locked` while a program on a mount holds a lock on the node itself, unless the visitor
  /// submitted one of its own on it: the two were weighed against each other when they were taken.
  Result<void> spare_mounts(const Exchange& exchange, const content::Spot& spot,
                            const std::vector<Lock>& locks) const;
  bool is_submitted(const Exchange& exchange, const Lock& lock) const;
  /// For content or properties of what is there, or for a new member of its directory.
  Result<void> may_write(const Exchange& exchange, const content::Spot& spot) const;
  /// For everything at and below what is there, and its name.
  Result<void> may_remove(const Exchange& exchange, const content::Spot& spot) const;
  /// What lies below a collection and is locked by a program on a mount, as spare_mounts() has it.
  Task<Result<content::Failures>> held_by_mounts_below(const Exchange& exchange,
                                                       const content::Spot& spot) const;

  Task<Result<fs::Attr>> store(Exchange& exchange, content::Spot spot, content::Uploaded content);
  struct Transfer;
  Task<Result<Transfer>> plan_transfer(Exchange& exchange, bool is_move);
  /// Makes room at the destination; what could not be removed.
  Task<content::Failures> clear(Exchange& exchange, const content::Spot& to);
  Task<Result<http::Response>> refresh_lock(Exchange& exchange, content::Spot spot);
  Task<Result<content::Spot>> lockable(Exchange& exchange, bool& created);
  http::Response multistatus(const content::Failures& failures, const Exchange& exchange) const;
  http::Response lock_answer(int status, const Lock& lock, const Exchange& exchange) const;

  const DavOptions options_;
  Visitors& visitors_;
  LockTable& locks_;
  primary::NamespaceService& namespaces_;
  content::ContentReader& reader_;
  content::ContentWriter& writer_;
  const Clock& clock_;
};

/// The status that a failure answers with, and the answer.
int dav_status(Errc code) noexcept;
http::Response dav_failure(const Error& error);
/// An error element of RFC 4918 section 16.
http::Response dav_condition(int status, std::string_view condition);

}  // namespace aster::webdav
