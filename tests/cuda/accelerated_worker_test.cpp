#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <future>
#include <mutex>
#include <optional>

#include "actors/worker/device.hpp"
#include "actors/worker/worker_actor.hpp"
#include "core/random.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/public/reply_switch.hpp"

// The way products take through a worker with a GPU, on a fake one.
namespace talaria::worker {

namespace {

namespace cuda = kernels::cuda;
using remo::ProductKind;

const remo::LatticeParameters& kParameters = remo::lattice_parameters("R48");

remo::WordFormat words_of(bool rounded) {
  return rounded ? kParameters.rounded_words() : kParameters.full_words();
}
constexpr std::chrono::seconds kLong{60}; // only a failing test waits this long

/// Decides when the fake device is done, and counts what it was given.
struct Control {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t begun = 0;
  std::size_t done = 0; ///< jobs that may finish
  bool fails = false;
  bool lost = false; ///< it fails for good

  void finish_up_to(std::size_t jobs) {
    const std::lock_guard lock(mutex);
    done = jobs;
    changed.notify_all();
  }
  bool wait_for_begun(std::size_t jobs) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kLong, [&] { return begun >= jobs; });
  }
};

class FakeJob final : public cuda::Job {
public:
  FakeJob(std::shared_ptr<Control> control, std::size_t number, std::vector<Reply> replies)
      : control_(std::move(control)), number_(number), replies_(std::move(replies)) {}
  bool ready() override {
    const std::lock_guard lock(control_->mutex);
    return control_->done > number_;
  }
  std::vector<Reply> finish() override {
    std::unique_lock lock(control_->mutex);
    control_->changed.wait(lock, [&] { return control_->done > number_; });
    if (control_->lost) throw cuda::DeviceLost("the fake device fell off the bus");
    if (control_->fails) throw Error(Errc::internal, "the fake device failed");
    return std::move(replies_);
  }
  cuda::JobTimes times() const override { return {{0, 1}, {1, 2}, {2, 3}}; }

private:
  std::shared_ptr<Control> control_;
  std::size_t number_;
  std::vector<Reply> replies_;
};

class FakeDevice final : public cuda::Accelerator {
public:
  explicit FakeDevice(std::shared_ptr<Control> control) : control_(std::move(control)) {}

  void add(u32 matrix, const kernels::PackedWeights& weights) override {
    kernels::PackedWeights copy(weights.d_in(), weights.d_out());
    std::memcpy(copy.panel(0), weights.panel(0), weights.bytes());
    held_.insert_or_assign(matrix, std::move(copy));
  }
  std::unique_ptr<cuda::Job> begin(u32 matrix, cuda::RowFormat format,
                                   std::span<const cuda::InputRows> rows, bool) override {
    std::vector<cuda::Job::Reply> replies;
    for (const cuda::InputRows& group : rows)
      replies.push_back(
          std::make_shared<const AlignedBuffer<u8>>(multiply(held_.at(matrix), format, group)));
    const std::lock_guard lock(control_->mutex);
    control_->changed.notify_all();
    return std::make_unique<FakeJob>(control_, control_->begun++, std::move(replies));
  }
  std::vector<std::size_t> used_bytes() const override { return {0}; }
  std::size_t max_jobs() const override { return 2; }
  std::string name() const override { return "fake"; }

private:
  static AlignedBuffer<u8> multiply(const kernels::PackedWeights& w, cuda::RowFormat format,
                                    const cuda::InputRows& rows) {
    const kernels::ProductKernels& row = kernels::product_kernel_sets().back();
    const bool rounded =
        format == cuda::RowFormat::rounded || format == cuda::RowFormat::rounded_switched;
    const auto words = words_of(rounded);
    const auto q = words.modulus;
    const std::size_t values = rows.count * w.d_out();
    if (format == cuda::RowFormat::float32) {
      AlignedBuffer<u8> out(values * sizeof(float));
      row.float_product(reinterpret_cast<const float*>(rows.bytes), rows.count, w,
                        reinterpret_cast<float*>(out.data()), 0, w.panels());
      return out;
    }
    if (format == cuda::RowFormat::int8) {
      AlignedBuffer<u8> out(values * sizeof(i32));
      row.plain_product(reinterpret_cast<const i8*>(rows.bytes), rows.count, w,
                        reinterpret_cast<i32*>(out.data()), 0, w.panels());
      return out;
    }
    AlignedBuffer<u8> out(values * static_cast<std::size_t>(q.word_bytes));
    row.residue_product(rows.bytes, rows.count, w, q, out.data(), 0, w.panels());
    if (format == cuda::RowFormat::residues || format == cuda::RowFormat::rounded) return out;
    return remo::switch_reply(words, out.data(), values);
  }

  std::shared_ptr<Control> control_;
  std::map<u32, kernels::PackedWeights> held_;
};

model::QuantizedLinear linear_of(u32 id) {
  auto rng = seeded_rng(static_cast<u8>(40 + id));
  model::QuantizedLinear linear;
  linear.id = {id};
  linear.d_in = 48;
  linear.d_out = 70;
  linear.columns = kernels::PackedWeights(48, 70);
  for (std::size_t i = 0; i < 48; ++i)
    for (std::size_t j = 0; j < 70; ++j)
      linear.columns.at(i, j) = static_cast<i8>(static_cast<int>(rng.below(255)) - 127);
  return linear;
}

std::size_t value_bytes(ProductKind kind) {
  if (kind == ProductKind::float32) return 4;
  return kind == ProductKind::int8 ? 1 : words_of(is_rounded(kind)).word_bytes();
}

remo::MaskedTensor tensor_of(u32 matrix, u32 rows, ProductKind kind = ProductKind::residues) {
  auto rng = seeded_rng(static_cast<u8>(rows));
  AlignedBuffer<u8> bytes(rows * 48 * value_bytes(kind));
  if (kind == ProductKind::float32)
    for (std::size_t i = 0; i < bytes.size(); i += 4) {
      const float value = static_cast<float>(rng.below(2000)) - 1000.0F;
      std::memcpy(bytes.data() + i, &value, 4);
    }
  else if (kind == ProductKind::int8)
    for (u8& byte : bytes) byte = static_cast<u8>(rng.below(256));
  else
    for (std::size_t i = 0; i < bytes.size(); i += value_bytes(kind)) {
      const kernels::Modulus q = words_of(is_rounded(kind)).modulus;
      kernels::store_word(bytes.data() + i, rng.below(q.q), q.word_bytes);
    }
  return {matrix, kind, rows, 48, std::make_shared<const AlignedBuffer<u8>>(std::move(bytes))};
}

std::shared_ptr<ProductEngine> engine_on(std::shared_ptr<Control> control) {
  auto engine = std::make_shared<ProductEngine>(kParameters, remo::public_matrix_seed(), 1);
  if (control != nullptr) engine->use(std::make_unique<FakeDevice>(std::move(control)));
  for (const u32 id : {0U, 1U, 2U}) engine->add(linear_of(id));
  return engine;
}

bool same(const remo::WorkerProduct& a, const remo::WorkerProduct& b) {
  return a.matrix == b.matrix && a.kind == b.kind && a.rows == b.rows && a.cols == b.cols &&
         std::equal(a.bytes->begin(), a.bytes->end(), b.bytes->begin(), b.bytes->end());
}

/// A worker actor on a fake device, and the answers it gave.
struct FakeWorker {
  explicit FakeWorker(std::shared_ptr<Control> state)
      : control(std::move(state)), system(config),
        actor(spawn_worker(system, engine_on(control), std::make_shared<WorkerLedger>(), {},
                           [this](const Error& why) { told.emplace_back(why.what()); })) {}
  ~FakeWorker() { caf::anon_send_exit(actor, caf::exit_reason::user_shutdown); }

  std::future<Reply> ask(remo::MaskedTensor tensor) {
    auto promise = std::make_shared<std::promise<Reply>>();
    auto future = promise->get_future();
    caf::anon_send(actor, Incoming{std::move(tensor), [promise](Reply reply) {
                                     promise->set_value(std::move(reply));
                                   }});
    return future;
  }

  std::shared_ptr<Control> control;
  std::vector<std::string> told; ///< that the device is lost; before the answer that says so
  caf::actor_system_config config;
  caf::actor_system system;
  WorkerInside actor;
};

remo::WorkerProduct product_in(std::future<Reply>& answer) {
  BOOST_REQUIRE(answer.wait_for(kLong) == std::future_status::ready);
  Reply reply = answer.get();
  BOOST_REQUIRE(std::holds_alternative<remo::WorkerProduct>(reply));
  return std::get<remo::WorkerProduct>(std::move(reply));
}

Errc error_in(std::future<Reply>& answer) {
  BOOST_REQUIRE(answer.wait_for(kLong) == std::future_status::ready);
  const Reply reply = answer.get();
  BOOST_REQUIRE(std::holds_alternative<Error>(reply));
  return std::get<Error>(reply).code();
}

} // namespace

BOOST_AUTO_TEST_CASE(an_engine_answers_alike_with_and_without_a_device) {
  auto control = std::make_shared<Control>();
  control->finish_up_to(1000);
  const auto with = engine_on(control);
  const auto without = engine_on(nullptr);
  for (const auto kind : {ProductKind::residues, ProductKind::switched, ProductKind::float32,
                          ProductKind::int8, ProductKind::rounded, ProductKind::rounded_switched}) {
    const auto one = tensor_of(1, 3, kind);
    const auto other = tensor_of(1, 5, kind);
    BOOST_TEST(same(with->multiply(one), without->multiply(one)));
    const auto a = with->multiply_together({{one, other}});
    const auto b = without->multiply_together({{one, other}});
    BOOST_TEST_REQUIRE(a.size() == 2U);
    BOOST_TEST(same(a[0], b[0]));
    BOOST_TEST(same(a[1], b[1]));
  }
  BOOST_TEST(same(with->hint_rows({2, 7, 5}), without->hint_rows({2, 7, 5})));
  BOOST_TEST(with->hint_rows({2, 7, 0}).bytes->size() == 0U);
  BOOST_TEST(control->begun == 19U - 6U); // everything but the empty hint, joined products once
  BOOST_CHECK_THROW(with->multiply(tensor_of(9, 1)), Error);
}

BOOST_AUTO_TEST_CASE(the_cpu_can_be_chosen_and_nonsense_cannot) {
  ProductEngine engine(kParameters, remo::public_matrix_seed(), 2);
  BOOST_TEST(choose_device(engine, "cpu", kParameters, 2).starts_with("cpu "));
  BOOST_CHECK_THROW(choose_device(engine, "gpu", kParameters, 2), Error);
  BOOST_CHECK_THROW(choose_device(engine, "cuda:255", kParameters, 2), Error);
  engine.add(linear_of(0)); // it still multiplies by the CPU
  BOOST_TEST(engine.max_under_way() == 1U);
  BOOST_TEST(same(engine.multiply(tensor_of(0, 2)), engine_on(nullptr)->multiply(tensor_of(0, 2))));
  BOOST_CHECK_THROW(engine.use(std::make_unique<FakeDevice>(std::make_shared<Control>())), Error);
}

BOOST_AUTO_TEST_CASE(the_next_products_begin_while_one_is_under_way) {
  FakeWorker worker(std::make_shared<Control>());
  const auto cpu = engine_on(nullptr);
  auto first = worker.ask(tensor_of(0, 1));
  BOOST_TEST_REQUIRE(worker.control->wait_for_begun(1));
  auto second = worker.ask(tensor_of(1, 2));
  BOOST_TEST_REQUIRE(worker.control->wait_for_begun(2)); // though the first is not done
  auto third = worker.ask(tensor_of(2, 3));
  auto fourth = worker.ask(tensor_of(2, 4)); // joins the third
  worker.control->finish_up_to(1);
  BOOST_TEST(same(product_in(first), cpu->multiply(tensor_of(0, 1))));
  BOOST_TEST_REQUIRE(worker.control->wait_for_begun(3));
  worker.control->finish_up_to(4);
  BOOST_TEST(same(product_in(second), cpu->multiply(tensor_of(1, 2))));
  const auto joined = product_in(third);
  BOOST_TEST(same(joined, cpu->multiply(tensor_of(2, 3))));
  BOOST_TEST(same(product_in(fourth), cpu->multiply(tensor_of(2, 4))));
  BOOST_TEST(joined.timing.joined_rows >= 3U);
  BOOST_TEST(joined.timing.received <= joined.timing.started);
  BOOST_TEST(joined.timing.started <= joined.timing.finished);
}

BOOST_AUTO_TEST_CASE(a_device_that_fails_is_reported_to_whoever_asked) {
  FakeWorker worker(std::make_shared<Control>());
  worker.control->fails = true;
  worker.control->finish_up_to(1000);
  auto failed = worker.ask(tensor_of(0, 1));
  BOOST_CHECK(error_in(failed) == Errc::internal);
  {
    const std::lock_guard lock(worker.control->mutex);
    worker.control->fails = false;
  }
  BOOST_TEST(worker.told.empty());
  auto later = worker.ask(tensor_of(0, 2));
  BOOST_TEST(same(product_in(later), engine_on(nullptr)->multiply(tensor_of(0, 2))));
}

BOOST_AUTO_TEST_CASE(a_device_that_is_lost_is_told_of_once) {
  FakeWorker worker(std::make_shared<Control>());
  worker.control->lost = true;
  worker.control->finish_up_to(1000);
  for (int i = 0; i < 3; ++i) {
    auto failed = worker.ask(tensor_of(0, 1));
    BOOST_CHECK(error_in(failed) == Errc::internal);
  }
  BOOST_TEST_REQUIRE(worker.told.size() == 1U);
  BOOST_TEST(worker.told[0].find("fell off the bus") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(products_under_way_are_cancelled_when_the_worker_ends) {
  std::future<Reply> under_way;
  std::future<Reply> waiting;
  {
    FakeWorker worker(std::make_shared<Control>());
    under_way = worker.ask(tensor_of(0, 1));
    BOOST_TEST_REQUIRE(worker.control->wait_for_begun(1));
    auto another = worker.ask(tensor_of(1, 1));
    BOOST_TEST_REQUIRE(worker.control->wait_for_begun(2));
    waiting = worker.ask(tensor_of(2, 1));
    (void)caf::scoped_actor(worker.system)
        ->request(worker.actor, caf::infinite, remo::WeightRequest{0, 0, 1})
        .receive([](const remo::WeightPanels&) {}, [](const caf::error&) {});
  }
  BOOST_CHECK(error_in(under_way) == Errc::cancelled);
  BOOST_CHECK(error_in(waiting) == Errc::cancelled);
}

} // namespace talaria::worker
