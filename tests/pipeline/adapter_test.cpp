// Adapters: against weights that are merged in double by code of this test, and against the bits of
// the same engine without them.
#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "kernels/kernel_set.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/prepared_writer.hpp"
#include "pipeline/adapters.hpp"
#include "pipeline/model_loader.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/peft_folder.hpp"

namespace talaria::tests {

using nlohmann::json;
using pipeline::EngineOptions;
using pipeline::Request;

BOOST_AUTO_TEST_SUITE(adapters)

namespace {

constexpr double kScale = 2;        // lora_alpha 8, r 4
constexpr double kTolerance = 2e-3; // of the logits' standard deviation, as in conformance_test

EngineOptions options_of(const std::filesystem::path& folder,
                         remo::SchemeKind scheme = remo::SchemeKind::clear) {
  EngineOptions options;
  options.model_dir = folder;
  options.weights = model::WeightFormat::int16;
  options.scheme.kind = scheme;
  options.threads = 2;
  options.pool.rows_ahead = 64;
  return options;
}

std::unique_ptr<pipeline::Engine>
engine_of(EngineOptions options, const std::vector<pipeline::AdapterFolder>& adapters = {}) {
  pipeline::load_adapters(adapters, options);
  SilentProgress progress;
  return std::make_unique<pipeline::Engine>(options, progress);
}

Request asking(std::vector<u32> prompt, u32 max_tokens = 0, model::AdapterPtr adapter = nullptr) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.logits = max_tokens == 0 ? pipeline::LogitsWanted::all : pipeline::LogitsWanted::last;
  request.adapter = std::move(adapter);
  return request;
}

std::vector<u32> prompt_of(std::size_t tokens, u32 seed) {
  std::vector<u32> out;
  for (std::size_t i = 0; i < tokens; ++i)
    out.push_back(static_cast<u32>((seed + 1) * 7919 + i * i * 31 + i) % 300);
  return out;
}

/// Matrices for every module of a model that has a tensor of its own, the untied head included.
void add_all_modules(PeftFolder& folder, const std::filesystem::path& model, u32 seed) {
  const arch::ModelPlan plan = model::load_model_plan(model);
  const PlainTensors tensors = read_plain(model);
  for (const arch::Linear& linear : plan.linears)
    for (const arch::LinearPart& part : linear.parts) {
      if (part.base.ends_with("embed_tokens")) continue;
      // Checkpoints with a wrapper have more before "layers".
      for (const auto& [name, tensor] : tensors)
        if (name.ends_with(part.base.substr(part.base.find('.') + 1) + ".weight") &&
            tensor.shape.size() == 2)
          folder.add(name.substr(0, name.size() - std::strlen(".weight")), tensor.shape[0],
                     tensor.shape[1], ++seed * 100);
    }
}

/// Other weights for the same model.
void write_weights(const ModelCopy& model, const PlainTensors& tensors) {
  for (const auto& entry : std::filesystem::directory_iterator(model.path()))
    if (entry.path().string().find(".safetensors") != std::string::npos)
      std::filesystem::remove(entry.path());
  model.write("model.safetensors", safetensors_of(tensors));
}

double spread(const std::vector<std::vector<float>>& rows) {
  double sum = 0;
  double squares = 0;
  double count = 0;
  for (const auto& row : rows)
    for (const float x : row) {
      sum += x;
      squares += double{x} * x;
      ++count;
    }
  return std::sqrt(squares / count - sum / count * (sum / count));
}

double largest_difference(const std::vector<std::vector<float>>& a,
                          const std::vector<std::vector<float>>& b) {
  BOOST_TEST_REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t r = 0; r < a.size(); ++r)
    for (std::size_t i = 0; i < a[r].size(); ++i)
      largest = std::max(largest, std::abs(double{a[r][i]} - double{b[r][i]}));
  return largest;
}

std::string what_is_wrong(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    BOOST_TEST(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "nothing";
}

/// Weights are made of steps of 2^-15, and each row has one of 32639 of them, which no adapter
/// moves: int16 then holds the weights as they are, and also those with the adapter in them. What
/// is left to differ between the two is rounding in fp32, and of activations that it moves across a
/// step. Without that, merged weights are rounded anew, which Qwen3.5's layers magnify to 1.1e-2,
/// measured in float64 (the adapter is off by 4e-3 there, as the model is without it).
constexpr float kStep = 1.0F / 32768;
constexpr float kLargestSteps = 32639;

/// Even numbers of steps, so that a gain of 1/2 leaves whole ones; `room` is left for the adapter.
void put_on_steps(PlainTensor& matrix, float room) {
  const std::size_t inputs = matrix.shape[1];
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    float& x = matrix.values[i];
    if (i % inputs == 0)
      x = (i / inputs) % 3 == 1 ? -kLargestSteps * kStep : kLargestSteps * kStep;
    else
      x = 2 * std::rint(std::clamp(x / kStep, room - kLargestSteps, kLargestSteps - room) / 2) *
          kStep;
  }
}

/// The products of two halves are even numbers of steps.
float put_on_steps(PeftFolder& adapter) {
  constexpr float kMost = 12;
  for (auto& [name, tensor] : adapter.tensors)
    for (std::size_t i = 0; i < tensor.values.size(); ++i) {
      float& x = tensor.values[i];
      x = std::rint(x * 10 * kMost) / 128;
      if (name.find(".lora_A.") != std::string::npos && i % tensor.shape[1] == 0) x = 0;
    }
  return 4 * 4 * kMost * kMost; // rank 4, and 2 / 128 / 128 is four steps
}

/// Gains of 1 and 1/2, the first input's 1, where they are folded into the matrices behind them.
void simplify_gains(const arch::ModelPlan& plan, PlainTensors& tensors) {
  const auto simplify = [&](const arch::FoldedGain& gain) {
    if (gain.tensor.empty()) return;
    const std::string end = gain.tensor.substr(gain.tensor.find('.') + 1);
    for (auto& [name, tensor] : tensors)
      if (name.ends_with("." + end))
        for (std::size_t i = 0; i < tensor.values.size(); ++i)
          tensor.values[i] = (i % 3 == 2 ? 0.5F : 1.0F) - (gain.plus_one ? 1.0F : 0.0F);
  };
  for (const arch::Linear& linear : plan.linears) {
    simplify(linear.gain);
    for (const arch::LinearPart& part : linear.parts) simplify(part.gain);
  }
}

/// A copy of the model with such weights, and the adapter with such matrices.
void put_on_steps(const ModelCopy& model, PeftFolder& adapter) {
  const arch::ModelPlan plan = model::load_model_plan(model.path());
  PlainTensors tensors = read_plain(model.path());
  const float room = put_on_steps(adapter);
  for (auto& [name, tensor] : tensors) {
    if (!name.ends_with(".weight")) continue;
    const std::string module = name.substr(0, name.rfind('.'));
    if (adapter.tensors.contains(PeftFolder::name_of(module, "A"))) put_on_steps(tensor, room);
  }
  simplify_gains(plan, tensors);
  write_weights(model, tensors);
}

const std::vector<const char*> kKinds{"llama3",  "qwen2",       "phi3",    "gemma3", "granite",
                                      "mixtral", "deepseek_v3", "qwen3_5", "glm4"};

} // namespace

BOOST_DATA_TEST_CASE(an_adapter_is_as_good_as_merged_weights, boost::unit_test::data::make(kKinds),
                     kind) {
  const ModelCopy base{std::string(kind)};
  PeftFolder adapter;
  add_all_modules(adapter, base.path(), 1);
  BOOST_TEST_REQUIRE(adapter.tensors.size() >= 8U);
  put_on_steps(base, adapter);
  adapter.write();
  const ModelCopy merged{std::string(kind)};
  PlainTensors tensors = read_plain(base.path());
  adapter.merge_into(tensors, kScale);
  write_weights(merged, tensors);

  const auto engine = engine_of(options_of(base.path()), {{"own", adapter.path()}});
  const auto prompt = prompt_of(19, 3);
  const auto got =
      run_together(*engine, {asking(prompt, 0, engine->adapter("own")), asking(prompt)});
  const auto reference = run_together(*engine_of(options_of(merged.path())), {asking(prompt)});
  const double tolerance = kTolerance * spread(reference[0].logits);
  const double worst = largest_difference(got[0].logits, reference[0].logits);
  BOOST_TEST_MESSAGE(kind << ": " << worst / spread(reference[0].logits));
  BOOST_TEST(worst <= tolerance, "differs by " << worst << " of " << tolerance);
  BOOST_TEST(largest_difference(got[1].logits, reference[0].logits) > 5 * tolerance);
}

namespace {

/// y += scale B A (gain x) in double, for the columns that a module has.
void add_exactly(const PeftFolder& folder, const std::string& module,
                 const std::vector<float>& gain, double scale, const float* x, std::size_t column,
                 std::vector<double>& y) {
  const PlainTensor& a = folder.tensors.at(PeftFolder::name_of(module, "A"));
  const PlainTensor& b = folder.tensors.at(PeftFolder::name_of(module, "B"));
  const std::size_t inputs = a.shape[1];
  for (std::size_t p = 0; p < a.shape[0]; ++p) {
    double inner = 0;
    for (std::size_t i = 0; i < inputs; ++i)
      inner += double{a.values[p * inputs + i]} * double{gain[i]} * double{x[i]};
    for (std::size_t j = 0; j < b.shape[0]; ++j)
      y[column + j] += scale * inner * double{b.values[j * a.shape[0] + p]};
  }
}

Matrix<float> noise(std::size_t rows, std::size_t cols, u32 seed) {
  std::mt19937 random(seed);
  Matrix<float> out(rows, cols);
  for (std::size_t i = 0; i < rows * cols; ++i)
    out.data()[i] = static_cast<float>(random() % 2001) / 1000.0F - 1.0F;
  return out;
}

struct KernelsOfTest {
  explicit KernelsOfTest(const kernels::KernelSet& set) : before(kernels::active_kernels()) {
    kernels::set_active_kernels(set);
  }
  ~KernelsOfTest() { kernels::set_active_kernels(before); }
  const kernels::KernelSet& before;
};

} // namespace

BOOST_AUTO_TEST_CASE(what_is_added_is_the_product_whatever_the_target_and_the_padding) {
  const auto model = model_folder("llama3");
  const arch::ModelPlan plan = model::load_model_plan(model);
  PeftFolder first, second;
  add_all_modules(first, model, 3);
  first.write();
  second.add("model.layers.0.self_attn.v_proj", 32, 64, 5, 7);
  second.config["r"] = 7;
  second.write();
  const pipeline::ModelLoader loader(model, model::WeightFormat::int8);
  const std::vector<model::AdapterPtr> both{
      std::make_shared<const model::Adapter>("a", first.path(), plan, loader.tensors()),
      std::make_shared<const model::Adapter>("b", second.path(), plan, loader.tensors())};
  const std::vector<model::AdaptedRows> runs{
      {3, both[0].get()}, {2, nullptr}, {11, both[1].get()}, {1, both[0].get()}};
  const auto gain = read_plain(model).at("model.layers.0.input_layernorm.weight").values;
  const arch::Linear& qkv = plan.linears.of(0, arch::LinearKind::qkv);
  const Matrix<float> x = noise(19, 64, 1); // the last two rows are padding
  const Matrix<float> before = noise(19, qkv.d_out, 2);
  ThreadTeam team(2);
  std::vector<float> bits;
  for (const auto& set : kernels::kernel_sets()) try {
      const KernelsOfTest chosen(kernels::select_kernels(set.name));
      for (const bool even : {false, true}) BOOST_TEST_CONTEXT(set.name << " even " << even) {
          Matrix<float> y = noise(19, qkv.d_out, 2);
          model::AdapterSet(both, plan, even).delta(qkv.id, x, runs, team)->add_to(y);
          const std::vector<float> got(y.data(), y.data() + 19 * qkv.d_out);
          if (bits.empty()) bits = got;
          BOOST_TEST(std::memcmp(bits.data(), got.data(), got.size() * sizeof(float)) == 0);
        }
    } catch (const Error&) { // this machine has no such target
    }
  for (std::size_t r = 0; r < 19; ++r) {
    std::vector<double> y(before.row(r), before.row(r) + qkv.d_out);
    if (r < 3 || r == 16)
      for (const auto& [name, column] : {std::pair{"q_proj", std::size_t{0}},
                                         {"k_proj", std::size_t{64}},
                                         {"v_proj", std::size_t{96}}})
        add_exactly(first, std::string("model.layers.0.self_attn.") + name, gain, kScale, x.row(r),
                    column, y);
    else if (r >= 5 && r < 16)
      add_exactly(second, "model.layers.0.self_attn.v_proj", gain, 8.0 / 7, x.row(r), 96, y);
    for (std::size_t j = 0; j < qkv.d_out; ++j)
      BOOST_TEST_REQUIRE(std::abs(y[j] - double{bits[r * qkv.d_out + j]}) < 1e-6);
  }
}

namespace {

/// Two adapters of llama3, of different ranks and modules.
struct Tenants {
  Tenants() {
    add_all_modules(first, model_folder("llama3"), 7);
    first.write();
    second.add("model.layers.1.self_attn.q_proj", 64, 64, 5, 9);
    second.add("model.layers.1.mlp.down_proj", 64, 176, 6, 9);
    second.config["r"] = 9;
    second.config["use_rslora"] = true;
    second.write();
  }
  std::vector<pipeline::AdapterFolder> folders() const {
    return {{"first", first.path()}, {"second", second.path()}};
  }
  std::vector<Request> requests(const pipeline::Engine& engine) const {
    std::vector<Request> out;
    for (u32 i = 0; i < 6; ++i) {
      const char* const name = i % 3 == 1 ? "first" : "second";
      out.push_back(
          asking(prompt_of(5 + 9 * i, i), 6, i % 3 == 0 ? nullptr : engine.adapter(name)));
    }
    return out;
  }
  PeftFolder first, second;
};

bool same_bits(const Collected& a, const Collected& b) {
  if (a.completion.tokens != b.completion.tokens || a.logits.size() != b.logits.size())
    return false;
  for (std::size_t r = 0; r < a.logits.size(); ++r)
    if (std::memcmp(a.logits[r].data(), b.logits[r].data(), a.logits[r].size() * sizeof(float)) !=
        0)
      return false;
  return true;
}

} // namespace

BOOST_AUTO_TEST_CASE(answers_are_the_same_bits_alone_together_masked_and_padded) {
  const Tenants tenants;
  const auto clear = engine_of(options_of(model_folder("llama3")), tenants.folders());
  std::vector<Collected> alone;
  for (const Request& request : tenants.requests(*clear))
    alone.push_back(run_together(*clear, {request}).front());
  const auto compare = [&](EngineOptions options) {
    const auto engine = engine_of(std::move(options), tenants.folders());
    const auto together = run_together(*engine, tenants.requests(*engine));
    for (std::size_t i = 0; i < alone.size(); ++i)
      BOOST_TEST(same_bits(alone[i], together[i]), "request " << i);
  };
  compare(options_of(model_folder("llama3")));
  auto lattice = options_of(model_folder("llama3"), remo::SchemeKind::lattice);
  lattice.batch.drafts = 2;
  compare(lattice);
  auto padded = options_of(model_folder("llama3"));
  padded.padding.buckets = {8, 32};
  padded.padding.rounds = 4;
  padded.batch.max_rows = 32;
  compare(padded);

  // Who names none has the bits of an engine that has none.
  const auto without = engine_of(options_of(model_folder("llama3")));
  auto plain = tenants.requests(*clear);
  for (std::size_t i = 0; i < plain.size(); i += 3)
    BOOST_TEST(same_bits(alone[i], run_together(*without, {plain[i]}).front()));
}

BOOST_AUTO_TEST_CASE(a_worker_is_asked_the_same_with_and_without_an_adapter) {
  const Tenants tenants;
  const auto asked = [&](const char* name) {
    const auto engine =
        engine_of(options_of(model_folder("llama3"), remo::SchemeKind::lattice), tenants.folders());
    const auto adapter = name == nullptr ? nullptr : engine->adapter(name);
    run_together(*engine, {asking(prompt_of(12, 1), 5, adapter)});
    const auto report = engine->workers().front();
    return std::array<u64, 4>{report.requests, report.rows, report.bytes_in, report.bytes_out};
  };
  const auto plain = asked(nullptr);
  BOOST_TEST(plain == asked("first"), boost::test_tools::per_element());
  BOOST_TEST(plain == asked("second"), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(computed_prefixes_are_shared_within_one_adapter_only) {
  const Tenants tenants;
  const auto engine = engine_of(options_of(model_folder("llama3")), tenants.folders());
  const auto ask = [&](const char* name) {
    Request request =
        asking(prompt_of(200, 4), 3, name == nullptr ? nullptr : engine->adapter(name));
    const Collected alone = run_together(*engine, {request}).front();
    request.owner = "key of a tenant";
    const Collected owned = run_together(*engine, {request}).front();
    BOOST_TEST(same_bits(alone, owned));
    return owned.completion.cached_tokens;
  };
  for (const char* name : {static_cast<const char*>(nullptr), "first", "second"})
    BOOST_TEST(ask(name) == 0U);
  for (const char* name : {static_cast<const char*>(nullptr), "first", "second"})
    BOOST_TEST(ask(name) >= 128U);
}

// The public prefix is what the model alone computes: an adapter has it neither from others nor
// for them.
BOOST_AUTO_TEST_CASE(a_public_prefix_is_the_models_alone) {
  const Tenants tenants;
  const TemporaryFolder folder;
  const auto prompt = prompt_of(150, 4);
  auto options = options_of(model_folder("llama3"));
  const auto plain = engine_of(options, tenants.folders());
  options.kv.public_prefix = folder.path() / "prefix.json";
  std::ofstream file(options.kv.public_prefix);
  for (u32 i = 0; i < 64; ++i) file << (i == 0 ? "[" : ",") << prompt[i];
  file << "]" << std::flush;
  for (const bool adapter_first : {false, true}) {
    const auto engine = engine_of(options, tenants.folders());
    for (const bool adapted : {adapter_first, !adapter_first, adapter_first}) {
      const auto ask = [&](const pipeline::Engine& of) {
        return asking(prompt, 3, adapted ? of.adapter("first") : nullptr);
      };
      const Collected got = run_together(*engine, {ask(*engine)}).front();
      BOOST_TEST(same_bits(run_together(*plain, {ask(*plain)}).front(), got));
      BOOST_TEST((!adapted || got.completion.cached_tokens == 0U));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_prepared_model_takes_adapters_if_it_has_the_gains) {
  const Tenants tenants;
  const TemporaryFolder folder;
  model::PrepareOptions options;
  options.weights = model::WeightFormat::int16;
  SilentProgress progress;
  model::prepare_model(model_folder("llama3"), folder.path() / "new", options, progress);
  const auto request = [](const pipeline::Engine& engine) {
    return asking(prompt_of(11, 2), 0, engine.adapter("first"));
  };
  const auto published = engine_of(options_of(model_folder("llama3")), tenants.folders());
  const auto prepared = engine_of(options_of(folder.path() / "new"), tenants.folders());
  BOOST_TEST(same_bits(run_together(*published, {request(*published)}).front(),
                       run_together(*prepared, {request(*prepared)}).front()));

  // As an earlier version prepared it: what it reads is there, but not the gains.
  const pipeline::ModelLoader loader(model_folder("llama3"), model::WeightFormat::int16);
  const model::TensorStore none("old", {}, nullptr);
  const std::string why =
      what_is_wrong([&] { model::Adapter("first", tenants.first.path(), loader.plan(), none); });
  BOOST_TEST(why.find("prepare the model again") != std::string::npos, why);
}

BOOST_AUTO_TEST_CASE(an_adapter_of_another_engine_is_refused) {
  const Tenants tenants;
  const auto engine = engine_of(options_of(model_folder("llama3")), tenants.folders());
  const auto other = engine_of(options_of(model_folder("llama3")), tenants.folders());
  BOOST_TEST(what_is_wrong([&] {
               run_together(*engine, {asking({1, 2}, 1, other->adapter("first"))});
             }).find("none of this engine's") != std::string::npos);
  BOOST_TEST(what_is_wrong([&] { engine->adapter("third"); }).find("first, second") !=
             std::string::npos);
  BOOST_TEST(what_is_wrong([&] {
               engine_of(options_of(model_folder("llama3")),
                         {{"same", tenants.first.path()}, {"same", tenants.second.path()}});
             }).find("two adapters are called same") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
