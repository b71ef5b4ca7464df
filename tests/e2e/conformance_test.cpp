// Every model against the fp32 references under tests/data/references (plain torch, written and run
// separately; see the README there).
#include <algorithm>
#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/collect.hpp"
#include "tests/support/models.hpp"

namespace talaria {

using nlohmann::json;
using pipeline::LogitsWanted;
using pipeline::Request;

namespace {

json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  BOOST_REQUIRE_MESSAGE(in, path.string());
  return json::parse(in);
}

/// A float32 vector in NumPy format 1.0.
std::vector<float> read_npy(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  BOOST_REQUIRE(bytes.starts_with("\x93NUMPY"));
  const std::size_t header = 10 + static_cast<u8>(bytes[8]) + 256U * static_cast<u8>(bytes[9]);
  BOOST_REQUIRE(bytes.substr(0, header).find("'<f4'") != std::string::npos);
  std::vector<float> out((bytes.size() - header) / sizeof(float));
  std::memcpy(out.data(), bytes.data() + header, out.size() * sizeof(float));
  return out;
}

pipeline::EngineOptions options_for(const std::string& model, model::WeightFormat weights,
                                    remo::SchemeKind scheme) {
  pipeline::EngineOptions options;
  options.model_dir = model.starts_with("gguf/")
                          ? tests::kSource / "tests" / "data" / (model + ".gguf")
                          : tests::model_folder(model);
  options.weights = weights;
  options.scheme.kind = scheme;
  options.pool.rows_ahead = 512; // what a stock of the default size holds is never used here
  return options;
}

double standard_deviation(const std::vector<float>& x) {
  double sum = 0;
  double squares = 0;
  for (const float v : x) sum += v;
  const double mean = sum / static_cast<double>(x.size());
  for (const float v : x) squares += (v - mean) * (v - mean);
  return std::sqrt(squares / static_cast<double>(x.size()));
}

double log_sum_exp(const std::vector<float>& x) {
  const double top = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const float v : x) sum += std::exp(v - top);
  return top + std::log(sum);
}

/// Their references are computed from the dequantised weights.
constexpr std::array<const char*, 4> kGgufFiles{"gguf/llama3-f16", "gguf/llama3-bf16",
                                                "gguf/llama3-q8_0", "gguf/wide-q4_k_m"};

constexpr double kLogitTolerance = 2e-3; // of the standard deviation of the reference's logits
constexpr double kDecisiveMargin = 1e-3; // below it, top-1 and top-2 may change places
constexpr double kRouterTie = 2e-3;      // of router logits
constexpr double kIllConditioned = 1e-4; // fp32 against float64, of the reference's logits
constexpr u32 kGreedyTokens = 64;

/// Where a router's tie is so near (1.4e-4 of a logit, in the last layer but one) that int16
/// weights choose the other expert, and later positions attend to what it made. Before it all are
/// close.
struct KnownTie {
  const char* model;
  const char* prompt;
  std::size_t position;
};
constexpr KnownTie kKnownTies[] = {{"gpt_oss", "len400", 234}, {"gpt_oss_mxfp4", "len400", 234}};

std::size_t known_tie(const std::string& model, const std::string& prompt) {
  for (const KnownTie& tie : kKnownTies)
    if (model == tie.model && prompt == tie.prompt) return tie.position;
  return 0;
}

void check_logits(const json& reference, const std::vector<float>& last,
                  const std::vector<std::vector<float>>& logits, std::size_t tie) {
  const double tolerance = kLogitTolerance * standard_deviation(last);
  double worst = 0;
  for (std::size_t i = 0; i < last.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(logits.back()[i]) - last[i]));
  BOOST_TEST(worst <= tolerance, "last logits differ by " << worst << " of " << tolerance);
  BOOST_TEST_REQUIRE(logits.size() == reference.at("prompt_ids").size());
  const json& log_sums = reference.at("logsumexp");
  // Of long prompts the references hold the last positions only.
  const std::size_t first = reference.value("top5_from", std::size_t{0});
  // Where the last expert chosen and the first one rejected nearly tie, quantised weights may
  // choose the other: such a position may be off. Others may not.
  const bool near_tie = reference.value("router_margin", 1.0) < kRouterTie;
  // So may some where fp32 itself strays from float64: a DeltaNet whose unit vectors come of nearly
  // nothing magnifies the rounding of a few weights, and rows behind it see its state.
  const bool ill_conditioned = reference.value("max_abs_diff_vs_float64", 0.0) > kIllConditioned;
  std::size_t off = 0;
  for (std::size_t position = first; position < logits.size(); ++position) {
    bool close = true;
    for (const auto& pair : reference.at("top5")[position - first]) {
      const double ours = logits[position][pair[0].get<std::size_t>()];
      close = close && std::abs(ours - pair[1].get<double>()) <= tolerance + 1e-6;
    }
    const double sum = log_sums[position - (logits.size() - log_sums.size())].get<double>();
    close = close && std::abs(log_sum_exp(logits[position]) - sum) <= tolerance + 1e-6;
    BOOST_TEST_REQUIRE((close || ill_conditioned || (near_tie && position >= tie)),
                       "position " << position);
    off += close ? 0 : 1;
  }
  const std::size_t few = (logits.size() - first) / (ill_conditioned ? 20 : 50);
  const std::size_t most = tie == 0 ? 1 + few : (logits.size() - tie) / 10;
  BOOST_TEST(off <= most, off << " positions differ");
}

/// Tokens must agree up to the first step at which the reference itself was undecided.
void check_greedy(const json& reference, const std::vector<u32>& tokens) {
  BOOST_TEST_REQUIRE(tokens.size() == kGreedyTokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const u32 expected = reference.at("greedy_ids")[i].get<u32>();
    if (tokens[i] == expected) continue;
    BOOST_TEST(reference.at("greedy_margin")[i].get<double>() <= kDecisiveMargin,
               "token " << i << " differs");
    return;
  }
}

void check_prompt(pipeline::Engine& engine, const std::filesystem::path& folder,
                  const std::string& prompt) {
  const json reference = read_json(folder / (prompt + ".json"));
  Request logits;
  logits.prompt = reference.at("prompt_ids").get<std::vector<u32>>();
  logits.logits = LogitsWanted::all;
  if (logits.prompt.size() > engine.plan().max_position) { // dynamic RoPE ends at its factor
    BOOST_CHECK_EXCEPTION(tests::run_together(engine, {logits}), Error, [](const Error& error) {
      return std::string(error.what()).find("context") != std::string::npos;
    });
    return;
  }
  Request greedy;
  greedy.prompt = logits.prompt;
  greedy.max_tokens = kGreedyTokens;
  greedy.ignore_eos = true;
  const auto results = tests::run_together(engine, {logits, greedy});
  check_logits(reference, read_npy(folder / (prompt + ".last_logits.npy")), results[0].logits,
               known_tie(folder.filename(), prompt));
  check_greedy(reference, results[1].completion.tokens);
}

std::vector<std::string> prompts_of(const std::filesystem::path& folder) {
  return read_json(folder / "index.json").at("prompts").get<std::vector<std::string>>();
}

} // namespace

BOOST_DATA_TEST_CASE(int16_weights_reproduce_the_fp32_reference,
                     boost::unit_test::data::make(tests::kModels) +
                         boost::unit_test::data::make(tests::kFamilies) +
                         boost::unit_test::data::make(kGgufFiles),
                     model) {
  const auto folder = tests::kReferences / model;
  SilentProgress progress;
  pipeline::Engine engine(options_for(model, model::WeightFormat::int16, remo::SchemeKind::lattice),
                          progress);
  for (const std::string& prompt : prompts_of(folder)) BOOST_TEST_CONTEXT("prompt " << prompt) {
      check_prompt(engine, folder, prompt);
    }
}

namespace {

/// What the shipped model makes of heldout.txt, by the protocol that is told beside
/// the references.
double held_out_perplexity(kv::Format format) {
  constexpr u32 kBos = 4092;
  const json reference = read_json(tests::kReferences / "talaria-tiny" / "perplexity.json");
  auto options = options_for("talaria-tiny", model::WeightFormat::int8, remo::SchemeKind::lattice);
  options.kv.format = format;
  SilentProgress progress;
  pipeline::Engine engine(options, progress);
  std::ifstream in(tests::kReferences / "heldout.txt", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const std::vector<u32> ids = engine.tokenizer().encode(text, false);
  BOOST_TEST_REQUIRE(ids.size() == reference.at("tokens").get<std::size_t>());
  const auto chunk = reference.at("window_255").at("chunk").get<std::size_t>();
  double nll = 0;
  for (std::size_t begin = 0; begin < ids.size(); begin += chunk) {
    const std::size_t end = std::min(ids.size(), begin + chunk);
    Request request;
    request.prompt = {kBos};
    request.prompt.insert(request.prompt.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
                          ids.begin() + static_cast<std::ptrdiff_t>(end));
    request.logits = LogitsWanted::all;
    const auto results = tests::run_together(engine, {request});
    for (std::size_t i = begin; i < end; ++i) {
      const auto& row = results[0].logits[i - begin];
      nll += log_sum_exp(row) - row[ids[i]];
    }
  }
  return std::exp(nll / static_cast<double>(ids.size()));
}

} // namespace

BOOST_AUTO_TEST_CASE(
    the_held_out_text_stays_as_likely_with_int8_weights_and_smaller_keys_and_values) {
  const json reference = read_json(tests::kReferences / "talaria-tiny" / "perplexity.json");
  const double fp32 = reference.at("window_255").at("ppl").get<double>();
  const double ours = held_out_perplexity(kv::Format::fp32);
  BOOST_TEST_MESSAGE("perplexity " << ours << ", reference " << fp32);
  BOOST_TEST(std::abs(ours / fp32 - 1) <= 1e-3, ours << " against " << fp32);
  for (const auto& [format, most] : {std::pair{kv::Format::bf16, 5e-4}, {kv::Format::int8, 3e-3}}) {
    const double smaller = held_out_perplexity(format);
    BOOST_TEST_MESSAGE(kernels::to_string(format) << ": " << smaller / ours - 1);
    BOOST_TEST(std::abs(smaller / ours - 1) <= most, kernels::to_string(format) << ": " << smaller);
  }
}

} // namespace talaria
