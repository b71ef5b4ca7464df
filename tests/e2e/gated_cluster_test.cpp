// Workers whose owner demands evidence: the same answers with it, none without it.
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include <cstring>

#include "cli/worker/owner_gate.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/loopback_worker.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/simulated_enclave.hpp"

namespace talaria::tests {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kTalaria = TALARIA_BIN "/talaria";

std::vector<Collected> answers(const pipeline::EngineOptions& options) {
  std::vector<pipeline::Request> requests(2);
  requests[0].prompt = {5, 17, 300, 42, 7};
  requests[0].logits = pipeline::LogitsWanted::all;
  requests[1].prompt = {9, 8, 7};
  requests[1].max_tokens = 10;
  requests[1].ignore_eos = true;
  requests[1].sampling.temperature = 0.8F;
  requests[1].sampling.seed = 11;
  SilentProgress progress;
  pipeline::Engine engine(options, progress);
  return run_together(engine, requests);
}

/// Two workers that share the columns, behind the owner's gate.
class GatedCluster {
public:
  explicit GatedCluster(const std::string& model) {
    options_.model_dir = model;
    options_.threads = 2;
    auto& cluster = options_.cluster.emplace();
    cluster.tls.ca = certificates_.enclave().ca; // and a key that is made now
    const auto gate = std::make_shared<cli::OwnerGate>(owner_policy(), true);
    gate->give_keys_of(SealKey{7});
    for (const char* columns : {"1/2", "2/2"}) {
      const LoopbackShare share{model, "int8", "all", columns};
      workers_.push_back(std::make_unique<LoopbackWorker>(certificates_, share, nullptr, gate));
      cluster.nodes.push_back(
          node_at(std::string("half-") + columns[0], workers_.back()->port(), share));
    }
  }
  pipeline::EngineOptions& with(u8 image) {
    options_.cluster->evidence = [image](const Sha256Digest&) {
      return honest_evidence(attester_of(image));
    };
    return options_;
  }
  pipeline::EngineOptions& options() { return options_; }

private:
  LoopbackCertificates certificates_;
  std::vector<std::unique_ptr<LoopbackWorker>> workers_;
  pipeline::EngineOptions options_;
};

Error error_of_engine(const pipeline::EngineOptions& options) {
  try {
    SilentProgress progress;
    pipeline::Engine engine(options, progress);
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("the engine started");
}

/// A folder with a pipeline.yaml of two local workers that demand evidence of `image`.
class LaunchedSite {
public:
  explicit LaunchedSite(const std::string& accepted) {
    ::setenv("XDG_RUNTIME_DIR", folder_.path().c_str(), 1);
    const auto made =
        run_program({kTalaria, "certs", "init", folder_.path() / "certs", "--hosts", "127.0.0.1"});
    BOOST_TEST_REQUIRE(made.status == 0, made.err);
    fs::copy(simulated_machine().platform, folder_.path() / "sim", fs::copy_options::recursive);
    std::ofstream(folder_.path() / "owner.yaml")
        << "version: 1\nname: owner\nevidence: [simulated]\nsimulated: { root: sim/roots.pem }\n"
        << "images:\n  - { name: theirs, snp: { measurement: [\"" << accepted << "\"] } }\n";
    std::ofstream(file())
        << "model: " << model_folder("talaria-tiny").string() << "\nworkers:\n"
        << worker("first", "0-2") << worker("second", "3-5")
        << "tls: { ca: certs/ca.pem, identity: ephemeral }\nhints: { cache: none }\n"
        << "serve: { listen: \"127.0.0.1:" << free_port()
        << "\", tls: { cert: certs/127.0.0.1.pem, key: certs/127.0.0.1.key }, attestation: { "
        << "platform: simulated, folder: sim, measurement: \"" << kMeasured << "\" } }\n";
  }
  ~LaunchedSite() { run_program({kTalaria, "stop", file()}); }
  std::string file() const { return (folder_.path() / "pipeline.yaml").string(); }
  Finished talaria(const std::vector<std::string>& words) const {
    std::vector<std::string> all{kTalaria};
    all.insert(all.end(), words.begin(), words.end());
    return run_program(all);
  }
  std::string log_of(const std::string& node) const {
    std::ifstream in(folder_.path() / "logs" / (node + ".log"));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static inline const std::string kMeasured = std::string(96, '5');

private:
  static std::string worker(const std::string& name, const std::string& layers) {
    return "  - { name: " + name + ", address: \"127.0.0.1:" + std::to_string(free_port()) +
           "\", layers: " + layers + ", threads: 1, require_attestation: owner.yaml }\n";
  }
  TemporaryFolder folder_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(gated_cluster)

BOOST_AUTO_TEST_CASE(evidence_changes_no_bit_of_an_answer) {
  const std::string model = model_folder("qwen3");
  pipeline::EngineOptions embedded;
  embedded.model_dir = model;
  embedded.threads = 2;
  const auto expected = answers(embedded);
  GatedCluster cluster(model);
  const auto got = answers(cluster.with(kGoodImage));
  BOOST_TEST_REQUIRE(got.size() == expected.size());
  BOOST_TEST(got[1].completion.tokens == expected[1].completion.tokens,
             boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(got[0].logits.size() == expected[0].logits.size());
  for (std::size_t row = 0; row < got[0].logits.size(); ++row)
    BOOST_TEST((std::memcmp(got[0].logits[row].data(), expected[0].logits[row].data(),
                            got[0].logits[row].size() * sizeof(float)) == 0));
}

// The key comes with the verdict; whoever has the disk and not the verdict has nothing.
BOOST_AUTO_TEST_CASE(hints_are_kept_under_the_owners_key) {
  const TemporaryFolder folder;
  std::vector<std::string> log;
  GatedCluster cluster(model_folder("qwen3"));
  pipeline::EngineOptions& options = cluster.with(kGoodImage);
  options.hints.folder = folder.path() / "hints";
  options.hints.sealing = pipeline::HintSealing::owner;
  options.hints.log = [&log](const std::string& line) { log.push_back(line); };
  const auto expected = answers(options);
  const std::string line =
      "hints on this disk are sealed with the key that the owner of the weights gave";
  BOOST_TEST(log == std::vector<std::string>{line}, boost::test_tools::per_element());
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(options.hints.folder)) {
    files += entry.path().extension() == ".hint";
    char head[12] = {};
    std::ifstream(entry.path(), std::ios::binary).read(head, sizeof head);
    BOOST_TEST(head[8] == 2); // sealed
  }
  BOOST_TEST(files > 0U);
  log.clear();
  const auto again = answers(options);
  BOOST_TEST(log.size() == 1U); // and nothing had to be fetched anew
  BOOST_TEST(again[1].completion.tokens == expected[1].completion.tokens,
             boost::test_tools::per_element());
  options.hints.sealing = pipeline::HintSealing::chip;
  const Error refused = error_of_engine(options);
  BOOST_TEST((refused.code() == Errc::config));
}

BOOST_AUTO_TEST_CASE(an_engine_that_is_refused_does_not_start) {
  GatedCluster cluster(model_folder("qwen3"));
  const Error refused = error_of_engine(cluster.with(0x66));
  BOOST_TEST((refused.code() == Errc::config));
  BOOST_TEST(std::string(refused.what()).find("attestation: image: ") != std::string::npos,
             refused.what());
  cluster.options().cluster->evidence = nullptr;
  const Error silent = error_of_engine(cluster.options());
  BOOST_TEST((silent.code() == Errc::config));
  BOOST_TEST(std::string(silent.what()).find("gives no evidence of itself") != std::string::npos,
             silent.what());
}

BOOST_AUTO_TEST_CASE(a_launched_cluster_attests_itself_and_status_says_so) {
  const LaunchedSite site(LaunchedSite::kMeasured);
  const Finished launched = site.talaria({"launch", site.file(), "--detach"});
  BOOST_TEST_REQUIRE(launched.status == 0, launched.err);
  const Finished asked = site.talaria({"status", site.file(), "--json"});
  BOOST_TEST_REQUIRE(asked.status == 0, asked.err);
  const json status = json::parse(asked.out);
  BOOST_TEST_REQUIRE(status["workers"].size() == 2u, asked.out);
  for (const json& worker : status["workers"]) {
    const auto text = worker["attestation"].get<std::string>();
    BOOST_TEST(text.starts_with("until 2"), text);
  }
  const Finished text = site.talaria({"status", site.file()});
  BOOST_TEST(text.out.find("attested") != std::string::npos, text.out);
  for (const char* node : {"first", "second"}) {
    const std::string log = site.log_of(node);
    BOOST_TEST(log.find("attestation: SIMULATED.") != std::string::npos, log);
    BOOST_TEST(log.find(": attested for 3600 s: SIMULATED snp, image \"theirs\"") !=
                   std::string::npos,
               log);
  }
}

BOOST_AUTO_TEST_CASE(a_run_answers_with_evidence_and_ends_without) {
  const LaunchedSite site(LaunchedSite::kMeasured);
  const std::vector<std::string> prompt{"--max-tokens", "4",   "--temperature", "0",
                                        "--prompt",     "Once"};
  const auto with = [&](std::vector<std::string> words) {
    words.insert(words.end(), prompt.begin(), prompt.end());
    return site.talaria(words);
  };
  const Finished run = with({"run", "--config", site.file()});
  BOOST_TEST_REQUIRE(run.status == 0, run.err);
  const Finished embedded = with({"run", "--model", model_folder("talaria-tiny").string()});
  BOOST_TEST(run.out == embedded.out);
  const LaunchedSite other(std::string(96, '6'));
  std::vector<std::string> words{"run", "--config", other.file()};
  words.insert(words.end(), prompt.begin(), prompt.end());
  const Finished refused = other.talaria(words);
  BOOST_TEST(refused.status == 2);
  BOOST_TEST(refused.err.find("attestation: image: ") != std::string::npos, refused.err);
  BOOST_TEST(refused.out.empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
