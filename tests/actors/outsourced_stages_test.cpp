// mask, outsource and unmask of one matrix, wired as in the graph, in front of a worker that does
// what a test says.
#include <boost/test/unit_test.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <functional>
#include <vector>

#include "actors/enclave/mask_stage.hpp"
#include "actors/enclave/outsource_stage.hpp"
#include "actors/enclave/unmask_stage.hpp"
#include "actors/errors.hpp"
#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

namespace talaria::enclave {

BOOST_AUTO_TEST_SUITE(outsourced_stages_test)

namespace {

using namespace remo::testing;
using remo::MaskedTensor;
using remo::WorkerProduct;
using Promise = caf::typed_response_promise<WorkerProduct>;

struct TestConfig : caf::actor_system_config {
  TestConfig() { set("scheduler.policy", caf::atom("testing")); }
};

struct Fixture {
  explicit Fixture(Unmasked mode = Unmasked::as_input,
                   remo::ReplyFormat reply = remo::ReplyFormat::full)
      : random(3), toy(toy_parameters("S48", 16, 2)), honest(toy),
        matrix(50, 20, false, Weights::uniform, true, random) {
    remo::SchemeOptions options;
    options.parameters = &toy;
    options.reply = reply;
    honest.hold(matrix.matrix, copy_of(matrix.weights));
    auto rng = seeded_rng(5);
    SilentProgress progress;
    linear = remo::make_scheme(options)->prepare(matrix.spec(), honest, rng, progress);
    remo::MaskPool::Options stock;
    stock.rows_ahead = 16;
    stock.threads = 0;
    pool = std::make_shared<remo::MaskPool>(
        std::vector<const remo::MaskedLinear*>{linear.get()}, stock,
        [] { return std::make_unique<ChaChaRng>(ChaChaRng::from_system()); });
    x = test_rows(3, 50, Activations::gaussian, random);
    residual = test_rows(3, 20, Activations::gaussian, random);
    spawn(mode);
  }
  ~Fixture() {
    for (const auto& actor : actors) caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    clock.run();
  }

  void spawn(Unmasked mode) {
    worker =
        keep(system.spawn([this](worker::Worker::pointer self) -> worker::Worker::behavior_type {
          return {[this, self](const MaskedTensor& tensor) {
                    seen.push_back(tensor);
                    auto promise = self->make_response_promise<WorkerProduct>();
                    on_tensor(promise, tensor);
                    return promise;
                  },
                  [this, self](const worker::Dispute& dispute) {
                    disputes.push_back(dispute);
                    auto promise = self->make_response_promise<WorkerProduct>();
                    on_dispute(promise, dispute);
                    return promise;
                  },
                  [](const remo::HintRequest&) { return WorkerProduct(); },
                  [](const remo::WeightRequest&) { return remo::WeightPanels(); }};
        }));
    const Overseer overseer =
        keep(system.spawn([this](Overseer::pointer) -> Overseer::behavior_type {
          return {[](const Sampled&) {}, [this](const Failure& f) { failures.push_back(f); }};
        }));
    const Stage next = keep(system.spawn([this](Stage::pointer) -> Stage::behavior_type {
      return {[this](const Flow& flow) { passed.push_back(flow); }};
    }));
    const OutsourcedLinear target{linear, pool, 0};
    const auto context = [&](const char* name) { return StageContext{name, overseer, nullptr, 0}; };
    const auto unmask = keep(spawn_unmask(system, context("unmask"), target, mode, next));
    const auto outsource = keep(spawn_outsource(system, worker, unmask));
    mask = keep(spawn_mask(system, context("mask"), target, outsource, unmask));
  }
  template <class Handle>
  Handle keep(Handle handle) {
    actors.push_back(caf::actor_cast<caf::actor>(handle));
    return handle;
  }

  void send(u64 id = 1) {
    MicroBatch batch;
    batch.id = id;
    batch.rows = 3;
    Flow flow;
    flow.batch = std::make_shared<const MicroBatch>(std::move(batch));
    flow.x = share_clear(copy_matrix(x));
    flow.residual = share_clear(copy_matrix(residual));
    caf::anon_send(mask, std::move(flow));
    clock.run();
  }
  static Matrix<float> copy_matrix(const Matrix<float>& m) {
    Matrix<float> copy(m.rows(), m.cols());
    std::copy_n(m.data(), m.rows() * m.cols(), copy.data());
    return copy;
  }
  /// Without actors.
  Matrix<float> expected(bool with_residual = false) {
    remo::Masked masked = linear->mask(x.view(), pool->take(0, 3));
    return linear
        ->unmask(masked.opening, honest.product(masked.tensor),
                 with_residual ? residual.view() : MatrixView<const float>())
        .value();
  }

  TestConfig config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& clock =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  TestRandom random;
  remo::LatticeParameters toy;
  TestWorker honest;
  TestLinear matrix;
  std::shared_ptr<const remo::MaskedLinear> linear;
  std::shared_ptr<remo::MaskPool> pool;
  Matrix<float> x, residual;
  worker::Worker worker;
  Stage mask;
  std::vector<caf::actor> actors;

  std::function<void(Promise, const MaskedTensor&)> on_tensor = [this](Promise promise,
                                                                       const MaskedTensor& tensor) {
    promise.deliver(honest.product(tensor));
  };
  std::function<void(Promise, const worker::Dispute&)> on_dispute =
      [this](Promise promise, const worker::Dispute& dispute) {
        promise.deliver(honest.product(dispute.tensor));
      };
  std::vector<MaskedTensor> seen;
  std::vector<worker::Dispute> disputes;
  std::vector<Flow> passed;
  std::vector<Failure> failures;
};

void lie(Fixture& f) {
  f.on_tensor = [&f](Promise promise, const MaskedTensor& tensor) {
    promise.deliver(with_bit_flipped(f.honest.product(tensor), 5, 3));
  };
}

} // namespace

BOOST_AUTO_TEST_CASE(a_flow_comes_out_multiplied) {
  Fixture f;
  f.send();
  BOOST_TEST_REQUIRE(f.passed.size() == 1U);
  BOOST_TEST(same_bits(*f.passed[0].x, f.expected()));
  BOOST_TEST(same_bits(*f.passed[0].residual, f.residual));
  BOOST_TEST(f.disputes.empty());
  f.send(2);
  BOOST_TEST_REQUIRE(f.seen.size() == 2U);
  BOOST_TEST(f.seen[0].rows == 3U);
  BOOST_TEST((std::memcmp(f.seen[0].bytes->data(), f.seen[1].bytes->data(),
                          f.seen[0].bytes->size()) != 0)); // another mask
}

BOOST_AUTO_TEST_CASE(a_product_for_the_residual_stream_becomes_it) {
  Fixture f(Unmasked::into_residual);
  f.send();
  BOOST_TEST_REQUIRE(f.passed.size() == 1U);
  BOOST_TEST(same_bits(*f.passed[0].x, f.expected(true)));
  BOOST_TEST(f.passed[0].x == f.passed[0].residual);
}

BOOST_AUTO_TEST_CASE(a_wrong_product_is_disputed_with_the_same_bytes) {
  Fixture f;
  lie(f);
  f.send();
  BOOST_TEST_REQUIRE(f.disputes.size() == 1U);
  BOOST_TEST(f.disputes[0].tensor.bytes == f.seen.at(0).bytes);
  BOOST_TEST_REQUIRE(f.passed.size() == 1U);
  BOOST_TEST(same_bits(*f.passed[0].x, f.expected()));
  BOOST_TEST(f.failures.empty());
}

BOOST_AUTO_TEST_CASE(whoever_keeps_lying_is_disputed_again_until_somebody_gives_up) {
  Fixture f;
  lie(f);
  int lies = 0;
  f.on_dispute = [&](Promise promise, const worker::Dispute& dispute) {
    if (++lies < 5)
      promise.deliver(with_bit_flipped(f.honest.product(dispute.tensor), 7, 1));
    else
      promise.deliver(to_caf(Error(Errc::verification, "layers.3.qkv: nobody is left")));
  };
  f.send();
  BOOST_TEST(f.disputes.size() == 5U);
  BOOST_TEST(f.passed.empty());
  BOOST_TEST_REQUIRE(f.failures.size() == 1U);
  BOOST_TEST((f.failures[0].code == Errc::verification));
  const std::string& text = f.failures[0].message;
  BOOST_TEST(text.find("nobody is left") != std::string::npos, text);
  BOOST_TEST(text.find("layers.3.qkv") == text.rfind("layers.3.qkv"), text); // named once
}

BOOST_AUTO_TEST_CASE(a_wrong_switched_reply_ends_the_micro_batch) {
  Fixture f(Unmasked::as_input, remo::ReplyFormat::switched);
  lie(f);
  f.send();
  BOOST_TEST(f.disputes.empty());
  BOOST_TEST(f.failures.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_refusal_ends_one_micro_batch_and_not_the_next) {
  Fixture f;
  const auto honest = f.on_tensor;
  f.on_tensor = [](Promise promise, const MaskedTensor&) {
    promise.deliver(to_caf(Error(Errc::no_worker, "all are away")));
  };
  f.send(8);
  BOOST_TEST_REQUIRE(f.failures.size() == 1U);
  BOOST_TEST(f.failures[0].micro_batch == 8U);
  BOOST_TEST((f.failures[0].code == Errc::no_worker));
  f.on_tensor = honest;
  f.send(9);
  BOOST_TEST(f.passed.size() == 1U);
}

// It answers nobody: neither the product nor the dispute that is with it.
BOOST_AUTO_TEST_CASE(a_worker_that_dies_fails_what_it_was_asked) {
  for (const bool in_dispute : {false, true}) {
    Fixture f;
    std::vector<Promise> kept;
    if (in_dispute) {
      lie(f);
      f.on_dispute = [&](Promise promise, const worker::Dispute&) { kept.push_back(promise); };
    } else {
      f.on_tensor = [&](Promise promise, const MaskedTensor&) { kept.push_back(promise); };
    }
    f.send();
    BOOST_TEST(kept.size() == 1U);
    BOOST_TEST(f.failures.empty());
    caf::anon_send_exit(f.worker, caf::exit_reason::kill);
    f.clock.run();
    BOOST_TEST(f.failures.size() == 1U, "in a dispute: " << in_dispute);
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::enclave
