#include "pipeline/vitals.hpp"

#include <utility>

#include "actors/errors.hpp"

namespace talaria::pipeline {

namespace {

std::string reason_of(const caf::error& reason) {
  return reason.category() == kErrorCategory ? from_caf(reason).what() : "it was told to";
}

} // namespace

void Vitals::watch(const caf::actor& actor, std::string name, Errc code) {
  const std::weak_ptr<Vitals> weak = weak_from_this();
  actor->attach_functor([weak, name = std::move(name), code](const caf::error& reason) {
    if (const auto self = weak.lock())
      self->fail(Error(code, "the engine is broken: its part '" + name + "' ended (" +
                                 reason_of(reason) + "); start the program again"));
  });
}

void Vitals::close() {
  {
    const std::lock_guard lock(state_mutex_);
    closed_ = true;
  }
  const std::lock_guard lock(action_mutex_);
  inside_ = outside_ = nullptr;
}

void Vitals::fail(Error error) {
  {
    const std::lock_guard lock(state_mutex_);
    if (closed_ || broken_) return;
    broken_ = error;
  }
  const std::lock_guard lock(action_mutex_);
  for (Action* place : {&inside_, &outside_})
    if (const Action action = std::exchange(*place, nullptr)) action(error);
}

std::optional<Error> Vitals::broken() const {
  const std::lock_guard lock(state_mutex_);
  return broken_;
}

void Vitals::on_broken_inside(Action action) {
  set(inside_, std::move(action));
}

void Vitals::on_broken(Action action) {
  set(outside_, std::move(action));
}

void Vitals::set(Action& place, Action action) {
  const std::lock_guard lock(action_mutex_);
  place = nullptr;
  if (const auto before = broken(); before && action)
    action(*before);
  else
    place = std::move(action);
}

} // namespace talaria::pipeline
