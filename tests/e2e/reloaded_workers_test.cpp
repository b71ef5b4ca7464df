// The workers of a gateway's file, while it runs: one is added, one taken out, and a file with a
// mistake changes nothing.
#include "cli/enclave/reloaded_workers.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <set>

#include "settings/engine/engine_options.hpp"
#include "settings/resolve.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/loopback_worker.hpp"
#include "tests/support/models.hpp"

namespace talaria {

BOOST_AUTO_TEST_SUITE(reloaded_workers)

namespace {

const tests::LoopbackCertificates& certificates() {
  static const tests::LoopbackCertificates kOnce;
  return kOnce;
}

/// A folder with a pipeline.yaml, and the engine that was started with it.
class Gateway {
public:
  explicit Gateway(const std::string& workers) {
    write(workers);
    config_ = read();
    SilentProgress progress;
    engine_ = std::make_unique<pipeline::Engine>(settings::engine_options(config_, {}), progress);
    reload_ = cli::reloaded_workers(context_, *engine_,
                                    [this](const std::string& line) { log_ = line + "\n" + log_; });
  }
  void write(const std::string& workers, const std::string& more = {}) const {
    const auto tls = certificates().enclave();
    std::ofstream(folder_.path() / "pipeline.yaml")
        << "model: " << tests::model_folder("llama3").string() << "\npipeline: { threads: 1 }\n"
        << "hints: { cache: none }\ntls: { ca: " << tls.ca.string()
        << ", cert: " << tls.cert.string() << ", key: " << tls.key.string() << " }\nworkers:\n"
        << workers << more;
  }
  /// Another look at the file; returns what was said of it, the last line first.
  std::string reload() {
    log_.clear();
    reload_();
    return log_;
  }
  bool becomes(const std::set<std::string>& names) const {
    return tests::eventually([&] {
      std::set<std::string> ready;
      for (const auto& worker : engine_->workers())
        if (worker.state == "ready") ready.insert(worker.name);
      return ready == names;
    });
  }
  std::vector<u32> answer() {
    pipeline::Request request;
    request.prompt = {1, 2, 3};
    request.max_tokens = 5;
    request.ignore_eos = true;
    return pipeline::run_to_end(*engine_, request).tokens;
  }

private:
  config::PipelineConfig read() const {
    return settings::load_pipeline_config(folder_.path() / "pipeline.yaml", {});
  }

  tests::TemporaryFolder folder_;
  config::PipelineConfig config_;
  cli::InterruptWatch interrupts_;
  cli::GatewayContext context_{config_,     interrupts_, [] {},
                               [](auto) {}, {},          [this] { return read(); }};
  std::unique_ptr<pipeline::Engine> engine_;
  std::string log_;
  std::function<void()> reload_;
};

std::string line(const std::string& name, u16 port, const std::string& layers) {
  return "  - { name: " + name + ", address: 127.0.0.1:" + std::to_string(port) +
         ", layers: " + layers + ", start: never }\n";
}

bool says(const std::string& log, const std::string& what) {
  return log.find(what) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(workers_are_added_and_taken_out_by_the_file_and_a_mistake_changes_nothing) {
  const auto worker = [](const std::string& layers) {
    return tests::LoopbackWorker(certificates(),
                                 {tests::model_folder("llama3").string(), "int8", layers, "1/1"});
  };
  const auto a = worker("all");
  const auto b = worker("0");
  const auto c = worker("1");
  const std::string one = line("a", a.port(), "all");
  const std::string two = line("b", b.port(), "0") + line("c", c.port(), "1");
  Gateway gateway(one);
  BOOST_TEST(gateway.becomes({"a"}));
  const auto tokens = gateway.answer();
  BOOST_TEST(says(gateway.reload(), "no setting has changed"));

  gateway.write(two, "faults: { deadline: 9s }\n");
  BOOST_TEST(says(gateway.reload(), "reloaded: workers, faults.deadline"));
  BOOST_TEST(gateway.becomes({"b", "c"}));
  BOOST_TEST(gateway.answer() == tokens, boost::test_tools::per_element());
  BOOST_TEST(says(gateway.reload(), "no setting has changed"));

  for (const std::string& mistake :
       {line("b", b.port(), "0"), line("b", b.port(), "0-7"), std::string("  - nonsense\n")}) {
    gateway.write(mistake);
    const std::string said = gateway.reload();
    BOOST_TEST(says(said, "not reloaded, everything stays as it is"), said);
    BOOST_TEST(says(said, "pipeline.yaml:"), said); // with its place
    BOOST_TEST(gateway.becomes({"b", "c"}));
    BOOST_TEST(gateway.answer() == tokens, boost::test_tools::per_element());
  }

  gateway.write(one, "masking: { parameters: S40 }\n");
  const std::string said = gateway.reload();
  BOOST_TEST(says(said, "counts after a restart: masking.parameters"), said);
  BOOST_TEST(says(said, "reloaded: workers, faults.deadline"), said); // back to the default
  BOOST_TEST(gateway.becomes({"a"}));
  BOOST_TEST(gateway.answer() == tokens, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
