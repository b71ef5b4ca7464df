#pragma once

#include <caf/all.hpp>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "core/error.hpp"

namespace talaria::pipeline {

/// Whether every actor of an engine lives. None of them ends before the engine does; one that does,
/// by an exception or an exit, takes messages with it that nobody sends again, so the engine as a
/// whole is broken from then on. Thread-safe.
class Vitals : public std::enable_shared_from_this<Vitals> {
public:
  /// The end of `actor` breaks the engine from now on.
  /// @param name  what the error calls it
  /// @param code  of that error
  void watch(const caf::actor& actor, std::string name, Errc code = Errc::internal);
  /// Ends are meant from now on; no action runs any more once this has returned.
  void close();
  /// Notes that the engine is broken; only the first error counts.
  void fail(Error error);

  /// Why nothing can be answered any more; nothing while it can.
  std::optional<Error> broken() const;

  /// Runs with the first error, once, on the thread of whatever ended; at once if that was before.
  /// Each of the two has a place for one action; null takes it out.
  using Action = std::function<void(const Error&)>;
  void on_broken_inside(Action action); ///< the engine's own, which runs first
  void on_broken(Action action);

private:
  void set(Action& place, Action action);

  mutable std::mutex state_mutex_;
  std::optional<Error> broken_;
  bool closed_ = false;

  std::recursive_mutex action_mutex_; ///< an action may end actors, which may be watched
  Action inside_;
  Action outside_;
};

} // namespace talaria::pipeline
