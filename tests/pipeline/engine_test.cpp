#include "pipeline/engine.hpp"

#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <future>
#include <set>
#include <thread>

#include "model/weights/synthetic.hpp"
#include "pipeline/model_loader.hpp"
#include "pipeline/worker_decorator.hpp"
#include "tests/support/models.hpp"
#include "tests/support/workers.hpp"

namespace talaria::pipeline {

namespace {

EngineOptions options_for(const std::string& model) {
  EngineOptions options;
  options.model_dir = tests::model_folder(model);
  options.threads = 2;
  options.pool.rows_ahead = 512; // what a stock of the default size holds is never used here
  return options;
}

Request short_request(std::vector<u32> prompt, u32 max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

/// A worker whose answers pass through `change`.
template <class Change>
auto decorated(Change change) {
  return [change](caf::actor_system& system, worker::Worker honest) {
    return system.spawn(
        [honest, change](worker::Worker::pointer self) -> worker::Worker::behavior_type {
          return tests::in_front_of(self, honest, [=](const remo::MaskedTensor& tensor) {
            auto promise = self->make_response_promise<remo::WorkerProduct>();
            self->request(honest, caf::infinite, tensor)
                .then([=](remo::WorkerProduct& product) mutable { change(promise, product); },
                      [=](caf::error& error) mutable { promise.deliver(std::move(error)); });
            return promise;
          });
        });
  };
}

using Promise = caf::typed_response_promise<remo::WorkerProduct>;

remo::WorkerProduct with_flipped_bit(const remo::WorkerProduct& product, std::size_t byte) {
  AlignedBuffer<u8> bytes(product.bytes->size());
  std::copy(product.bytes->begin(), product.bytes->end(), bytes.begin());
  bytes[byte % bytes.size()] ^= 4;
  remo::WorkerProduct changed = product;
  changed.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
  return changed;
}

Errc error_of(Engine& engine) {
  try {
    run_to_end(engine, short_request({5, 6, 7}, 4));
  } catch (const Error& error) {
    BOOST_TEST(std::string(error.what()).find('\n') == std::string::npos);
    return error.code();
  }
  return Errc::internal;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_reply_with_one_wrong_bit_ends_the_request_and_nothing_else) {
  auto lie = std::make_shared<std::atomic<bool>>(false);
  auto options = options_for("llama3");
  options.decorate_worker = pipeline::decorate_worker(
      decorated([lie](Promise& promise, const remo::WorkerProduct& product) {
        promise.deliver(*lie ? with_flipped_bit(product, 77) : product);
      }));
  SilentProgress progress;
  Engine engine(options, progress);
  const auto honest = run_to_end(engine, short_request({5, 6, 7}, 4));
  *lie = true;
  BOOST_CHECK(error_of(engine) == Errc::verification);
  *lie = false;
  BOOST_TEST(run_to_end(engine, short_request({5, 6, 7}, 4)).tokens == honest.tokens,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(replies_of_the_wrong_shape_are_refused) {
  const auto wrong = std::make_shared<std::atomic<int>>(0);
  auto options = options_for("qwen2");
  options.decorate_worker =
      pipeline::decorate_worker(decorated([wrong](Promise& promise, remo::WorkerProduct& product) {
        if (*wrong == 1) product.rows += 1;
        if (*wrong == 2) product.cols -= 1;
        if (*wrong == 3) product.matrix += 1;
        if (*wrong == 4) product.bytes = nullptr;
        if (*wrong == 5) product.kind = remo::ProductKind::float32;
        promise.deliver(product);
      }));
  SilentProgress progress;
  Engine engine(options, progress);
  for (int kind = 1; kind <= 5; ++kind) {
    *wrong = kind;
    BOOST_CHECK(error_of(engine) == Errc::verification);
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_hint_stops_the_load) {
  auto options = options_for("qwen2");
  options.decorate_worker = pipeline::decorate_worker([](caf::actor_system& system,
                                                         worker::Worker honest) {
    return system.spawn([honest](worker::Worker::pointer self) -> worker::Worker::behavior_type {
      return tests::in_front_of(
          self, honest,
          [=](const remo::MaskedTensor& tensor) { return self->delegate(honest, tensor); },
          [=](const remo::HintRequest& request) {
            auto promise = self->make_response_promise<remo::WorkerProduct>();
            self->request(honest, caf::infinite, request)
                .then([=](remo::WorkerProduct& rows) mutable {
                  promise.deliver(request.matrix == 2 ? with_flipped_bit(rows, 1000) : rows);
                });
            return promise;
          });
    });
  });
  SilentProgress progress;
  BOOST_CHECK_EXCEPTION(Engine(options, progress), Error, [](const Error& error) {
    return error.code() == Errc::verification &&
           std::string(error.what()).find("layers.0.gate_up") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_is_an_error_and_not_a_hang) {
  auto options = options_for("qwen2");
  options.decorate_worker = pipeline::decorate_worker([](caf::actor_system& system,
                                                         worker::Worker honest) {
    return system.spawn([honest](worker::Worker::pointer self) -> worker::Worker::behavior_type {
      return tests::in_front_of(self, honest, [=](const remo::MaskedTensor&) {
        auto unanswered = self->make_response_promise<remo::WorkerProduct>();
        self->quit(caf::exit_reason::kill);
        return unanswered;
      });
    });
  });
  SilentProgress progress;
  Engine engine(options, progress);
  BOOST_CHECK(error_of(engine) == Errc::no_worker);
}

// One sequence fails while others share its micro-batches: the failed micro-batch's sequences end,
// the rest go on, and later requests find everything in order.
BOOST_AUTO_TEST_CASE(failures_in_the_middle_of_a_batch_leave_the_engine_usable) {
  auto countdown = std::make_shared<std::atomic<int>>(1 << 30);
  auto options = options_for("mistral");
  options.batch = {.micro_batches = 3, .max_rows = 9, .prefill_chunk = 4};
  options.decorate_worker = pipeline::decorate_worker(
      decorated([countdown](Promise& promise, const remo::WorkerProduct& product) {
        promise.deliver(--*countdown == 0 ? with_flipped_bit(product, 5) : product);
      }));
  SilentProgress progress;
  Engine engine(options, progress);
  std::vector<u32> long_prompt(40);
  for (u32 i = 0; i < 40; ++i) long_prompt[i] = 10 + i;
  const auto alone = run_to_end(engine, short_request(long_prompt, 6)).tokens;

  struct Sink final : RequestSink {
    std::promise<Completion> promise;
    void finished(Completion completion) override { promise.set_value(std::move(completion)); }
  };
  for (const int fail_at : {3, 20, 47, 90, 150}) {
    *countdown = fail_at;
    std::vector<std::future<Completion>> pending;
    for (int i = 0; i < 5; ++i) {
      auto sink = std::make_shared<Sink>();
      pending.push_back(sink->promise.get_future());
      engine.submit(short_request(long_prompt, 6), sink);
    }
    int failed = 0;
    for (auto& future : pending) {
      const Completion completion = future.get();
      if (completion.error)
        ++failed;
      else
        BOOST_TEST(completion.tokens == alone, boost::test_tools::per_element());
    }
    BOOST_TEST(failed >= 1);
    *countdown = 1 << 30;
    BOOST_TEST(run_to_end(engine, short_request(long_prompt, 6)).tokens == alone,
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(cancelled_requests_end_at_once_and_the_engine_goes_on) {
  SilentProgress progress;
  Engine engine(options_for("llama3"), progress);
  struct Sink final : RequestSink {
    Engine* engine = nullptr;
    std::atomic<int> pieces{0};
    std::promise<Completion> promise;
    void text(std::string_view) override {
      if (++pieces == 3) engine->cancel_all();
    }
    void finished(Completion completion) override { promise.set_value(std::move(completion)); }
  };
  std::vector<std::shared_ptr<Sink>> sinks;
  for (int i = 0; i < 4; ++i) {
    sinks.push_back(std::make_shared<Sink>());
    sinks.back()->engine = &engine;
    engine.submit(short_request({1, 2, 3, 4, 5}, 2000), sinks.back());
  }
  for (const auto& sink : sinks) {
    const auto completion = sink->promise.get_future().get();
    BOOST_CHECK(completion.reason == FinishReason::cancelled);
    BOOST_TEST(completion.tokens.size() < 2000U);
  }
  BOOST_TEST(run_to_end(engine, short_request({1, 2, 3}, 5)).tokens.size() == 5U);
}

BOOST_AUTO_TEST_CASE(requests_that_make_no_sense_are_refused) {
  SilentProgress progress;
  Engine engine(options_for("qwen3"), progress);
  const auto refused = [&](Request request) {
    try {
      run_to_end(engine, std::move(request));
    } catch (const Error& error) {
      return error.code() == Errc::usage;
    }
    return false;
  };
  BOOST_TEST(refused(short_request({}, 4)));
  BOOST_TEST(refused(short_request({4096}, 4)));
  BOOST_TEST(refused(short_request(std::vector<u32>(2049, 1), 4)));
  BOOST_TEST(refused(short_request(std::vector<u32>(2048, 1), 4)));
  BOOST_TEST(refused(short_request({1}, 0)));
  auto bad_sampling = short_request({1}, 1);
  bad_sampling.sampling.top_p = 0;
  BOOST_TEST(refused(std::move(bad_sampling)));
}

BOOST_AUTO_TEST_CASE(the_worker_is_never_shown_the_same_row_twice) {
  auto seen = std::make_shared<std::multiset<std::vector<u8>>>();
  auto options = options_for("qwen2");
  options.decorate_worker =
      pipeline::decorate_worker([seen](caf::actor_system& system, worker::Worker honest) {
        return system.spawn(
            [seen, honest](worker::Worker::pointer self) -> worker::Worker::behavior_type {
              return tests::in_front_of(self, honest, [=](const remo::MaskedTensor& tensor) {
                const std::size_t row_bytes = tensor.bytes->size() / tensor.rows;
                for (u32 r = 0; r < tensor.rows; ++r)
                  seen->emplace(tensor.bytes->data() + r * row_bytes,
                                tensor.bytes->data() + (r + 1) * row_bytes);
                return self->delegate(honest, tensor);
              });
            });
      });
  SilentProgress progress;
  Engine engine(options, progress);
  // The same prompt again and again: the same activations each time.
  for (int i = 0; i < 5; ++i) run_to_end(engine, short_request({9, 9, 9, 9}, 8));
  BOOST_TEST(seen->size() > 500U);
  BOOST_TEST(std::set<std::vector<u8>>(seen->begin(), seen->end()).size() == seen->size());
}

BOOST_AUTO_TEST_CASE(a_model_in_memory_answers_in_tokens_and_engines_share_its_weights) {
  const arch::ModelPlan plan = model::shape_plan("tiny", 1);
  EngineOptions options;
  options.model = std::make_shared<const ModelLoader>(plan, model::synthetic_tensors(plan),
                                                      model::WeightFormat::int8);
  SilentProgress progress;
  Engine lattice(options, progress);
  options.products = lattice.products();
  options.scheme.kind = remo::SchemeKind::clear;
  Engine clear(options, progress);
  BOOST_TEST(clear.products() == lattice.products());
  const auto a = run_to_end(lattice, short_request({5, 6, 7}, 6));
  const auto b = run_to_end(clear, short_request({5, 6, 7}, 6));
  BOOST_TEST(a.tokens == b.tokens, boost::test_tools::per_element());
  BOOST_TEST(a.tokens.size() == 6U);
  BOOST_TEST(a.text.empty());
  BOOST_CHECK_THROW(lattice.tokenizer(), Error);
}

BOOST_AUTO_TEST_CASE(plain_logits_are_the_same_for_any_threads_and_company) {
  struct Rows final : RequestSink {
    std::vector<float> values;
    std::promise<void> done;
    void logits(u32, MatrixView<const float> rows) override {
      for (std::size_t r = 0; r < rows.rows; ++r)
        values.insert(values.end(), rows.row(r), rows.row(r) + rows.cols);
    }
    void finished(Completion) override { done.set_value(); }
  };
  std::vector<float> first;
  for (const std::size_t threads : {1U, 3U}) {
    auto options = options_for("qwen3");
    options.threads = threads;
    options.scheme.kind = remo::SchemeKind::plain;
    options.batch.prefill_chunk = threads == 1 ? 64 : 3;
    SilentProgress progress;
    Engine engine(options, progress);
    Request request = short_request({5, 6, 7, 8, 9, 10, 11}, 0);
    request.logits = LogitsWanted::all;
    const auto sink = std::make_shared<Rows>();
    engine.submit(short_request({50, 60, 70, 80}, 5), std::make_shared<Rows>());
    engine.submit(request, sink);
    sink->done.get_future().wait();
    if (first.empty())
      first = sink->values;
    else
      BOOST_TEST(std::memcmp(first.data(), sink->values.data(), first.size() * sizeof(float)) == 0);
  }
  BOOST_TEST(!first.empty());
}

BOOST_AUTO_TEST_CASE(masks_in_stock_are_dropped_when_the_machine_was_copied) {
  struct Source final : VmGenerationSource {
    explicit Source(int pipe) : fd(pipe) {}
    ~Source() override { ::close(fd); }
    int descriptor() const noexcept override { return fd; }
    bool changed() override {
      char news = 0;
      return ::read(fd, &news, 1) == 1;
    }
    int fd;
  };
  int pipe[2];
  BOOST_REQUIRE(::pipe(pipe) == 0);
  auto options = options_for("qwen2");
  options.vm_generation = [&pipe] { return std::make_unique<Source>(pipe[0]); };
  SilentProgress progress;
  Engine engine(options, progress);
  engine.wait_for_masks();
  const auto before = run_to_end(engine, short_request({5, 6, 7}, 6)).tokens;
  engine.wait_for_masks();
  BOOST_TEST(engine.mask_stats().rows_dropped == 0U);
  BOOST_REQUIRE(::write(pipe[1], "x", 1) == 1);
  while (engine.mask_stats().rows_dropped == 0) std::this_thread::yield();
  BOOST_TEST(run_to_end(engine, short_request({5, 6, 7}, 6)).tokens == before,
             boost::test_tools::per_element());
  engine.wait_for_masks();
  BOOST_TEST(engine.mask_stats().bytes > 0U);
  ::close(pipe[1]);
}

BOOST_AUTO_TEST_CASE(a_sink_hears_of_every_token) {
  struct Counter final : RequestSink {
    std::atomic<int> tokens{0};
    std::promise<Completion> done;
    void token() override { ++tokens; }
    void finished(Completion completion) override { done.set_value(std::move(completion)); }
  };
  SilentProgress progress;
  Engine engine(options_for("llama3"), progress);
  const auto sink = std::make_shared<Counter>();
  engine.submit(short_request({5, 6, 7}, 9), sink);
  BOOST_TEST(sink->done.get_future().get().tokens.size() == 9U);
  BOOST_TEST(sink->tokens == 9);
}

} // namespace talaria::pipeline
