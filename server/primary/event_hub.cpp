#include "server/primary/event_hub.h"

#include <algorithm>

#include "protocol/fs/json.h"

namespace aster::primary {

std::string render_invalidation(fs::Invalidation invalidation, const EventCursor& cursor,
                                bool recall) {
  invalidation.cursor = cursor.text();
  return std::string(recall ? "event: recall" : "event: inval") +
         "\ndata: " + fs::encode(invalidation) + "\n\n";
}

std::string render_reset(const EventCursor& cursor) {
  return "event: reset\ndata: {}\n\n" + render_invalidation({}, cursor);
}

std::string render_lease(uint64_t lease) {
  return "event: lease\ndata: " + fs::encode(fs::LeaseNotice{lease}) + "\n\n";
}

std::string render_wanted(const fs::LeaseWanted& wanted) {
  return "event: want\ndata: " + fs::encode(wanted) + "\n\n";
}

EventHub::EventHub(Options options, Executor& executor, const Clock& clock)
    : options_(options), executor_(executor), clock_(clock) {}

bool EventHub::add(const Session& session) {
  const auto sessions = sessions_.lock();
  if (sessions->size() >= options_.session_limit) return false;
  (*sessions)[session.id] = {session, clock_.steady(), nullptr};
  return true;
}

bool EventHub::remove(SessionId id) {
  {
    const auto sessions = sessions_.lock();
    const auto found = sessions->find(id);
    if (found == sessions->end()) return false;
    if (found->second.queue) found->second.queue->end();
    sessions->erase(found);
  }
  if (on_end_) on_end_(id);
  return true;
}

bool EventHub::touch(const Session& session) {
  const auto sessions = sessions_.lock();
  const auto found = sessions->find(session.id);
  if (found == sessions->end() || found->second.session.user != session.user ||
      found->second.session.workspace != session.workspace) {
    return false;
  }
  found->second.heard = clock_.steady();
  return true;
}

std::optional<uint64_t> EventHub::workspace_of(UserId user, SessionId id) const {
  const auto sessions = sessions_.lock();
  const auto found = sessions->find(id);
  if (found == sessions->end() || found->second.session.user != user) return std::nullopt;
  return found->second.session.workspace;
}

std::vector<SessionId> EventHub::sessions_of(UserId user, uint64_t workspace) const {
  std::vector<SessionId> out;
  const auto sessions = sessions_.lock();
  for (const auto& [id, entry] : *sessions) {
    const bool there = workspace == 0 || entry.session.workspace == workspace;
    if (entry.session.user == user && there) out.push_back(id);
  }
  return out;
}

std::vector<EventHub::Session> EventHub::silent(Duration timeout) const {
  std::vector<Session> out;
  const SteadyTime now = clock_.steady();
  const auto sessions = sessions_.lock();
  for (const auto& [id, entry] : *sessions) {
    if (now - entry.heard > timeout) out.push_back(entry.session);
  }
  return out;
}

EventHub::Stats EventHub::stats() const {
  const auto sessions = sessions_.lock();
  Stats stats{sessions->size(), 0};
  for (const auto& [id, entry] : *sessions) stats.streams += entry.queue != nullptr;
  return stats;
}

void EventHub::publish(const Change& change, const fs::Invalidation& invalidation,
                       std::span<const SessionId> recalled) {
  std::shared_ptr<const std::string> texts[2];  // made once, and only if somebody listens
  const auto sessions = sessions_.lock();
  for (const auto& [id, entry] : *sessions) {
    const bool concerned = entry.session.workspace == change.workspace && id != change.cause;
    if (!concerned || !entry.queue) continue;
    const bool recall = std::binary_search(recalled.begin(), recalled.end(), id);
    auto& text = texts[recall ? 1 : 0];
    if (!text) {
      text = std::make_shared<const std::string>(
          render_invalidation(invalidation, {options_.epoch, change.position}, recall));
    }
    entry.queue->push({change.position, text});
  }
}

std::shared_ptr<EventQueue> EventHub::attach(SessionId id) {
  auto queue = std::make_shared<EventQueue>(executor_, options_.queue_limit);
  {
    const auto sessions = sessions_.lock();
    const auto found = sessions->find(id);
    if (found == sessions->end()) return nullptr;
    if (found->second.queue) found->second.queue->end();
    found->second.queue = queue;
  }
  queue->start_heartbeat(options_.heartbeat / 2);
  return queue;
}

void EventHub::announce(SessionId id, uint64_t lease) {
  notify(id, render_lease(lease));
}

void EventHub::announce(SessionId id, const fs::LeaseWanted& wanted) {
  notify(id, render_wanted(wanted));
}

void EventHub::notify(SessionId id, std::string text) {
  const auto sessions = sessions_.lock();
  const auto found = sessions->find(id);
  if (found == sessions->end() || !found->second.queue) return;
  found->second.queue->push({0, std::make_shared<const std::string>(std::move(text))});
}

void EventHub::end_streams() {
  const auto sessions = sessions_.lock();
  for (auto& [id, entry] : *sessions) {
    if (entry.queue) entry.queue->end();
    entry.queue = nullptr;
  }
}

}  // namespace aster::primary
