#pragma once

#include <boost/core/demangle.hpp>
#include <caf/all.hpp>
#include <exception>
#include <future>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "actors/errors.hpp"

namespace talaria {

/// "std::bad_alloc", or "talaria::Error (verification)": the kind of an exception without its text,
/// which may show what must not leave the enclave.
inline std::string kind_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return std::string("talaria::Error (") + to_string(error.code()) + ")";
  } catch (const std::exception& error) {
    return boost::core::demangle(typeid(error).name());
  } catch (...) {
    return "unknown";
  }
}

/// An actor whose handler throws ends with Error{internal}, which names the kind of the exception.
/// CAF's own way prints the text of the exception.
template <class Self>
void name_exceptions_by_kind(Self* self) {
  self->set_exception_handler([](std::exception_ptr& failure) {
    return to_caf(Error(Errc::internal, "an exception of type " + kind_of(failure)));
  });
}

/// Asks an actor from a thread outside the system and waits for the answer, or for the end of that
/// actor: CAF tells nobody of an answer that was promised and never given. How long an actor that
/// lives may think is for that actor to bound. The thread may outlive the system.
/// @throws what the actor answered instead, or Error{no_worker} if it is gone.
template <class Answer, class Handle, class Question>
Answer ask_until_it_ends(caf::actor_system& system, const Handle& whom, Question question) {
  // Spawning leaves a reference to the system's logger in this thread, for which the system's
  // destructor would wait until the thread ends.
  struct LetGoOfLogger {
    ~LetGoOfLogger() { caf::logger::set_current_actor_system(nullptr); }
  } const let_go;
  const auto promise = std::make_shared<std::promise<Answer>>();
  auto future = promise->get_future();
  // Held until the answer is there. An actor that waits for a response is kept alive by its request
  // alone: a promise that is broken, not kept, lets go of it, and with it of the notice of the end
  // that its monitor would have been sent a moment later.
  const caf::actor asking =
      system.spawn([promise, whom, question = std::move(question)](caf::event_based_actor* self) {
        const auto fail = [self, promise](const Error& error) {
          promise->set_exception(std::make_exception_ptr(error));
          self->quit();
        };
        name_exceptions_by_kind(self);
        self->monitor(whom);
        self->set_down_handler([fail](caf::down_msg& down) { fail(from_caf(down.reason)); });
        self->request(whom, caf::infinite, question)
            .then(
                [self, promise](Answer& answer) {
                  promise->set_value(std::move(answer));
                  self->quit();
                },
                [fail](caf::error& error) { fail(from_caf(error)); });
      });
  return future.get();
}

} // namespace talaria
