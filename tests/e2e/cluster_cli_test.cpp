// The programs as a user runs them: a cluster from one file, what a worker and the network saw, and
// what happens without a replica.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "model/weights/plan_file.hpp"
#include "model/weights/quantized.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/site.hpp"
#include "tests/support/wire_proxy.hpp"
#include "tests/support/worker_process.hpp"

namespace talaria {

namespace {

const std::filesystem::path kBin = TALARIA_BIN;
constexpr const char* kPrompt = "Who are you?";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> run_command(const std::vector<std::string>& more) {
  std::vector<std::string> words{
      (kBin / "talaria").string(), "run", "--prompt", kPrompt, "--chat", "--temperature", "0"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Rows of the uint64 arrays in a recording, as bytes.
std::vector<std::string> recorded_rows(const std::filesystem::path& folder) {
  std::vector<std::string> rows;
  std::ifstream lines(folder / "requests.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto entry = nlohmann::json::parse(line);
    const std::string file = read_file(folder / entry.at("file").get<std::string>());
    const std::size_t row_bytes = entry.at("cols").get<std::size_t>() * sizeof(u64);
    const auto count = entry.at("rows").get<std::size_t>();
    BOOST_TEST_REQUIRE(file.size() > count * row_bytes);
    for (std::size_t r = 0; r < count; ++r)
      rows.push_back(file.substr(file.size() - (count - r) * row_bytes, row_bytes));
  }
  return rows;
}

} // namespace

BOOST_AUTO_TEST_CASE(one_command_starts_a_cluster_answers_and_leaves_nothing_behind) {
  const tests::Site site(kBin);
  const u16 ports[] = {tests::free_port(), tests::free_port()};
  const auto file =
      site.write_pipeline(tests::worker_line("a", ports[0], "layers: 0-2, threads: 1") +
                          tests::worker_line("b", ports[1], "layers: 3-5, threads: 1"));
  const auto embedded = tests::run_program(run_command({"--json"}));
  const auto cluster = tests::run_program(run_command({"--config", file, "--json"}));
  BOOST_TEST_REQUIRE(cluster.status == 0, cluster.err);
  const auto out = nlohmann::json::parse(cluster.out);
  BOOST_TEST(out.at("token_ids") == nlohmann::json::parse(embedded.out).at("token_ids"));
  BOOST_TEST(out.at("workers").size() == 2U);
  for (const u16 port : ports) { // nobody listens any more: the port can be had
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    BOOST_TEST(::connect(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0);
    ::close(probe);
  }
  // Again, with the hints from disk.
  const auto again = tests::run_program(run_command({"--config", file, "--json"}));
  BOOST_TEST_REQUIRE(again.status == 0, again.err);
  BOOST_TEST(nlohmann::json::parse(again.out).at("token_ids") == out.at("token_ids"));
}

BOOST_AUTO_TEST_CASE(the_worker_sees_no_row_twice_and_the_network_nothing_at_all) {
  const tests::Site site(kBin);
  const tests::WorkerProcess worker(kBin / "talaria-worker",
                                    site.worker_arguments({"--record", (site / "seen").string()}));
  tests::WireProxy network;
  network.lead_to(worker.port());
  network.record();
  const auto file =
      site.write_pipeline(tests::worker_line("a", network.port(), "layers: all, start: never"),
                          "faults: { silence: 60s }\n"); // a lost link would send a row again
  std::string answer;
  for (int i = 0; i < 2; ++i) { // the same prompt twice: the same activations
    const auto run = tests::run_program(run_command({"--config", file, "--json"}));
    BOOST_TEST_REQUIRE(run.status == 0, run.err);
    answer = nlohmann::json::parse(run.out).at("text");
  }

  const auto rows = recorded_rows(site / "seen");
  BOOST_TEST(rows.size() > 500U);
  BOOST_TEST(std::set<std::string>(rows.begin(), rows.end()).size() == rows.size());

  const std::string wire = network.recorded();
  BOOST_TEST(wire.size() > 1000000U);
  BOOST_TEST(wire.find(kPrompt) == std::string::npos);
  BOOST_TEST(answer.size() > 20U);
  for (std::size_t at = 0; at + 6 <= answer.size(); ++at)
    BOOST_TEST_REQUIRE(wire.find(answer.substr(at, 6)) == std::string::npos);
  // Neither masked rows, which TLS hides, nor embeddings, which are clear tensors.
  for (std::size_t r = 0; r < rows.size(); r += 50)
    BOOST_TEST_REQUIRE(wire.find(rows[r].substr(0, 32)) == std::string::npos);
  const auto plan = model::load_model_plan(tests::model_folder("talaria-tiny"));
  const model::TensorStore store(tests::model_folder("talaria-tiny"));
  const model::EmbeddingTable table(store, plan);
  std::vector<float> embedding(plan.hidden);
  for (u32 token = 0; token < 64; ++token) {
    table.lookup(token, embedding);
    const std::string bytes(reinterpret_cast<const char*>(embedding.data()), 16);
    BOOST_TEST_REQUIRE(wire.find(bytes) == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(without_a_replica_a_dead_worker_is_exit_4_and_named) {
  const tests::Site site(kBin);
  tests::WorkerProcess worker(kBin / "talaria-worker", site.worker_arguments());
  const auto file =
      site.write_pipeline(tests::worker_line("only", worker.port(), "layers: all, start: never"),
                          "faults: { deadline: 500ms, request_deadline: 5s }\n");
  const auto run = tests::run_program(
      run_command({"--config", file, "--ignore-eos", "--max-tokens", "1900"}), {},
      [&worker](pid_t) { worker.end(SIGKILL); }); // in the middle of its answer
  BOOST_TEST(run.status == 4);
  BOOST_TEST(run.err.find("worker 'only' (127.0.0.1:") != std::string::npos, run.err);
  BOOST_TEST((run.err.find("layers.") != std::string::npos ||
              run.err.find("lm_head") != std::string::npos),
             run.err);
}

BOOST_AUTO_TEST_CASE(a_prepared_model_answers_from_its_two_halves) {
  const tests::Site site(kBin);
  const std::string prepared = (site / "prepared").string();
  const auto made = tests::run_program({(kBin / "talaria").string(), "prepare",
                                        tests::model_folder("talaria-tiny").string(), prepared});
  BOOST_TEST_REQUIRE(made.status == 0, made.err);
  const auto whole = tests::run_program(run_command({"--json"}));
  const auto expected = nlohmann::json::parse(whole.out).at("token_ids");

  const auto embedded = tests::run_program(run_command({"--json", "--model", prepared}));
  BOOST_TEST_REQUIRE(embedded.status == 0, embedded.err);
  BOOST_TEST(nlohmann::json::parse(embedded.out).at("token_ids") == expected);

  auto arguments = site.worker_arguments();
  arguments[1] = prepared + "/worker";
  const tests::WorkerProcess worker(kBin / "talaria-worker", arguments);
  const auto file =
      site.write_pipeline(tests::worker_line("a", worker.port(), "layers: all, start: never"));
  // The enclave's half has no weights: they are streamed once, for the integrity vectors.
  const auto split = tests::run_program(
      run_command({"--json", "--config", file, "--model", prepared + "/enclave"}));
  BOOST_TEST_REQUIRE(split.status == 0, split.err);
  BOOST_TEST(nlohmann::json::parse(split.out).at("token_ids") == expected);
  const auto alone = tests::run_program(run_command({"--model", prepared + "/enclave"}));
  BOOST_TEST(alone.status == 2);
  BOOST_TEST(alone.err.find("holds no weights") != std::string::npos, alone.err);
}

} // namespace talaria
