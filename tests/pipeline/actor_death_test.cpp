// An exception anywhere in the engine ends the requests concerned, or all of them; nobody waits for
// what does not come.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <future>
#include <stdexcept>

#include "pipeline/engine.hpp"
#include "pipeline/worker_decorator.hpp"
#include "tests/support/killable_graph.hpp"
#include "tests/support/models.hpp"
#include "tests/support/workers.hpp"

namespace talaria::pipeline {

namespace {

EngineOptions tiny_options() {
  EngineOptions options;
  options.model_dir = tests::model_folder("qwen2");
  options.threads = 2;
  options.pool.threads = 1;
  options.pool.rows_ahead = 0; // engines are made for every stage, masks for the rows they send
  return options;
}

Request request_of(u32 max_tokens) {
  Request request;
  request.prompt = {5, 6, 7};
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

/// Hears of an answer and throws where it is told to.
struct Sink final : RequestSink {
  enum class Throws { never, token, text, logits, finished };
  explicit Sink(Throws where = Throws::never) : throws(where) {}
  void at(Throws where) const {
    if (throws == where) throw std::runtime_error(tests::kSecretText);
  }
  void token() override {
    if (++tokens == 1) begun.set_value();
    at(Throws::token);
  }
  void text(std::string_view) override { at(Throws::text); }
  void logits(u32, MatrixView<const float>) override { at(Throws::logits); }
  void finished(Completion completion) override {
    BOOST_TEST(++ends == 1);
    done.set_value(std::move(completion));
    at(Throws::finished);
  }
  Completion completion() { return done.get_future().get(); }

  const Throws throws;
  std::atomic<int> tokens{0};
  std::atomic<int> ends{0};
  std::promise<void> begun;
  std::promise<Completion> done;
};

bool shows_the_secret(const Error& error) {
  return std::string(error.what()).find("4132") != std::string::npos;
}

/// What is left of an engine one of whose parts is gone.
void check_broken(Engine& engine, Errc code) {
  const auto error = engine.broken();
  BOOST_TEST_REQUIRE(error.has_value());
  BOOST_CHECK(error->code() == code);
  BOOST_TEST(!shows_the_secret(*error));
  BOOST_CHECK_EXCEPTION(
      engine.submit(request_of(3), std::make_shared<Sink>()), Error,
      [&](const Error& refusal) { return std::string(refusal.what()) == error->what(); });
  engine.cancel_all();
  engine.wait_until_idle();
}

/// The engine that `break_it` breaks once its first request has a token.
template <class Break>
void check_death(const EngineOptions& options, Errc code, Break break_it) {
  SilentProgress progress;
  Engine engine(options, progress);
  std::promise<std::string> told;
  engine.on_broken([&told](const Error& error) { told.set_value(error.what()); });
  std::vector<std::shared_ptr<Sink>> sinks;
  for (int i = 0; i < 3; ++i) {
    sinks.push_back(std::make_shared<Sink>());
    engine.submit(request_of(2000), sinks.back());
  }
  sinks.front()->begun.get_future().wait();
  break_it();
  for (const auto& sink : sinks) {
    const Completion completion = sink->completion();
    BOOST_CHECK(completion.reason == FinishReason::error);
    BOOST_TEST_REQUIRE(completion.error.has_value());
    BOOST_TEST(!shows_the_secret(*completion.error));
  }
  const std::string why = told.get_future().get();
  check_broken(engine, code);
  BOOST_TEST(engine.broken()->what() == why);
  engine.on_broken(nullptr);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_sink_that_throws_ends_its_own_request_only) {
  using Throws = Sink::Throws;
  SilentProgress progress;
  Engine engine(tiny_options(), progress);
  const auto alone = run_to_end(engine, request_of(12)).tokens;
  for (const Throws where : {Throws::token, Throws::text, Throws::logits, Throws::finished}) {
    const auto neighbour = std::make_shared<Sink>();
    const auto culprit = std::make_shared<Sink>(where);
    engine.submit(request_of(12), neighbour);
    Request request = request_of(12);
    request.logits = LogitsWanted::last;
    engine.submit(std::move(request), culprit);
    const Completion failed = culprit->completion();
    if (where == Throws::finished) {
      BOOST_TEST(failed.tokens == alone, boost::test_tools::per_element());
    } else {
      BOOST_CHECK(failed.reason == FinishReason::error);
      BOOST_TEST_REQUIRE(failed.error.has_value());
      BOOST_CHECK(failed.error->code() == Errc::internal);
      BOOST_TEST(!shows_the_secret(*failed.error));
    }
    BOOST_TEST(neighbour->completion().tokens == alone, boost::test_tools::per_element());
  }
  engine.wait_until_idle();
  BOOST_TEST(!engine.broken().has_value());
  BOOST_TEST(run_to_end(engine, request_of(12)).tokens == alone, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(whichever_actor_ends_every_request_is_told_and_later_ones_are_refused) {
  EngineOptions options = tiny_options();
  SilentProgress progress;
  std::vector<std::string> names;
  {
    const Engine first(options, progress);
    options.products = first.products();
    options.linears = first.linears();
    names = tests::killable();
  }
  BOOST_TEST(names.size() > 30U);
  for (const std::string& name : names) {
    BOOST_TEST_CONTEXT(name)
    check_death(options, Errc::internal, [&] { tests::kill_stage(name); });
  }
}

BOOST_AUTO_TEST_CASE(an_exception_in_a_handler_is_told_by_its_kind_and_not_by_its_text) {
  tests::throws_at = 5;
  EngineOptions options = tiny_options();
  options.batch.micro_batches = 1;
  SilentProgress progress;
  Engine engine(options, progress);
  const auto sink = std::make_shared<Sink>();
  engine.submit(request_of(2000), sink);
  const Completion completion = sink->completion();
  tests::throws_at = 0;
  BOOST_CHECK(completion.reason == FinishReason::error);
  BOOST_TEST(completion.tokens.size() <= 4U);
  check_broken(engine, Errc::internal);
  BOOST_TEST(std::string(engine.broken()->what()).find("'entrance'") != std::string::npos);
  BOOST_TEST(std::string(engine.broken()->what()).find("std::logic_error") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_worker_in_this_process_that_ends_breaks_the_engine) {
  const auto dies = std::make_shared<std::atomic<bool>>(false);
  EngineOptions options = tiny_options();
  options.decorate_worker =
      pipeline::decorate_worker([dies](caf::actor_system& system, worker::Worker honest) {
        return system.spawn([=](worker::Worker::pointer self) -> worker::Worker::behavior_type {
          return tests::in_front_of(self, honest, [=](const remo::MaskedTensor& tensor) {
            auto promise = self->make_response_promise<remo::WorkerProduct>();
            if (*dies) { // the promise is kept by nobody
              self->quit(caf::exit_reason::kill);
              return promise;
            }
            self->request(honest, caf::infinite, tensor)
                .then([=](remo::WorkerProduct& product) mutable { promise.deliver(product); });
            return promise;
          });
        });
      });
  check_death(options, Errc::no_worker, [&] { *dies = true; });
}

BOOST_AUTO_TEST_CASE(a_worker_that_ends_while_hints_are_made_is_an_error_and_not_a_hang) {
  EngineOptions options = tiny_options();
  options.decorate_worker =
      pipeline::decorate_worker([](caf::actor_system& system, worker::Worker honest) {
        return system.spawn([=](worker::Worker::pointer self) -> worker::Worker::behavior_type {
          return tests::in_front_of(
              self, honest,
              [=](const remo::MaskedTensor& tensor) { return self->delegate(honest, tensor); },
              [=](const remo::HintRequest&) {
                self->quit(caf::exit_reason::kill);
                return self->make_response_promise<remo::WorkerProduct>();
              });
        });
      });
  SilentProgress progress;
  BOOST_CHECK_EXCEPTION(Engine(options, progress), Error,
                        [](const Error& error) { return error.code() == Errc::no_worker; });
}

} // namespace talaria::pipeline
