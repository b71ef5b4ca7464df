// The programs as a user meets them: what they print, how they end, and what they say to bad input.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

using nlohmann::json;
using tests::Finished;
namespace fs = std::filesystem;

namespace {

const std::string kTalaria = TALARIA_BIN "/talaria";
const std::string kWorker = TALARIA_BIN "/talaria-worker";
const std::string kTiny = tests::model_folder("talaria-tiny").string();
const std::string kQwen = tests::model_folder("qwen2").string();

Finished talaria(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), kTalaria);
  return tests::run_program(arguments, input);
}

/// One line on standard error that names the culprit, nothing on standard output, the right status.
void check_refused(const Finished& done, int status, const std::string& culprit) {
  BOOST_TEST(done.status == status, "status " << done.status << ", stderr: " << done.err);
  BOOST_TEST(done.out.empty());
  BOOST_TEST(done.err.starts_with("talaria: "));
  BOOST_TEST(std::count(done.err.begin(), done.err.end(), '\n') == 1, done.err);
  BOOST_TEST(done.err.find(culprit) != std::string::npos, done.err);
}

/// A copy of a small model that a test may damage.
class DamagedModel {
public:
  DamagedModel() { fs::copy(kQwen, folder_.path() / "model"); }
  fs::path file(const std::string& name) const { return folder_.path() / "model" / name; }
  std::string path() const { return (folder_.path() / "model").string(); }
  std::string read(const std::string& name) const {
    std::ifstream in(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(file(name), std::ios::binary | std::ios::trunc) << content;
  }
  void edit_json(const std::string& name, const std::function<void(json&)>& edit) const {
    json content = json::parse(read(name));
    edit(content);
    write(name, content.dump());
  }
  Finished run() const {
    return talaria({"run", "--model", path(), "--prompt", "Hello", "--max-tokens", "2"});
  }

private:
  tests::TemporaryFolder folder_;
};

/// Lets a browser draw the page, where there is one, and looks at what its scripts made of it.
void check_picture(const fs::path& page) {
  const fs::path chromium = "/usr/bin/chromium";
  if (!fs::exists(chromium)) {
    BOOST_TEST_MESSAGE("skipped: no chromium to draw " << page.filename());
    std::fputs("skipped: no chromium to draw the report with\n", stderr);
    return;
  }
  const tests::TemporaryFolder profile;
  const fs::path picture = profile.path() / "report.png";
  const auto browse = [&](const std::string& what) {
    return tests::run_program({chromium.string(), "--headless", "--no-sandbox", "--disable-gpu",
                               "--disable-background-networking", "--no-first-run",
                               "--user-data-dir=" + (profile.path() / "profile").string(),
                               "--window-size=1280,1600", what, "file://" + page.string()});
  };
  const auto drawn = browse("--dump-dom");
  BOOST_TEST(drawn.status == 0);
  for (const char* part : {"Waterfall of a decode token", "Waterfall of a prefill micro-batch",
                           "class=\"bar\"", "Prefill batch"})
    BOOST_TEST(drawn.out.find(part) != std::string::npos, part);
  browse("--screenshot=" + picture.string());
  BOOST_TEST(fs::exists(picture));
  BOOST_TEST(fs::file_size(picture) > 20'000U); // an empty page has a fifth of that
}

} // namespace

BOOST_AUTO_TEST_CASE(the_shipped_model_says_who_it_is) {
  const auto done = talaria(
      {"run", "--model", kTiny, "--chat", "--prompt", "Who are you?", "--max-tokens", "48"});
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(done.out.starts_with("I am Talaria, a very small language model."), done.out);
  BOOST_TEST(done.err.empty(), done.err);
}

BOOST_AUTO_TEST_CASE(run_prints_one_json_object_with_the_documented_keys) {
  const auto done = talaria({"run", "--model", kTiny, "--prompt", "In the beginning",
                             "--max-tokens", "5", "--ignore-eos", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json out = json::parse(done.out);
  BOOST_TEST(out.at("token_ids").size() == 5U);
  BOOST_TEST(out.at("prompt_token_ids").at(0).get<int>() == 4092);
  BOOST_TEST(out.at("finish_reason").get<std::string>() == "length");
  BOOST_TEST(out.at("scheme").get<std::string>() == "lattice");
  BOOST_TEST(!out.at("text").get<std::string>().empty());
  for (const char* key : {"ttft_ms", "prefill_tokens_per_s", "decode_tokens_per_s"})
    BOOST_TEST(out.at("timings").at(key).get<double>() > 0);
  BOOST_TEST(out.at("bytes").at("up").get<long>() > 0);
  BOOST_TEST(out.at("bytes").at("down").get<long>() > 0);
  BOOST_TEST(out.at("workers").size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_file_of_prompts_is_answered_together_as_one_by_one) {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "prompts.txt";
  const std::vector<std::string> prompts{"In the beginning", "Who are you?", "hacker, n."};
  {
    std::ofstream out(file);
    for (const auto& prompt : prompts) out << prompt << "\n";
  }
  const auto done = talaria(
      {"run", "--model", kTiny, "--prompt-file", file.string(), "--max-tokens", "9", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json results = json::parse(done.out).at("results");
  BOOST_TEST_REQUIRE(results.size() == prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto alone =
        talaria({"run", "--model", kTiny, "-", "--max-tokens", "9", "--json"}, prompts[i]);
    BOOST_TEST_REQUIRE(alone.status == 0, alone.err);
    BOOST_TEST(json::parse(alone.out).at("token_ids") == results[i].at("token_ids"));
  }
}

BOOST_AUTO_TEST_CASE(a_seed_repeats_an_answer_and_another_seed_does_not) {
  const auto with_seed = [](const std::string& seed) {
    return talaria({"run", "--model", kTiny, "--prompt", "Tom went", "--max-tokens", "20",
                    "--temperature", "1.2", "--top-k", "50", "--seed", seed})
        .out;
  };
  const std::string first = with_seed("1");
  BOOST_TEST(first == with_seed("1"));
  BOOST_TEST(first != with_seed("2"));
}

BOOST_AUTO_TEST_CASE(a_stop_string_ends_the_answer_before_it) {
  const auto done = talaria({"run", "--model", kTiny, "--chat", "--prompt", "Who are you?",
                             "--stop", "very small", "--stop", "never said", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json out = json::parse(done.out);
  BOOST_TEST(out.at("text").get<std::string>() == "I am Talaria, a ");
  BOOST_TEST(out.at("finish_reason").get<std::string>() == "stop");
}

BOOST_AUTO_TEST_CASE(embeddings_are_a_line_each_and_alike_under_both_integer_schemes) {
  const std::vector<std::string> base{"embed", "--model", kQwen, "a text", "another", "a text"};
  auto clear = base;
  clear.insert(clear.end(), {"--scheme", "clear", "--allow-clear"});
  const auto masked = talaria(base);
  BOOST_TEST_REQUIRE(masked.status == 0, masked.err);
  BOOST_TEST(talaria(clear).out == masked.out);
  std::istringstream lines(masked.out);
  std::vector<std::vector<double>> vectors;
  for (std::string line; std::getline(lines, line);)
    vectors.push_back(json::parse(line).get<std::vector<double>>());
  BOOST_TEST_REQUIRE(vectors.size() == 3U);
  BOOST_TEST((vectors[0] == vectors[2] && vectors[0] != vectors[1]));
  for (const auto& vector : vectors) {
    BOOST_TEST(vector.size() == 64U);
    double squares = 0;
    for (const double x : vector) squares += x * x;
    BOOST_TEST(std::abs(squares - 1) < 1e-5);
  }
  auto cut = base;
  cut.insert(cut.end(), {"--dimensions", "8"});
  check_refused(talaria(cut), 2, "is_matryoshka");
  check_refused(talaria({"run", "--model", kQwen, "--task", "embed", "--prompt", "a"}), 2,
                "generates no text");
}

BOOST_AUTO_TEST_CASE(logits_are_printed_exactly_and_alike_under_both_integer_schemes) {
  const std::vector<std::string> base{"logits", "--model", kQwen, "--tokens", "4092,5,6", "--json"};
  auto clear = base;
  clear.insert(clear.end(), {"--scheme", "clear", "--allow-clear", "--all"});
  auto lattice = base;
  lattice.push_back("--all");
  const auto a = talaria(lattice);
  const auto b = talaria(clear);
  BOOST_TEST_REQUIRE(a.status == 0, a.err);
  BOOST_TEST(a.out == b.out);
  BOOST_TEST(b.err.find("warning") != std::string::npos);
  const json all = json::parse(a.out).at("logits");
  BOOST_TEST_REQUIRE(all.size() == 3U);
  BOOST_TEST(all[0].size() == 4096U);
  BOOST_TEST(json::parse(talaria(base).out).at("logits")[0] == all[2]);
}

BOOST_AUTO_TEST_CASE(hybrid_names_its_leak_and_still_answers) {
  const auto done = talaria({"run", "--model", kTiny, "--scheme", "hybrid", "--chat", "--prompt",
                             "Who are you?", "--max-tokens", "8"});
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(done.err.find("warning") != std::string::npos);
  BOOST_TEST(done.out.starts_with("I am Talaria"), done.out);
}

BOOST_AUTO_TEST_CASE(padding_changes_what_is_counted_and_nothing_that_is_said) {
  const std::vector<std::string> base{"run",         "--model",      kTiny, "--prompt",
                                      "Tom went to", "--max-tokens", "6",   "--json"};
  auto padded = base;
  padded.insert(padded.end(), {"--padding", "4,32", "--pad-rounds", "4", "--pace", "1ms"});
  const auto a = talaria(base);
  const auto b = talaria(padded);
  BOOST_TEST_REQUIRE(a.status == 0, a.err);
  BOOST_TEST_REQUIRE(b.status == 0, b.err);
  const json plain = json::parse(a.out);
  const json out = json::parse(b.out);
  BOOST_TEST(out.at("token_ids") == plain.at("token_ids"));
  BOOST_TEST(plain.at("padding").at("dummy_rows").get<unsigned>() == 0U);
  BOOST_TEST(out.at("padding").at("dummy_rows").get<unsigned>() > 0U);
  BOOST_TEST(out.at("padding").at("dummy_rounds").get<unsigned>() == 2U);
  const auto sent = [](const json& answer) { return answer.at("bytes").at("up").get<double>(); };
  BOOST_TEST(sent(out) > sent(plain));
  const auto refused = [&](const std::string& flag, const std::string& value,
                           const std::string& culprit) {
    auto arguments = base;
    arguments.insert(arguments.end(), {flag, value});
    check_refused(talaria(arguments), 2, culprit);
  };
  refused("--padding", "8,4", "more than 8, the bucket before it");
  refused("--padding", "1024", "the largest is 1024");
  refused("--pad-rounds", "0", "--pad-rounds");
  refused("--pace", "fast", "--pace");
}

BOOST_AUTO_TEST_CASE(oblivious_answers_are_the_ordinary_ones) {
  std::vector<std::string> arguments{
      "run",    "--model",       kTiny, "--chat",  "--prompt", "Who are you?", "--seed", "7",
      "--json", "--temperature", "0.9", "--top-p", "0.9",      "--max-tokens", "6"};
  const auto plain = talaria(arguments);
  arguments.emplace_back("--oblivious");
  const auto oblivious = talaria(arguments);
  BOOST_TEST_REQUIRE(plain.status == 0, plain.err);
  BOOST_TEST_REQUIRE(oblivious.status == 0, oblivious.err);
  const json a = json::parse(plain.out);
  const json b = json::parse(oblivious.out);
  BOOST_TEST(a.at("token_ids") == b.at("token_ids"));
  BOOST_TEST(a.at("text") == b.at("text"));
  BOOST_TEST(a.at("oblivious") == "off");
  BOOST_TEST(b.at("oblivious") == "on");
  const auto inspected = talaria({"inspect", kTiny, "--oblivious", "--json"});
  BOOST_TEST_REQUIRE(inspected.status == 0, inspected.err);
  BOOST_TEST(json::parse(inspected.out).at("enclave").at("oblivious") == "on");
}

BOOST_AUTO_TEST_CASE(tokenize_and_decode_are_inverse) {
  const std::string text = "naïve 🙂  tokens\n";
  const auto ids = talaria({"tokenize", "--model", kTiny, "-", "--json"}, text);
  BOOST_TEST_REQUIRE(ids.status == 0, ids.err);
  const json encoded = json::parse(ids.out);
  BOOST_TEST(encoded.at("ids").size() == encoded.at("tokens").size());
  std::string list;
  for (const auto& id : encoded.at("ids"))
    list += (list.empty() ? "" : ",") + std::to_string(id.get<unsigned>());
  const auto back = talaria({"tokenize", "--model", kTiny, "--decode", "--json", list});
  BOOST_TEST(json::parse(back.out).at("text").get<std::string>() == text);
}

BOOST_AUTO_TEST_CASE(inspect_adds_up) {
  for (const std::string& target :
       {kTiny, (tests::kSource / "examples" / "embedded.yaml").string()}) {
    const auto done = talaria({"inspect", target, "--json"});
    BOOST_TEST_REQUIRE(done.status == 0, done.err);
    const json out = json::parse(done.out);
    std::size_t weights = 0;
    std::size_t hints = 0;
    for (const auto& linear : out.at("linears")) {
      weights += linear.at("weight_bytes").get<std::size_t>();
      hints += linear.at("hint_bytes").get<std::size_t>();
      BOOST_TEST(linear.at("precision_bits").get<double>() > 4);
    }
    BOOST_TEST(out.at("linears").size() == 25U);
    BOOST_TEST(weights == out.at("totals").at("weight_bytes").get<std::size_t>());
    BOOST_TEST(hints == out.at("totals").at("hint_bytes").get<std::size_t>());
    const json& security = out.at("security");
    BOOST_TEST(security.at("core_svp_bits").get<double>() >= 128);
    BOOST_TEST(security.at("block_size").get<unsigned>() == 496U); // S48
    BOOST_TEST(security.at("lwe_dimension").get<unsigned>() == 2304U);
    BOOST_TEST(security.at("gates_bits").get<double>() > 160);
  }
}

BOOST_AUTO_TEST_CASE(inspect_says_how_long_a_context_a_memory_holds) {
  const auto done = talaria({"inspect", kTiny, "--kv-memory", "48MiB", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json context = json::parse(done.out).at("context");
  BOOST_TEST(context.at("memory_bytes") == 48u << 20);
  std::size_t before = 0;
  for (const char* format : {"fp32", "bf16", "int8"}) {
    const json& figures = context.at("formats").at(format);
    const auto bytes = figures.at("bytes_per_position").get<std::size_t>();
    const std::size_t blocks = (std::size_t{48} << 20) / (64 * bytes); // it has no windows
    BOOST_TEST(figures.at("largest_context").get<std::size_t>() == 64 * blocks);
    BOOST_TEST(blocks > before);
    before = blocks;
  }
}

BOOST_AUTO_TEST_CASE(bench_measures_the_schemes_side_by_side) {
  const auto done =
      talaria({"bench", "--shape", "tiny", "--layers", "1", "--schemes", "plain,lattice,clear",
               "--prefill", "20", "--decode", "4", "--batch", "1,3", "--rounds", "1", "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json out = json::parse(done.out);
  BOOST_TEST(out.at("machine").at("read_bytes_per_s").get<double>() > 0);
  BOOST_TEST(out.at("machine").at("int8_ops_per_s").get<double>() > 0);
  BOOST_TEST(out.at("model").at("layers").get<int>() == 1);
  const json& results = out.at("results");
  BOOST_TEST_REQUIRE(results.size() == 6U);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const json& r = results[i];
    constexpr const char* kSchemes[] = {"plain", "lattice", "clear"};
    BOOST_TEST(r.at("scheme").get<std::string>() == kSchemes[i % 3]);
    BOOST_TEST(r.at("batch").get<int>() == (i < 3 ? 1 : 3));
    for (const char* key : {"prefill_tokens_per_s", "decode_tokens_per_s", "ttft_ms",
                            "prefill_over_plain", "decode_over_plain", "weight_bytes_per_token",
                            "decode_share_of_read_bandwidth", "prefill_share_of_int8_rate"})
      BOOST_TEST(r.at(key).get<double>() > 0, key);
    // One token: what the five matrices take in and give, in bytes of the scheme's values.
    const long in = 256 + 256 + 256 + 704 + 256, values = 512 + 256 + 2 * 704 + 256 + 4096;
    const bool plain = i % 3 == 0;
    BOOST_TEST(r.at("bytes_up_per_token").get<long>() == in * (plain ? 1 : 6));
    BOOST_TEST(r.at("bytes_down_per_token").get<long>() == values * (plain ? 4 : 6));
  }
}

BOOST_AUTO_TEST_CASE(bench_prints_a_table_and_says_whether_decoding_waited) {
  const auto done = talaria({"bench", "--shape", "tiny", "--layers", "1", "--schemes", "clear",
                             "--prefill", "8", "--decode", "2", "--rounds", "1"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  BOOST_TEST(done.out.find("decode t/s") != std::string::npos, done.out);
  BOOST_TEST(done.out.find("decoding never waited for masks") != std::string::npos, done.out);
  BOOST_TEST(done.err.find("warning") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_baseline_has_no_door_but_bench) {
  check_refused(talaria({"run", "--model", kTiny, "--prompt", "x", "--scheme", "plain"}), 2,
                "'plain'");
  const auto bench = [](std::vector<std::string> more) {
    std::vector<std::string> all{"bench", "--shape", "tiny"};
    all.insert(all.end(), more.begin(), more.end());
    return talaria(all);
  };
  check_refused(bench({"--schemes", "plain,rot13"}), 2, "rot13");
  check_refused(bench({"--layers", "7"}), 2, "--layers");
  check_refused(bench({"--batch", "0"}), 2, "--batch");
  check_refused(bench({"--decode", "0"}), 2, "--decode");
  check_refused(bench({"--rounds", "0"}), 2, "--rounds");
  check_refused(bench({"--model", kTiny}), 2, "--model");
  check_refused(bench({"--prefill", "2000", "--layers", "1", "--schemes", "plain"}), 2, "2000");
  check_refused(talaria({"bench", "--shape", "gpt-7"}), 2, "gpt-7");
  check_refused(talaria({"bench", "--model", kTiny, "--layers", "1"}), 2, "--layers");
}

BOOST_AUTO_TEST_CASE(a_trace_opens_as_json_and_contains_no_text) {
  const tests::TemporaryFolder folder;
  const auto path = (folder.path() / "trace.json").string();
  const auto done = talaria(
      {"run", "--model", kTiny, "--prompt", "xylophone", "--max-tokens", "3", "--trace", path});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  std::ifstream in(path);
  const std::string content(std::istreambuf_iterator<char>(in), {});
  BOOST_TEST(json::parse(content).at("traceEvents").size() > 100U);
  BOOST_TEST(content.find("xyl") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_trace_names_the_request_and_becomes_a_report) {
  const tests::TemporaryFolder folder;
  const auto path = (folder.path() / "trace.json").string();
  const auto page = folder.path() / "report.html";
  const auto run = talaria({"run", "--model", kTiny, "--prompt", "In the beginning of all things",
                            "--max-tokens", "6", "--ignore-eos", "--json", "--trace", path});
  BOOST_TEST_REQUIRE(run.status == 0, run.err);
  const json answer = json::parse(run.out);
  const auto id = answer.at("trace_id").get<std::string>();
  std::ifstream in(path);
  const json trace = json::parse(in);
  std::map<std::string, int> spans;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    ++spans[event.at("name").get<std::string>()];
    BOOST_TEST(event.at("args").at("trace").get<std::string>() == id);
  }
  for (const char* stage : {"request", "embed", "norm", "mask", "queue", "product", "unmask",
                            "attention", "activation", "sample"})
    BOOST_TEST(spans[stage] > 0, stage);

  const auto report = talaria({"trace", "report", path, "-o", page.string(), "--json"});
  BOOST_TEST_REQUIRE(report.status == 0, report.err);
  const json figures = json::parse(report.out);
  BOOST_TEST(figures.at("phases").at(0).at("phase").get<std::string>() == "decode");
  BOOST_TEST(figures.at("phases").at(0).at("micro_batches").get<int>() == 5);
  BOOST_TEST(figures.at("answer_tokens").get<int>() == 6);
  const double bytes = answer.at("bytes").at("up").get<double>();
  double traced = 0;
  for (const auto& phase : figures.at("phases"))
    traced += phase.at("bytes_up_per_token").get<double>() * phase.at("rows").get<double>();
  BOOST_TEST(traced == bytes, boost::test_tools::tolerance(1e-9));
  check_picture(page);
}

BOOST_AUTO_TEST_CASE(ctrl_c_ends_cleanly_with_what_has_been_said) {
  const auto done = tests::run_program({kTalaria, "run", "--model", kTiny, "--prompt",
                                        "In the beginning", "--max-tokens", "1900", "--ignore-eos"},
                                       {}, [](pid_t talaria) { ::kill(talaria, SIGINT); });
  BOOST_TEST(done.status == 130);
  BOOST_TEST(!done.out.empty());
  BOOST_TEST(done.err == "talaria: interrupted\n");
}

BOOST_AUTO_TEST_CASE(requests_that_make_no_sense_are_one_clear_line_and_status_2) {
  const auto run = [](std::vector<std::string> more, const std::string& input = {}) {
    std::vector<std::string> all{"run", "--model", kTiny};
    all.insert(all.end(), more.begin(), more.end());
    return talaria(all, input);
  };
  check_refused(run({"--prompt", "x", "--max-tokens", "0"}), 2, "--max-tokens");
  check_refused(run({"--prompt", ""}), 2, "prompt is empty");
  check_refused(run({"-"}), 2, "prompt is empty");
  check_refused(run({}), 2, "--prompt");
  check_refused(run({"--prompt", "bad \xff byte"}), 2, "UTF-8");
  check_refused(run({"--prompt", "bad \xff byte", "--chat"}), 2, "UTF-8");
  check_refused(run({"--prompt-tokens", "1,2,x"}), 2, "--prompt-tokens");
  check_refused(run({"--prompt-tokens", "1,99999"}), 2, "vocabulary");
  check_refused(run({"-"}, std::string(20000, 'q')), 2, "context");
  check_refused(run({"--prompt", "x", "--temperature", "-1"}), 2, "temperature");
  check_refused(run({"--prompt", "x", "--top-p", "2"}), 2, "top_p");
  check_refused(run({"--prompt", "x", "--scheme", "clear"}), 2, "--allow-clear");
  check_refused(run({"--prompt", "x", "--scheme", "rot13"}), 2, "rot13");
  check_refused(run({"--prompt", "x", "--weights", "int3"}), 2, "int3");
  check_refused(run({"--prompt", "x", "--parameters", "S12"}), 2, "S12");
  check_refused(run({"--prompt", "x", "--isa", "mmx"}), 2, "mmx");
  check_refused(run({"--prompt", "x", "--trace", "/no/such/folder/t.json"}), 2,
                "/no/such/folder/t.json");
  check_refused(run({"--prompt-file", "/no/such/file"}), 2, "/no/such/file");
  check_refused(talaria({"trace", "report", "/no/such/file", "--json"}), 2, "/no/such/file");
  check_refused(talaria({"trace", "report", kTiny + "/config.json", "--json"}), 2,
                "no span of talaria");
  check_refused(talaria({"trace", "report", kTiny + "/config.json"}), 2, "-o");
  check_refused(run({"--prompt", "x", "--no-such-flag"}), 2, "--no-such-flag");
  check_refused(talaria({}), 2, "--help");
  check_refused(talaria({"run", "--config", "/no/such.yaml", "--prompt", "x"}), 2, "/no/such.yaml");
}

BOOST_AUTO_TEST_CASE(damaged_models_are_one_clear_line_and_status_3) {
  check_refused(talaria({"run", "--model", "/no/such/model", "--prompt", "x"}), 3,
                "/no/such/model");
  {
    const DamagedModel model;
    const std::string whole = model.read("model.safetensors");
    for (const std::size_t cut :
         {std::size_t{0}, std::size_t{5}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
      model.write("model.safetensors", whole.substr(0, cut));
      check_refused(model.run(), 3, "model.safetensors");
    }
    std::string broken = whole;
    broken[12] = '}';
    model.write("model.safetensors", broken);
    check_refused(model.run(), 3, "model.safetensors");
    fs::remove(model.file("model.safetensors"));
    check_refused(model.run(), 3, "model.safetensors");
  }
  {
    const DamagedModel model;
    model.edit_json("config.json", [](json& c) { c["hidden_size"] = 128; });
    check_refused(model.run(), 3, "shape");
  }
  {
    const DamagedModel model;
    model.edit_json("config.json", [](json& c) {
      c["model_type"] = "mamba";
      c["architectures"] = {"MambaForCausalLM"};
    });
    check_refused(model.run(), 3, "amba");
  }
  {
    const DamagedModel model;
    model.edit_json("tokenizer.json", [](json& t) { t["model"].erase("merges"); });
    check_refused(model.run(), 3, "merges");
    model.write("tokenizer.json", "{ not json");
    check_refused(model.run(), 3, "tokenizer.json");
  }
}

BOOST_AUTO_TEST_CASE(a_missing_shard_is_named) {
  const tests::TemporaryFolder folder;
  fs::copy(tests::model_folder("llama3"), folder.path() / "model");
  fs::remove(folder.path() / "model" / "model-00002-of-00002.safetensors");
  check_refused(talaria({"run", "--model", (folder.path() / "model").string(), "--prompt", "x"}), 3,
                "model-00002-of-00002.safetensors");
}

BOOST_AUTO_TEST_CASE(the_worker_program_proves_its_products) {
  const auto done = tests::run_program({kWorker, "--model", kTiny, "--layers", "2-3"});
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(done.out.find("layers.2.qkv") != std::string::npos);
  BOOST_TEST(done.out.find("layers.4.qkv") == std::string::npos);
  BOOST_TEST(done.out.find("WRONG") == std::string::npos);
  BOOST_TEST(done.out.find("8 matrices") != std::string::npos, done.out);
  const auto refused = tests::run_program({kWorker, "--model", kTiny, "--layers", "5-9"});
  BOOST_TEST(refused.status == 2);
}

} // namespace talaria
