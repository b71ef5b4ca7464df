// Workers join, leave, move and are replaced one by one under load: no answer is lost, and none
// differs from what one worker in this process answers in clear.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <future>
#include <mutex>
#include <system_error>
#include <thread>

#include "core/random.hpp"
#include "pipeline/engine.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/loopback_worker.hpp"
#include "tests/support/models.hpp"

namespace talaria {

using tests::LoopbackShare;
using tests::LoopbackWorker;

BOOST_AUTO_TEST_SUITE(fleet)

namespace {

constexpr u64 kKinds = 6; ///< of requests

std::string model() {
  return tests::model_folder("llama3").string();
}

pipeline::Request request_of(u64 number) {
  auto rng = seeded_rng(17, number % kKinds);
  pipeline::Request request;
  request.prompt.resize(3 + 4 * (number % kKinds));
  for (auto& token : request.prompt) token = static_cast<u32>(rng.below(4096));
  request.max_tokens = 12;
  request.ignore_eos = true;
  request.sampling.temperature = 0.9F;
  request.sampling.seed = number % kKinds;
  return request;
}

std::vector<std::vector<u32>> expected_tokens() {
  pipeline::EngineOptions options;
  options.model_dir = model();
  options.threads = 1;
  options.scheme.kind = remo::SchemeKind::clear;
  SilentProgress progress;
  pipeline::Engine engine(options, progress);
  std::vector<std::vector<u32>> expected;
  for (u64 i = 0; i < kKinds; ++i)
    expected.push_back(pipeline::run_to_end(engine, request_of(i)).tokens);
  return expected;
}

const std::vector<std::vector<u32>>& expected() {
  static const auto kOnce = expected_tokens();
  return kOnce;
}

/// Certificates, workers, and an engine that uses some of them.
class Fleet {
public:
  Fleet() {
    options_.model_dir = model();
    options_.threads = 1;
    auto& cluster = options_.cluster.emplace();
    cluster.tls = certificates_.enclave();
    cluster.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_ += line + "\n";
    };
  }
  pipeline::ClusterOptions& cluster() { return *options_.cluster; }
  std::unique_ptr<LoopbackWorker> worker(const std::string& layers,
                                         const std::string& columns = "1/1",
                                         const transport::Address& listen = {"127.0.0.1", 0},
                                         tests::Lie lie = nullptr) const {
    return std::make_unique<LoopbackWorker>(certificates_,
                                            LoopbackShare{model(), "int8", layers, columns},
                                            std::move(lie), nullptr, listen);
  }
  pipeline::Engine& start() {
    SilentProgress progress;
    engine_ = std::make_unique<pipeline::Engine>(options_, progress);
    return *engine_;
  }
  pipeline::Engine& engine() { return *engine_; }
  /// The workers are these from now on; returns when those that had to have left.
  void become(const std::vector<pipeline::ClusterNode>& nodes, const std::string& gone) {
    engine_->set_workers(nodes, cluster().policy);
    BOOST_TEST(tests::eventually([&] { return mentions("'" + gone + "'", "has left"); }), log());
  }
  bool mentions(const std::string& who, const std::string& what) const {
    std::istringstream lines(log());
    for (std::string line; std::getline(lines, line);)
      if (line.find(who) != std::string::npos && line.find(what) != std::string::npos) return true;
    return false;
  }
  std::string log() const {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  std::set<std::string> ready() const {
    std::set<std::string> names;
    for (const auto& worker : engine_->workers())
      if (worker.state == "ready") names.insert(worker.name);
    return names;
  }

private:
  tests::LoopbackCertificates certificates_;
  mutable std::mutex mutex_;
  std::string log_;
  pipeline::EngineOptions options_;
  std::unique_ptr<pipeline::Engine> engine_;
};

/// Keeps an engine busy, and looks at every answer.
class Load {
public:
  explicit Load(pipeline::Engine& engine)
      : engine_(engine), thread_([this](const std::stop_token& stop) { run(stop); }) {}
  /// Returns when `more` further rounds of requests have been answered, all under way at once.
  void rounds(u32 more) const {
    const u32 until = rounds_ + more;
    BOOST_TEST(tests::eventually([&] { return rounds_ >= until; }));
  }
  void finish() {
    thread_.request_stop();
    thread_.join();
    BOOST_TEST(lost_ == 0U);
    BOOST_TEST(different_ == 0U);
    BOOST_TEST(rounds_ > 0U);
  }

private:
  void run(const std::stop_token& stop) {
    std::vector<pipeline::Request> requests;
    for (u64 i = 0; i < kKinds; ++i) requests.push_back(request_of(i));
    while (!stop.stop_requested()) {
      try {
        const auto answers = tests::run_together(engine_, requests);
        for (u64 i = 0; i < kKinds; ++i)
          if (answers[i].completion.tokens != expected()[i]) ++different_;
      } catch (const Error& error) {
        BOOST_TEST_MESSAGE("lost: " << error.what());
        ++lost_;
      }
      ++rounds_;
    }
  }

  pipeline::Engine& engine_;
  std::atomic<u32> rounds_{0};
  std::atomic<u32> lost_{0};
  std::atomic<u32> different_{0};
  std::jthread thread_;
};

LoopbackShare holds(const std::string& layers, const std::string& columns = "1/1") {
  return {model(), "int8", layers, columns};
}

} // namespace

BOOST_AUTO_TEST_CASE(every_worker_is_replaced_under_load_and_no_answer_is_lost_or_changed) {
  expected();
  Fleet fleet;
  auto a = fleet.worker("0");
  auto b = fleet.worker("1");
  const auto node_a = tests::node_at("a", a->port(), holds("0"));
  const auto node_b = tests::node_at("b", b->port(), holds("1"));
  fleet.cluster().nodes = {node_a, node_b};
  Load load(fleet.start());
  load.rounds(1);

  // One after the other moves elsewhere. There is no replica: who leaves goes on until who comes
  // can.
  auto a2 = fleet.worker("0");
  const auto node_a2 = tests::node_at("a2", a2->port(), holds("0"));
  fleet.become({node_a2, node_b}, "a");
  a.reset();
  load.rounds(1);
  auto b2 = fleet.worker("1");
  const auto node_b2 = tests::node_at("b2", b2->port(), holds("1"));
  fleet.become({node_a2, node_b2}, "b");
  b.reset();
  load.rounds(1);

  // The layers are dealt out otherwise: halves of columns, whose digests nobody has needed yet.
  auto left = fleet.worker("all", "1/2");
  auto right = fleet.worker("all", "2/2");
  const auto node_left = tests::node_at("left", left->port(), holds("all", "1/2"));
  const auto node_right = tests::node_at("right", right->port(), holds("all", "2/2"));
  fleet.become({node_left, node_right}, "a2");
  BOOST_TEST(tests::eventually([&] { return fleet.mentions("'b2'", "has left"); }));
  a2.reset();
  b2.reset();
  load.rounds(1);
  BOOST_CHECK(fleet.ready() == (std::set<std::string>{"left", "right"}));
  BOOST_TEST(fleet.engine().every_layer_is_ready());

  // And back to one that holds all, beside a replica that was never needed.
  auto whole = fleet.worker("all");
  const auto node_whole = tests::node_at("whole", whole->port(), holds("all"));
  fleet.become({node_whole}, "left");
  left.reset();
  right.reset();
  load.rounds(1);
  load.finish();
  BOOST_TEST(!fleet.mentions("", "quarantined"), fleet.log());
}

BOOST_AUTO_TEST_CASE(a_list_that_cannot_serve_the_model_changes_nothing) {
  Fleet fleet;
  auto a = fleet.worker("all");
  const auto node = tests::node_at("a", a->port(), holds("all"));
  fleet.cluster().nodes = {node};
  pipeline::Engine& engine = fleet.start();
  const auto part = tests::node_at("b", a->port(), holds("0"));
  const auto beyond = tests::node_at("b", a->port(), holds("0-7"));
  for (const auto& bad : {std::vector{part}, std::vector{beyond}, std::vector{node, beyond}})
    BOOST_CHECK_EXCEPTION(engine.set_workers(bad, fleet.cluster().policy), Error,
                          [](const Error& error) { return error.code() == Errc::config; });
  // One that lies from the start is no member of anything: its link is never ready.
  const auto absent = tests::node_at("absent", 1, holds("all"));
  engine.set_workers({absent}, fleet.cluster().policy);
  BOOST_TEST(tests::eventually([&] { return fleet.mentions("'absent'", "not ready"); }));
  BOOST_TEST(pipeline::run_to_end(engine, request_of(0)).tokens == expected()[0],
             boost::test_tools::per_element());
  engine.set_workers({node}, fleet.cluster().policy); // it never left
  BOOST_TEST(tests::eventually([&] { return fleet.mentions("'absent'", "has left"); }),
             fleet.log());
  BOOST_CHECK(fleet.ready() == std::set<std::string>{"a"});
  BOOST_TEST(pipeline::run_to_end(engine, request_of(1)).tokens == expected()[1],
             boost::test_tools::per_element());
}

// By now two workers hold what one shard of the checks is: a lie is found all the same.
BOOST_AUTO_TEST_CASE(a_newcomer_that_lies_changes_no_answer) {
  Fleet fleet;
  auto a = fleet.worker("all");
  const auto node = tests::node_at("a", a->port(), holds("all"), true);
  fleet.cluster().nodes = {node};
  pipeline::Engine& engine = fleet.start();
  std::atomic<u32> lies{0};
  const tests::Lie lie = [&lies](const transport::Request& request,
                                 transport::Reply reply) -> std::optional<transport::Reply> {
    auto* product = std::get_if<remo::WorkerProduct>(&reply);
    if (!std::holds_alternative<remo::MaskedTensor>(request) || product == nullptr) return reply;
    AlignedBuffer<u8> bytes(product->bytes->size());
    std::copy(product->bytes->begin(), product->bytes->end(), bytes.begin());
    bytes[bytes.size() / 2] ^= 1;
    product->bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
    ++lies;
    return reply;
  };
  auto left = fleet.worker("all", "1/2");
  auto right = fleet.worker("all", "2/2", {"127.0.0.1", 0}, lie);
  engine.set_workers({tests::node_at("left", left->port(), holds("all", "1/2")),
                      tests::node_at("right", right->port(), holds("all", "2/2")), node},
                     fleet.cluster().policy);
  BOOST_TEST(tests::eventually([&] { return fleet.ready().size() == 3; }), fleet.log());
  for (u64 i = 0; i < kKinds; ++i)
    BOOST_TEST(pipeline::run_to_end(engine, request_of(i)).tokens == expected()[i],
               boost::test_tools::per_element());
  BOOST_TEST(lies > 0U);
}

BOOST_AUTO_TEST_CASE(a_name_with_several_addresses_is_several_workers_and_is_looked_up_again) {
  Fleet fleet;
  std::mutex mutex;
  std::vector<std::string> addresses{"127.0.0.1"};
  bool is_broken = false;
  bool lacks_threads = false;
  const auto name_leads_to = [&](std::vector<std::string> where) {
    const std::lock_guard lock(mutex);
    is_broken = where.empty();
    if (!where.empty()) addresses = std::move(where);
  };
  auto first = fleet.worker("all");
  auto second = fleet.worker("all", "1/1", {"127.0.0.2", first->port()});
  auto entry = tests::node_at("gpus", first->port(), holds("all"));
  entry.address.host = "gpus.example";
  entry.each_address = true;
  fleet.cluster().nodes = {entry};
  fleet.cluster().resolve_every = cluster::Milliseconds(20);
  fleet.cluster().resolve = [&](const std::string& host) {
    BOOST_TEST(host == "gpus.example");
    const std::lock_guard lock(mutex);
    if (lacks_threads)
      throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                              "thread");
    if (is_broken) throw Error(Errc::no_worker, "no answer of any name server");
    return addresses;
  };
  Load load(fleet.start());
  const auto becomes = [&](const std::set<std::string>& names) {
    BOOST_TEST(tests::eventually([&] { return fleet.ready() == names; }), fleet.log());
  };
  becomes({"gpus@127.0.0.1"});
  name_leads_to({"127.0.0.2", "127.0.0.1"});
  becomes({"gpus@127.0.0.1", "gpus@127.0.0.2"});
  load.rounds(1);
  for (const auto& worker : fleet.engine().workers()) BOOST_TEST(worker.requests > 0U, worker.name);
  name_leads_to({"127.0.0.2"});
  becomes({"gpus@127.0.0.2"});
  BOOST_TEST(tests::eventually([&] { return fleet.mentions("'gpus@127.0.0.1'", "has left"); }));
  first.reset();
  load.rounds(1);
  name_leads_to({}); // no name server: everything stays as it is
  load.rounds(2);
  BOOST_CHECK(fleet.ready() == std::set<std::string>{"gpus@127.0.0.2"});
  {
    const std::lock_guard lock(mutex);
    lacks_threads = true; // what std::thread says then ends no gateway either
  }
  BOOST_TEST(
      tests::eventually([&] { return fleet.mentions("workers stay as they are", "thread"); }),
      fleet.log());
  load.rounds(1);
  load.finish();
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
