#include "server/primary/event_queue.h"

#include <algorithm>

namespace aster::primary {

void EventQueue::start_heartbeat(Duration period) {
  tick(weak_from_this(), executor_, period);
}

void EventQueue::tick(std::weak_ptr<EventQueue> queue, Executor& executor, Duration period) {
  executor.post_after(period, [queue, &executor, period] {
    const std::shared_ptr<EventQueue> alive = queue.lock();
    if (!alive) return;
    {
      const auto state = alive->state_.lock();
      if (state->ended) return;
      alive->wake(*state);
    }
    tick(queue, executor, period);
  });
}

// Through the executor: the publisher is the database's writer thread and holds our lock.
void EventQueue::wake(State& state) {
  if (!state.waiter) return;
  executor_.post([waiter = *std::exchange(state.waiter, std::nullopt)] { waiter.set(true); });
}

void EventQueue::push(Event event) {
  const auto state = state_.lock();
  if (state->ended) return;
  if (state->events.size() >= limit_) {
    for (const Event& dropped : state->events) {
      state->lost_position = std::max(state->lost_position, dropped.position);
    }
    state->events.clear();
    state->lost = true;
  }
  if (state->lost) {
    // What a notice said, the stream says anew after a loss.
    state->lost_position = std::max(state->lost_position, event.position);
  } else {
    state->events.push_back(std::move(event));
  }
  wake(*state);
}

void EventQueue::end() {
  const auto state = state_.lock();
  state->ended = true;
  state->events.clear();
  wake(*state);
}

std::optional<EventQueue::Batch> EventQueue::take(State& state) {
  if (state.events.empty() && !state.lost && !state.ended) return std::nullopt;
  Batch batch;
  batch.events = std::exchange(state.events, {});
  batch.lost = std::exchange(state.lost, false);
  batch.lost_position = state.lost_position;
  batch.ended = state.ended;
  return batch;
}

Task<EventQueue::Batch> EventQueue::wait() {
  const Completion<bool> woken;
  {
    const auto state = state_.lock();
    if (std::optional<Batch> batch = take(*state)) co_return std::move(*batch);
    state->waiter = woken;
  }
  co_await woken;
  const auto state = state_.lock();
  std::optional<Batch> batch = take(*state);
  co_return batch ? std::move(*batch) : Batch();
}

}  // namespace aster::primary
