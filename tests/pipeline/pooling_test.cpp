// Embeddings and scores: against float64 code that stands beside its numbers, and against what the
// same models say as they generate.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>

#include "core/digest.hpp"
#include "model/weights/pooling.hpp"
#include "model/weights/prepared_writer.hpp"
#include "model/weights/tensor_names.hpp"
#include "pipeline/model_loader.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/model_copy.hpp"

namespace talaria::tests {

using model::Task;
using nlohmann::json;
using pipeline::EngineOptions;
using pipeline::Request;

BOOST_AUTO_TEST_SUITE(pooling)

namespace {

using Vector = std::vector<float>;

const json kMean{{"word_embedding_dimension", 64}, {"pooling_mode_mean_tokens", true}};
const json kLast{{"word_embedding_dimension", 64},
                 {"pooling_mode_cls_token", false},
                 {"pooling_mode_mean_tokens", false},
                 {"pooling_mode_lasttoken", true},
                 {"include_prompt", true}};

EngineOptions options_of(const std::filesystem::path& folder,
                         std::optional<Task> task = std::nullopt) {
  EngineOptions options;
  options.model_dir = folder;
  options.task = task;
  options.weights = model::WeightFormat::int16;
  options.threads = 2;
  options.pool.rows_ahead = 64;
  return options;
}

std::unique_ptr<pipeline::Engine> engine_of(const EngineOptions& options) {
  SilentProgress progress;
  return std::make_unique<pipeline::Engine>(options, progress);
}

Request text(std::vector<u32> ids, u32 dimensions = 0) {
  Request request;
  request.prompt = std::move(ids);
  request.pooled = true;
  request.dimensions = dimensions;
  return request;
}

std::vector<Vector> pooled(pipeline::Engine& engine, const std::vector<Request>& texts) {
  std::vector<Vector> out;
  for (auto& each : run_together(engine, texts)) {
    BOOST_TEST(each.completion.tokens.empty());
    BOOST_TEST((each.completion.reason == pipeline::FinishReason::stop));
    out.push_back(std::move(each.completion.pooled));
  }
  return out;
}

json references() {
  std::ifstream in(kReferences / "embeddings" / "qwen3.json");
  BOOST_REQUIRE(in);
  return json::parse(in).at("texts");
}

std::vector<std::vector<u32>> reference_ids() {
  std::vector<std::vector<u32>> ids;
  for (const json& each : references()) ids.push_back(each.at("ids").get<std::vector<u32>>());
  return ids;
}

std::vector<Request> reference_texts() {
  std::vector<Request> texts;
  for (const auto& ids : reference_ids()) texts.push_back(text(ids));
  return texts;
}

double length_of(const std::vector<double>& x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
}

/// Of the numbers of a vector of length 1: what int16 weights are off by.
constexpr double kUnitTolerance = 3e-4;

void check_unit(const Vector& ours, std::vector<double> reference) {
  BOOST_TEST_REQUIRE(ours.size() == reference.size());
  const double length = length_of(reference);
  for (std::size_t i = 0; i < ours.size(); ++i)
    BOOST_TEST(std::abs(double{ours[i]} - reference[i] / length) < kUnitTolerance, i);
}

/// 150 tokens go through in pieces of 16, several texts side by side.
void in_pieces(EngineOptions& options) {
  options.batch.prefill_chunk = 16;
  options.batch.max_rows = 24;
}

bool same_bits(const Vector& a, const Vector& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string refusal_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

void check_refusal(const std::string& found, std::initializer_list<const char*> parts) {
  BOOST_TEST(!found.empty(), "no refusal where one was due");
  for (const char* part : parts)
    BOOST_TEST(found.find(part) != std::string::npos, found << " lacks " << part);
}

} // namespace

BOOST_AUTO_TEST_CASE(embeddings_are_those_of_float64_code) {
  for (const auto& [field, pooling] : {std::pair{"last", kLast}, std::pair{"mean", kMean}})
    BOOST_TEST_CONTEXT(field) {
      const ModelCopy folder("qwen3");
      folder.add_modules(pooling);
      EngineOptions options = options_of(folder.path());
      in_pieces(options);
      const auto engine = engine_of(options);
      BOOST_TEST(!engine->plan().linears.has_head());
      const auto ours = pooled(*engine, reference_texts());
      const json expected = references();
      for (std::size_t i = 0; i < ours.size(); ++i)
        check_unit(ours[i], expected[i].at(field).get<std::vector<double>>());
    }
}

BOOST_AUTO_TEST_CASE(without_a_module_that_normalises_vectors_keep_their_length) {
  const ModelCopy folder("qwen3");
  folder.add_modules(kMean, /*normalise=*/false);
  const auto engine = engine_of(options_of(folder.path()));
  const Vector ours = pooled(*engine, {reference_texts()[2]}).front();
  const auto expected = references()[2].at("mean").get<std::vector<double>>();
  const double length = length_of({ours.begin(), ours.end()});
  BOOST_TEST(std::abs(length / length_of(expected) - 1) < 1e-3);
  BOOST_TEST(length > 2);
}

// Whatever the family does with its final norm: lm_head times the row are the logits, which other
// code has computed.
BOOST_DATA_TEST_CASE(the_last_row_times_the_head_gives_the_reference_logits,
                     boost::unit_test::data::make({"llama3", "qwen2", "gemma3"}), name) {
  const ModelCopy folder(name);
  const std::filesystem::path where = kReferences / name;
  std::ifstream index(where / "index.json");
  const auto prompts = json::parse(index).at("prompts").get<std::vector<std::string>>();
  const std::string prompt = prompts.at(prompts.size() / 2);
  std::ifstream file(where / (prompt + ".json"));
  const auto ids = json::parse(file).at("prompt_ids").get<std::vector<u32>>();
  std::ifstream npy(where / (prompt + ".last_logits.npy"), std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(npy), {});

  folder.add_modules(kLast, /*normalise=*/false);
  const auto engine = engine_of(options_of(folder.path()));
  const arch::ModelPlan& plan = engine->plan();
  const Vector row = pooled(*engine, {text(ids)}).front();
  const pipeline::ModelLoader loader(folder.path(), model::WeightFormat::int16);
  const auto& head =
      loader.tensors().get(plan.tied_embeddings ? "model.embed_tokens.weight" : "lm_head.weight",
                           {plan.vocab, plan.hidden});
  Vector reference(plan.vocab);
  const std::size_t size = reference.size() * sizeof(float);
  BOOST_TEST_REQUIRE(bytes.size() > size);
  std::memcpy(reference.data(), bytes.data() + bytes.size() - size, size);
  double squares = 0;
  for (const float x : reference) squares += double{x} * x;
  const double tolerance = 2e-3 * std::sqrt(squares / static_cast<double>(reference.size()));
  Vector weights(plan.hidden);
  for (u32 token = 0; token < plan.vocab; ++token) {
    head.read(std::size_t{token} * plan.hidden, weights);
    const double logit = std::inner_product(row.begin(), row.end(), weights.begin(), 0.0);
    BOOST_TEST_REQUIRE(std::abs(logit - reference[token]) <= tolerance, token);
  }
}

BOOST_AUTO_TEST_CASE(masks_pieces_and_neighbours_change_no_bit) {
  for (const json& pooling : {kLast, kMean}) {
    const ModelCopy folder("qwen3");
    folder.add_modules(pooling);
    EngineOptions cut = options_of(folder.path());
    in_pieces(cut);
    EngineOptions clear = options_of(folder.path());
    clear.scheme.kind = remo::SchemeKind::clear;
    EngineOptions padded = options_of(folder.path());
    in_pieces(padded);
    padded.padding.buckets = {8, 24};
    padded.oblivious = true;
    std::vector<std::vector<Vector>> all;
    for (const EngineOptions& options : {cut, clear, padded})
      all.push_back(pooled(*engine_of(options), reference_texts()));
    std::vector<Vector> alone;
    const auto engine = engine_of(options_of(folder.path()));
    for (const Request& each : reference_texts()) alone.push_back(pooled(*engine, {each}).front());
    for (const auto& vectors : all)
      for (std::size_t i = 0; i < alone.size(); ++i) BOOST_TEST(same_bits(vectors[i], alone[i]), i);
  }
}

BOOST_AUTO_TEST_CASE(a_beginning_that_was_computed_before_changes_no_bit) {
  for (const json& pooling : {kLast, kMean}) {
    const ModelCopy folder("qwen3");
    folder.add_modules(pooling);
    const auto engine = engine_of(options_of(folder.path()));
    Request request = text(reference_ids().back());
    const Vector first = pooled(*engine, {request}).front();
    request.owner = "somebody";
    for (const bool again : {false, true}) {
      const auto results = run_together(*engine, {request});
      BOOST_TEST(same_bits(results[0].completion.pooled, first));
      // A mean needs every row.
      BOOST_TEST((results[0].completion.cached_tokens > 0) == (again && pooling == kLast));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_embedding_may_be_cut_where_the_model_says_so) {
  const auto ids = reference_ids()[2];
  const auto last = references()[2].at("last").get<std::vector<double>>();
  for (const char* field : {"is_matryoshka", "matryoshka_dimensions"}) {
    const ModelCopy folder("qwen3");
    folder.add_modules(kLast);
    folder.change_json("config.json", [&](json& config) {
      config[field] = std::string(field) == "is_matryoshka" ? json(true) : json{8, 32};
    });
    const auto engine = engine_of(options_of(folder.path()));
    check_unit(pooled(*engine, {text(ids, 8)}).front(), {last.begin(), last.begin() + 8});
    BOOST_TEST(pooled(*engine, {text(ids, 64)}).front().size() == 64u);
    check_refusal(refusal_of([&] { pooled(*engine, {text(ids, 65)}); }), {"dimensions: 65", "64"});
    const std::string seven = refusal_of([&] { pooled(*engine, {text(ids, 7)}); });
    BOOST_TEST(seven.empty() == (std::string(field) == "is_matryoshka"), seven);
  }
}

BOOST_AUTO_TEST_CASE(models_are_served_for_one_thing) {
  const auto ids = reference_ids()[2];
  Request generates;
  generates.prompt = ids;
  generates.max_tokens = 3;
  Request logits;
  logits.prompt = ids;
  logits.logits = pipeline::LogitsWanted::last;

  const auto embeds = engine_of(options_of(model_folder("qwen3"), Task::embed));
  for (const Request& request : {generates, logits})
    check_refusal(refusal_of([&] { run_together(*embeds, {request}); }),
                  {"task: embed", "no text"});
  Request scored = text(ids);
  scored.scores.prompt = 1;
  check_refusal(refusal_of([&] { run_together(*embeds, {scored}); }), {"logits"});
  check_refusal(refusal_of([&] { run_together(*embeds, {text(ids, 8)}); }),
                {"dimensions: 8", "is_matryoshka"});
  check_unit(pooled(*embeds, {text(ids)}).front(),
             references()[2].at("last").get<std::vector<double>>());

  const auto writes = engine_of(options_of(model_folder("qwen3")));
  check_refusal(refusal_of([&] { run_together(*writes, {text(ids)}); }),
                {"generate text", "task: embed"});

  const ModelCopy folder("qwen3");
  folder.add_modules(kLast);
  for (const Task task : {Task::generate, Task::score})
    check_refusal(refusal_of([&] { engine_of(options_of(folder.path(), task)); }),
                  {"for embeddings", to_string(task)});
}

// As most models for embeddings are published: saved without a head, and without "model.".
BOOST_AUTO_TEST_CASE(a_bare_model_embeds_by_its_last_row) {
  const ModelCopy folder("qwen3");
  folder.change_json("config.json", [](json& config) { config["architectures"] = {"Qwen3Model"}; });
  folder.rename_tensors([](const std::string& name) { return name.substr(6); });
  const auto engine = engine_of(options_of(folder.path()));
  const auto ours = pooled(*engine, reference_texts());
  for (std::size_t i = 0; i < ours.size(); ++i)
    check_unit(ours[i], references()[i].at("last").get<std::vector<double>>());
}

BOOST_AUTO_TEST_CASE(a_classifier_of_one_label_scores) {
  const ModelCopy folder("qwen3");
  Vector weights(64);
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(static_cast<int>(i * 37 % 64) - 31) / 256;
  folder.add_tensor("score.weight", {1, 64}, weights);
  const auto describe = [&](const json& more) {
    folder.change_json("config.json", [&](json& config) {
      config["architectures"] = {"Qwen3ForSequenceClassification"};
      config["id2label"] = {{"0", "LABEL_0"}};
      config.update(more);
    });
  };
  describe(json::object());
  for (const bool sigmoid : {true, false}) {
    if (!sigmoid)
      describe(
          {{"sentence_transformers", {{"activation_fn", "torch.nn.modules.linear.Identity"}}}});
    const auto engine = engine_of(options_of(folder.path()));
    const auto ours = pooled(*engine, reference_texts());
    const json expected = references();
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const auto row = expected[i].at("last").get<std::vector<double>>();
      const double logit = std::inner_product(row.begin(), row.end(), weights.begin(), 0.0);
      const double wanted = sigmoid ? 1 / (1 + std::exp(-logit)) : logit;
      BOOST_TEST_REQUIRE(ours[i].size() == 1u);
      BOOST_TEST(std::abs(double{ours[i][0]} - wanted) < 1e-3);
    }
  }
  describe({{"sentence_transformers", {{"activation_fn", "torch.nn.modules.activation.Tanh"}}}});
  check_refusal(refusal_of([&] { engine_of(options_of(folder.path())); }),
                {"activation_fn", "Sigmoid"});
  describe({{"id2label", {{"0", "a"}, {"1", "b"}}}, {"sentence_transformers", nullptr}});
  check_refusal(refusal_of([&] { engine_of(options_of(folder.path())); }),
                {"id2label", "one label"});
}

namespace {

/// "no" becomes a token, in the place of the one that is merged last.
void learn_no(const ModelCopy& folder) {
  folder.change_json("tokenizer.json", [](json& tokenizer) {
    json& merge = tokenizer["model"]["merges"].back();
    const std::string pair = merge.is_string()
                                 ? merge.get<std::string>()
                                 : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    const auto blank = pair.find(' ');
    json& vocab = tokenizer["model"]["vocab"];
    const std::string old = pair.substr(0, blank) + pair.substr(blank + 1);
    vocab["no"] = vocab.at(old);
    vocab.erase(old);
    if (merge.is_string())
      merge = "n o";
    else
      merge = {"n", "o"};
  });
}

} // namespace

BOOST_AUTO_TEST_CASE(a_model_that_writes_scores_by_yes_and_no) {
  check_refusal(refusal_of([] { engine_of(options_of(model_folder("qwen3"), Task::score)); }),
                {"\"no\" is not one token"});
  const ModelCopy folder("qwen3");
  learn_no(folder);
  const auto writes = engine_of(options_of(folder.path()));
  const u32 yes = writes->tokenizer().encode("yes", false).front();
  const u32 no = writes->tokenizer().encode("no", false).front();
  std::vector<Request> logits;
  for (const auto& ids : reference_ids()) {
    logits.emplace_back();
    logits.back().prompt = ids;
    logits.back().logits = pipeline::LogitsWanted::last;
  }
  const auto rows = run_together(*writes, logits);
  const auto scores = pooled(*engine_of(options_of(folder.path(), Task::score)), reference_texts());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double difference = double{rows[i].logits[0][yes]} - double{rows[i].logits[0][no]};
    BOOST_TEST(std::abs(double{scores[i].at(0)} - 1 / (1 + std::exp(-difference))) < 1e-3);
  }
}

BOOST_AUTO_TEST_CASE(a_prepared_folder_gives_the_same_bits) {
  const ModelCopy folder("qwen3");
  folder.add_modules(kMean);
  // An untied head that is not there, as of the larger models for embeddings.
  folder.change_json("config.json", [](json& config) { config["tie_word_embeddings"] = false; });
  const TemporaryFolder place;
  SilentProgress progress;
  model::PrepareOptions options;
  options.weights = model::WeightFormat::int16;
  const auto out = place.path() / "out";
  const auto made = prepare_model(folder.path(), out, options, progress);
  BOOST_TEST(made.worker.matrices.back().name == "layers.2.down");
  BOOST_TEST(std::filesystem::exists(out / "enclave" / "1_Pooling" / "config.json"));
  const auto expected = pooled(*engine_of(options_of(folder.path())), reference_texts());
  const auto ours = pooled(*engine_of(options_of(out)), reference_texts());
  for (std::size_t i = 0; i < ours.size(); ++i) BOOST_TEST(same_bits(ours[i], expected[i]));
}

namespace {

void replace_in(const std::filesystem::path& file, const std::string& from, const std::string& to) {
  std::ifstream in(file, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  in.close();
  for (auto at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at + to.size()))
    bytes.replace(at, from.size(), to);
  std::ofstream(file, std::ios::binary) << bytes;
}

/// A prepared folder as earlier versions made it: under this name nobody finds the final norm.
void forget_final_norm(const std::filesystem::path& enclave) {
  std::ifstream in(enclave / "manifest.json");
  json manifest = json::parse(in);
  in.close();
  for (json& entry : manifest.at("files")) {
    const std::string name = entry.at("name");
    if (!name.starts_with("enclave.") && !name.starts_with("model.safetensors.")) continue;
    replace_in(enclave / name, "\"model.norm.weight\"", "\"model.nerm.weight\"");
    std::ifstream file(enclave / name, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    entry["sha256"] = to_hex(sha256({reinterpret_cast<const u8*>(bytes.data()), bytes.size()}));
  }
  std::ofstream(enclave / "manifest.json") << manifest.dump();
}

} // namespace

BOOST_AUTO_TEST_CASE(an_older_prepared_folder_generates_and_is_refused_for_embeddings) {
  const TemporaryFolder place;
  const auto out = place.path() / "out";
  SilentProgress progress;
  model::PrepareOptions options;
  options.weights = model::WeightFormat::int16;
  prepare_model(model_folder("qwen3"), out, options, progress);
  const auto texts = reference_texts();
  check_unit(pooled(*engine_of(options_of(out, Task::embed)), {texts[2]}).front(),
             references()[2].at("last").get<std::vector<double>>());
  forget_final_norm(out / "enclave");
  Request generates;
  generates.prompt = texts[2].prompt;
  generates.max_tokens = 2;
  BOOST_TEST(run_together(*engine_of(options_of(out)), {generates})[0].completion.tokens.size() >
             0);
  check_refusal(refusal_of([&] { engine_of(options_of(out, Task::embed)); }),
                {"model.norm.weight", "prepare the model again"});
}

BOOST_AUTO_TEST_CASE(what_is_not_computed_is_refused_by_its_name) {
  const ModelCopy folder("qwen3");
  const auto refusal = [&] {
    return refusal_of(
        [&] { const pipeline::ModelLoader loader(folder.path(), model::WeightFormat::int8); });
  };
  const auto pooling = [&](const json& config) {
    folder.add_modules(config);
    return refusal();
  };
  BOOST_TEST(pooling(kLast) == "");
  check_refusal(pooling({{"pooling_mode_cls_token", true}}),
                {"1_Pooling/config.json", "pooling_mode_cls_token"});
  check_refusal(pooling({{"pooling_mode_weightedmean_tokens", true}}), {"weightedmean"});
  check_refusal(pooling({{"pooling_mode_mean_tokens", true}, {"pooling_mode_lasttoken", true}}),
                {"one way"});
  check_refusal(pooling(json::object()), {"pooling_mode_lasttoken"});
  check_refusal(pooling({{"pooling_mode", "max"}}), {"\"mean\""});
  BOOST_TEST(pooling({{"pooling_mode", "lasttoken"}, {"embedding_dimension", 64}}) == "");
  check_refusal(pooling({{"pooling_mode_lasttoken", true}, {"include_prompt", false}}),
                {"include_prompt"});
  check_refusal(pooling({{"pooling_mode_lasttoken", true}, {"word_embedding_dimension", 65}}),
                {"word_embedding_dimension", "64"});

  const auto modules = [&](const json& list) {
    folder.write("modules.json", list.dump());
    return refusal();
  };
  folder.add_modules(kLast);
  const json transformer = ModelCopy::module(0, "", "Transformer");
  const json pools = ModelCopy::module(1, "1_Pooling", "Pooling");
  check_refusal(modules({transformer, pools, ModelCopy::module(2, "2_Dense", "Dense")}),
                {"modules.json[2]", "type", "Dense"});
  check_refusal(modules({ModelCopy::module(0, "0_Transformer", "Transformer"), pools}),
                {"modules.json[0]", "path"});
  check_refusal(modules({transformer, ModelCopy::module(1, "pooling", "Pooling")}),
                {"modules.json[1]", "1_Pooling"});
  check_refusal(modules(json::array({transformer})), {"no module of it is a Pooling"});
  check_refusal(modules(json::object()), {"list of modules"});
  BOOST_TEST(modules({transformer, pools}) == "");
  folder.change_json("config.json", [](json& config) { config["is_causal"] = false; });
  check_refusal(refusal(), {"is_causal"});
}

BOOST_AUTO_TEST_CASE(a_text_is_as_long_as_its_model_was_trained_for) {
  const ModelCopy folder("qwen3");
  folder.add_modules(kLast);
  folder.write("sentence_bert_config.json", R"({"max_seq_length":20,"do_lower_case":false})");
  const auto engine = engine_of(options_of(folder.path()));
  BOOST_TEST(engine->longest_prompt() == 20u);
  BOOST_TEST(pooled(*engine, {text(std::vector<u32>(20, 7))}).size() == 1u);
  check_refusal(refusal_of([&] { pooled(*engine, {text(std::vector<u32>(21, 7))}); }),
                {"21 tokens", "20"});
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
