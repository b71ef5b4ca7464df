// Traces and measurements of a cluster that the programs start themselves.
#include <httplib.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tests/support/free_port.hpp"
#include "tests/support/site.hpp"

namespace talaria {

namespace {

using nlohmann::json;
using tests::Site;

const std::filesystem::path kBin = TALARIA_BIN;
constexpr const char* kFewMasks = "masking: { pool: { rows_ahead: 64 } }\n"; // soon made

tests::Finished talaria(std::vector<std::string> words,
                        std::function<void(pid_t)> on_output = nullptr) {
  words.insert(words.begin(), (kBin / "talaria").string());
  return tests::run_program(words, {}, std::move(on_output));
}

/// Workers a and b with half of the layers each.
std::string two_workers() {
  return tests::worker_line("a", tests::free_port(), "layers: 0-2, threads: 1") +
         tests::worker_line("b", tests::free_port(), "layers: 3-5, threads: 1");
}

/// A span of a trace file. Times in microseconds.
struct Span {
  std::string process;
  std::string name;
  std::string trace;
  u64 micro_batch = 0;
  u64 matrix = 0;
  double begin = 0;
  double end = 0;
};

std::vector<Span> read_spans(const std::filesystem::path& file) {
  std::ifstream in(file);
  const json trace = json::parse(in);
  std::map<u64, std::string> processes;
  std::vector<Span> spans;
  for (const auto& event : trace.at("traceEvents"))
    if (event.at("name") == "process_name")
      processes[event.at("pid").get<u64>()] = event.at("args").at("name");
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    const json& arguments = event.at("args");
    const double begin = event.at("ts").get<double>();
    spans.push_back({processes.at(event.at("pid").get<u64>()), event.at("name"),
                     arguments.value("trace", ""), arguments.value("micro_batch", u64{0}),
                     arguments.value("matrix", u64{0}), begin,
                     begin + event.at("dur").get<double>()});
  }
  return spans;
}

/// "a product", "enclave mask", ...
std::set<std::string> kinds_of(const std::vector<Span>& spans) {
  std::set<std::string> kinds;
  for (const Span& span : spans) kinds.insert(span.process + " " + span.name);
  return kinds;
}

void check_kinds(const std::vector<Span>& spans) {
  const auto kinds = kinds_of(spans);
  for (const char* kind :
       {"enclave request", "enclave embed", "enclave norm", "enclave mask", "enclave verify",
        "enclave pack", "enclave unpack", "enclave unmask", "enclave attention",
        "enclave activation", "enclave sample", "enclave mailbox"})
    BOOST_TEST(kinds.contains(kind), kind);
  for (const std::string worker : {"a ", "b "})
    for (const char* kind : {"wire up", "queue", "product", "pack", "wire down"})
      BOOST_TEST(kinds.contains(worker + kind), worker << kind);
}

/// What a worker traced stands where the enclave saw it: its frame is begun behind the product and
/// before the enclave has the answer. Generous: the offset of the clocks is right to half a round
/// trip.
void check_clocks(const std::vector<Span>& spans) {
  using Key = std::tuple<std::string, u64, u64>;
  std::map<Key, const Span*> products;
  std::map<Key, const Span*> answers;
  for (const Span& span : spans) {
    const Key key{span.process, span.micro_batch, span.matrix};
    if (span.name == "product") products[key] = &span;
    if (span.name == "wire down") answers[key] = &span;
  }
  constexpr double kHalfRoundTrip = 20'000; // of a busy machine
  std::size_t compared = 0;
  for (const Span& span : spans) {
    if (span.name != "pack" || span.process == "enclave") continue;
    const Key key{span.process, span.micro_batch, span.matrix};
    if (!products.contains(key) || !answers.contains(key)) continue;
    ++compared;
    BOOST_TEST(span.begin >= products.at(key)->end - kHalfRoundTrip);
    BOOST_TEST(span.begin <= answers.at(key)->end + kHalfRoundTrip);
  }
  BOOST_TEST(compared > 50U);
}

} // namespace

BOOST_AUTO_TEST_CASE(launch_traces_gateway_and_workers_into_one_file) {
  const Site site(kBin);
  const u16 port = tests::free_port();
  const auto file = site.write_pipeline(
      two_workers(), "serve: { listen: '127.0.0.1:" + std::to_string(port) + "' }\n");
  const auto trace = site / "trace.json";
  std::string id;
  const auto done =
      talaria({"launch", file, "--json", "--trace", trace.string()}, [&](pid_t gateway) {
        httplib::Client client("127.0.0.1", port);
        const httplib::Headers headers{
            {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}};
        for (int i = 0; i < 6000 && id.empty(); ++i) { // it tells of its nodes before it listens
          const auto result =
              client.Post("/v1/completions", headers,
                          R"({"model":"talaria-tiny","prompt":"Once upon a time","max_tokens":6})",
                          "application/json");
          if (result) id = result->get_header_value("X-Request-Id");
          if (!result) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        ::kill(gateway, SIGTERM);
      });
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  BOOST_TEST(id == "8448eb211c80319c");
  const auto spans = read_spans(trace);
  check_kinds(spans);
  check_clocks(spans);
  for (const Span& span : spans) // from HTTP to the products of both workers
    BOOST_TEST(span.trace == id, span.process << " " << span.name);

  const auto report = talaria({"trace", "report", trace.string(), "--json"});
  BOOST_TEST_REQUIRE(report.status == 0, report.err);
  BOOST_TEST(json::parse(report.out).at("workers") == json({"a", "b"}));
}

BOOST_AUTO_TEST_CASE(a_run_over_a_cluster_is_traced_as_a_whole) {
  const Site site(kBin);
  const auto file = site.write_pipeline(two_workers(), "faults: { silence: 60s }\n");
  const auto trace = site / "trace.json";
  const auto done = talaria({"run", "--config", file, "--prompt", "Once upon a time",
                             "--max-tokens", "4", "--json", "--trace", trace.string()});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  BOOST_TEST(done.err.empty(), done.err);
  const auto spans = read_spans(trace);
  check_kinds(spans);
  const std::string id = json::parse(done.out).at("trace_id");
  for (const Span& span : spans) BOOST_TEST(span.trace == id, span.process << " " << span.name);

  // A file that is no trace is left out, and named.
  const auto merged =
      talaria({"trace", "merge", trace.string(), file, "-o", (site / "again.json").string()});
  BOOST_TEST(merged.status == 0, merged.err);
  BOOST_TEST(merged.err.find(file) != std::string::npos, merged.err);
  BOOST_TEST(read_spans(site / "again.json").size() == spans.size());
  BOOST_TEST(talaria({"trace", "merge", file, "-o", (site / "none.json").string()}).status == 2);
}

BOOST_AUTO_TEST_CASE(bench_measures_a_cluster_beside_the_baseline) {
  const Site site(kBin);
  const auto file = site.write_pipeline(two_workers(), kFewMasks);
  const auto done =
      talaria({"bench", "--config", file, "--schemes", "plain,lattice", "--prefill", "24",
               "--decode", "4", "--batch", "1,4", "--rounds", "1", "--wire", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json results = json::parse(done.out).at("results");
  std::vector<std::string> who;
  for (const json& r : results)
    who.push_back(r.at("scheme").get<std::string>() + " " + r.at("worker").get<std::string>());
  const std::vector<std::string> batch{"plain embedded", "lattice cluster", "lattice embedded"};
  std::vector<std::string> both = batch;
  both.insert(both.end(), batch.begin(), batch.end());
  BOOST_TEST(who == both, boost::test_tools::per_element());
  for (const json& r : results) {
    BOOST_TEST(r.at("prefill_cpu_ms_per_token").get<double>() > 0);
    BOOST_TEST(r.at("decode_cpu_over_plain").get<double>() > 0);
    // A cluster's products are not made in this process, an embedded worker's are.
    for (const std::string phase : {"prefill", "decode"}) {
      const auto enclave = r.at(phase + "_enclave_cpu_ms_per_token").get<double>();
      const auto process = r.at(phase + "_cpu_ms_per_token").get<double>();
      BOOST_TEST(enclave > 0);
      BOOST_TEST((r.at("worker") == "cluster" ? enclave == process : enclave < process));
    }
    BOOST_TEST(r.at("prefill_tokens_per_s").get<double>() > 0);
    BOOST_TEST(r.at("decode_tokens_per_s").get<double>() > 0);
    BOOST_TEST(r.at("decode_over_plain").get<double>() > 0);
    // Workers that it started are on this machine: their products can be compared with it.
    BOOST_TEST(r.at("decode_share_of_read_bandwidth").get<double>() > 0);
    BOOST_TEST(r.at("decode_share_of_int8_rate").get<double>() > 0);
    BOOST_TEST(r.contains("mask_stalls"));
  }
}

BOOST_AUTO_TEST_CASE(bench_without_workers_has_no_wire_to_measure) {
  const auto done = talaria({"bench", "--shape", "tiny", "--wire"});
  BOOST_TEST(done.status == 2);
  BOOST_TEST(done.err.find("--config") != std::string::npos, done.err);
}

BOOST_AUTO_TEST_CASE(workers_that_bench_starts_make_random_weights_as_it_does) {
  const Site site(kBin);
  const auto file = site.write_pipeline(
      tests::worker_line("a", tests::free_port(), "layers: all, columns: 1/2, threads: 1") +
          tests::worker_line("b", tests::free_port(), "layers: all, columns: 2/2, threads: 1"),
      kFewMasks);
  const auto done =
      talaria({"bench", "--config", file, "--shape", "tiny", "--layers", "1", "--schemes",
               "lattice", "--prefill", "8", "--decode", "2", "--rounds", "1", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json result = json::parse(done.out).at("results").at(0);
  BOOST_TEST(result.at("worker") == "cluster");
  BOOST_TEST(result.at("decode_tokens_per_s").get<double>() > 0);
}

BOOST_AUTO_TEST_CASE(bench_says_what_tracing_costs) {
  const auto done =
      talaria({"bench", "--shape", "tiny", "--layers", "1", "--trace-overhead", "--prefill", "8",
               "--decode", "9", "--rounds", "2", "--batch", "1,2", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json out = json::parse(done.out);
  BOOST_TEST(out.at("results").size() == 2U);
  for (const json& result : out.at("results")) {
    BOOST_TEST(result.at("scheme") == "lattice");
    for (const std::string figure : {"decode", "prefill", "decode_cpu"}) {
      const auto ratio = result.at(figure + "_on_over_off").get<double>();
      const auto interval = result.at(figure + "_interval").get<std::array<double, 2>>();
      BOOST_TEST(interval[0] > 0);
      BOOST_TEST(interval[0] <= ratio);
      BOOST_TEST(ratio <= interval[1]);
    }
  }
  BOOST_TEST(out.at("spans_per_decode_step").get<double>() > 30);
}

BOOST_AUTO_TEST_CASE(what_tracing_costs_takes_four_decode_steps) {
  const auto done = talaria({"bench", "--shape", "tiny", "--trace-overhead", "--decode", "3"});
  BOOST_TEST(done.status == 2);
  BOOST_TEST(done.err.find("--decode") != std::string::npos, done.err);
}

BOOST_AUTO_TEST_CASE(bench_tunes_a_cluster_and_writes_what_a_pipeline_takes) {
  const Site site(kBin);
  const auto file = site.write_pipeline(two_workers(), kFewMasks);
  const auto tuned = site / "tuned.yaml";
  const auto done = talaria({"bench", "--tune", "--config", file, "--prefill", "4", "--decode", "1",
                             "--batch", "1", "--rounds", "1", "-o", tuned.string(), "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json out = json::parse(done.out);
  BOOST_TEST(out.at("tried").size() > 4U);
  BOOST_TEST(out.at("gain").get<double>() >= 1.0);
  std::ifstream in(tuned);
  const std::string fragment(std::istreambuf_iterator<char>(in), {});
  BOOST_TEST(fragment == out.at("yaml").get<std::string>());
  const auto pipeline = site.write_pipeline(two_workers(), fragment);
  const auto plan = talaria({"launch", pipeline, "--dry-run"});
  BOOST_TEST(plan.status == 0, plan.err);
}

} // namespace talaria
