// What the files of a PEFT folder may say, and what they may not.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "core/digest.hpp"
#include "model/adapter/adapter.hpp"
#include "model/adapter/peft_config.hpp"
#include "pipeline/model_loader.hpp"
#include "tests/support/models.hpp"
#include "tests/support/peft_folder.hpp"

namespace talaria::tests {

using nlohmann::json;

BOOST_AUTO_TEST_SUITE(adapter_files)

namespace {

const std::string kQuery = "model.layers.0.self_attn.q_proj"; // [64, 64] of llama3
const std::string kDown = "model.layers.1.mlp.down_proj";     // [64, 176]

const pipeline::ModelLoader& llama() {
  static const pipeline::ModelLoader loader(model_folder("llama3"), model::WeightFormat::int8);
  return loader;
}

model::Adapter read(const PeftFolder& folder) {
  return model::Adapter("own", folder.path(), llama().plan(), llama().tensors());
}

void fill(PeftFolder& folder) {
  folder.add(kQuery, 64, 64, 1);
  folder.add(kDown, 64, 176, 2);
}

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    BOOST_TEST((error.code() == Errc::model));
    BOOST_TEST(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

struct Fault {
  const char* expected; ///< in the message
  std::function<void(PeftFolder&)> change;
  friend std::ostream& operator<<(std::ostream& out, const Fault& fault) {
    return out << fault.expected;
  }
};

auto with(const char* field, json value) {
  return [field, value](PeftFolder& folder) { folder.config[field] = value; };
}

/// Moves a tensor to another name.
auto renamed(const std::string& from, const std::string& to) {
  return [from, to](PeftFolder& folder) {
    folder.tensors[to] = folder.tensors.at(from);
    folder.tensors.erase(from);
  };
}

const std::string kQueryA = PeftFolder::name_of(kQuery, "A");
const std::string kQueryB = PeftFolder::name_of(kQuery, "B");

/// Both matrices of a module to another one.
auto moved(const std::string& to) {
  return [to](PeftFolder& folder) {
    renamed(kQueryA, PeftFolder::name_of(to, "A"))(folder);
    renamed(kQueryB, PeftFolder::name_of(to, "B"))(folder);
  };
}

const std::vector<Fault> kFaults{
    {"peft_type", with("peft_type", "IA3")},
    {"peft_type", [](PeftFolder& f) { f.config.erase("peft_type"); }},
    {"task_type", with("task_type", "SEQ_CLS")},
    {"bias", with("bias", "lora_only")},
    {"use_dora", with("use_dora", true)},
    {"fan_in_fan_out", with("fan_in_fan_out", true)},
    {"modules_to_save", with("modules_to_save", json::array({"lm_head"}))},
    {"layer_replication", with("layer_replication", json::array({json::array({0, 1})}))},
    {"trainable_token_indices", with("trainable_token_indices", json::array({5}))},
    {"alora_invocation_tokens", with("alora_invocation_tokens", json::array({5}))},
    {"target_parameters", with("target_parameters", json::array({"mlp.experts.gate_up_proj"}))},
    {"field_of_tomorrow", with("field_of_tomorrow", "on")},
    {"init_lora_weights", with("init_lora_weights", "pissa")},
    {": r ", with("r", 0)},
    {": r ", with("r", "4")},
    {"lora_alpha", [](PeftFolder& f) { f.config.erase("lora_alpha"); }},
    {"lora_alpha", with("lora_alpha", json::array())},
    {"target_modules", with("target_modules", nullptr)},
    {"target_modules", with("target_modules", json::array({1}))},
    {"is no regular expression", with("target_modules", ".*(q_proj")},
    {"too much work", with("target_modules", "(([a-z0-9._]+)+)+[^a-z0-9._]")},
    {"rank_pattern", with("rank_pattern", {{"q_proj", -1}})},
    {"has shape [4, 64]; expected [8, 64]", with("r", 8)},
    {"does not target", with("target_modules", json::array({"q_proj"}))},
    {"layers.0.mlp.down_proj.lora_A.weight is missing",
     with("target_modules", json::array({"q_proj", "down_proj"}))},
    {"lora_B.weight is missing", [](PeftFolder& f) { f.tensors.erase(kQueryB); }},
    {"lora_A.weight is missing", [](PeftFolder& f) { f.tensors.erase(kQueryA); }},
    {"has shape [4, 63]",
     [](PeftFolder& f) {
       f.tensors[kQueryA] = {{4, 63}, std::vector<float>(std::size_t{4} * 63)};
     }},
    {"element 70 is NaN",
     [](PeftFolder& f) {
       f.tensors[kQueryA].values[70] = std::numeric_limits<float>::quiet_NaN();
     }},
    {"element 9 is infinite",
     [](PeftFolder& f) { f.tensors[kQueryB].values[9] = std::numeric_limits<float>::infinity(); }},
    {"none of this model's outsourced matrices", moved("model.layers.2.self_attn.q_proj")},
    {"none of this model's outsourced matrices", moved("vision_tower.layers.0.self_attn.q_proj")},
    {"none of this model's outsourced matrices", moved("model.layers.0.mlp.gate")},
    {"lora_embedding_A", renamed(kQueryA, "base_model.model.model.embed_tokens.lora_embedding_A")},
    {"lora_magnitude_vector",
     renamed(kQueryA, "base_model.model." + kQuery + ".lora_magnitude_vector")},
    {"is not computed", renamed(kQueryA, kQuery + ".lora_A.weight")},
    {"holds no lora_A", [](PeftFolder& f) { f.tensors.clear(); }},
};

} // namespace

BOOST_DATA_TEST_CASE(what_would_be_computed_wrongly_is_refused_by_name,
                     boost::unit_test::data::make(kFaults), fault) {
  PeftFolder folder;
  fill(folder);
  fault.change(folder);
  folder.write();
  const std::string why = refusal([&] { read(folder); });
  BOOST_TEST(why.find(fault.expected) != std::string::npos, why);
}

BOOST_AUTO_TEST_CASE(damaged_and_missing_files_are_refused) {
  PeftFolder folder;
  fill(folder);
  folder.write();
  const auto weights = folder.path() / "adapter_model.safetensors";
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{100},
        static_cast<std::size_t>(std::filesystem::file_size(weights)) - 1}) {
    folder.write();
    std::filesystem::resize_file(weights, size);
    BOOST_TEST(refusal([&] { read(folder); }).find("adapter_model.safetensors") !=
               std::string::npos);
  }
  std::filesystem::remove(weights);
  BOOST_TEST(refusal([&] { read(folder); }).find("adapter_model.bin is not read") !=
             std::string::npos);
  std::filesystem::remove(folder.path() / "adapter_config.json");
  BOOST_TEST(refusal([&] { read(folder); }).find("adapter_config.json") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_digest_is_of_both_files) {
  PeftFolder folder;
  fill(folder);
  folder.write();
  const auto bytes_of = [&](const char* name) {
    std::ifstream in(folder.path() / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  std::string text = "talaria adapter 1\n";
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    const std::string bytes = bytes_of(name);
    const auto digest = sha256({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
    text += to_hex(digest) + " " + std::to_string(bytes.size()) + " " + name + "\n";
  }
  const auto expected = sha256({reinterpret_cast<const u8*>(text.data()), text.size()});
  BOOST_TEST(to_hex(read(folder).digest()) == to_hex(expected));
}

namespace {

using Ordered = nlohmann::ordered_json; ///< the order of patterns counts

model::PeftConfig config_of(const Ordered& changes) {
  Ordered object{
      {"peft_type", "LORA"}, {"r", 8}, {"lora_alpha", 16}, {"target_modules", "all-linear"}};
  object.update(changes);
  return model::PeftConfig::parse({"adapter_config.json", object.dump(), {}});
}

} // namespace

BOOST_AUTO_TEST_CASE(modules_are_selected_as_peft_selects_them) {
  const std::string deep = "model.layers.11.self_attn.q_proj";
  BOOST_TEST(config_of(Ordered::object()).targets(deep));
  BOOST_TEST(!config_of(Ordered::object()).targets("lm_head"));
  const auto names =
      config_of({{"target_modules", Ordered::array({"q_proj", "model.layers.1.mlp.up_proj"})}});
  BOOST_TEST(names.targets(deep));
  BOOST_TEST(names.targets("model.layers.1.mlp.up_proj"));
  BOOST_TEST(!names.targets("model.layers.11.mlp.up_proj"));
  BOOST_TEST(!names.targets("model.layers.1.self_attn.eq_proj"));
  const auto expression = config_of({{"target_modules", R"(.*layers\.\d\.self_attn\.[qv]_proj)"}});
  BOOST_TEST(expression.targets("model.layers.1.self_attn.v_proj"));
  BOOST_TEST(!expression.targets(deep));                                // of the whole name
  BOOST_TEST(!expression.targets("model.layers.1.self_attn.v_proj.x")); // likewise
  const auto excluded =
      config_of({{"target_modules", Ordered::array({"q_proj"})},
                 {"exclude_modules", Ordered::array({"layers.11.self_attn.q_proj"})}});
  BOOST_TEST(!excluded.targets(deep));
  BOOST_TEST(excluded.targets("model.layers.1.self_attn.q_proj"));
  const auto layers = config_of({{"target_modules", Ordered::array({"q_proj"})},
                                 {"layers_to_transform", Ordered::array({1, 11})}});
  BOOST_TEST(layers.targets(deep));
  BOOST_TEST(!layers.targets("model.layers.2.self_attn.q_proj"));
  const auto pattern = config_of({{"target_modules", Ordered::array({"w1"})},
                                  {"layers_to_transform", 3},
                                  {"layers_pattern", "layers"}});
  BOOST_TEST(pattern.targets("model.layers.3.mlp.experts.5.w1"));
  BOOST_TEST(!pattern.targets("model.layers.5.mlp.experts.3.w1"));
}

BOOST_AUTO_TEST_CASE(ranks_and_scales_follow_their_patterns) {
  const std::string query = "model.layers.1.self_attn.q_proj";
  const std::string up = "model.layers.1.mlp.up_proj";
  BOOST_TEST(config_of(Ordered::object()).scale_of(query) == 2.0);
  BOOST_TEST(config_of({{"use_rslora", true}}).scale_of(query) == 16 / std::sqrt(8.0));
  const auto config = config_of({{"rank_pattern", {{"q_proj", 4}, {R"(layers\.1\..*)", 2}}},
                                 {"alpha_pattern", {{"^model.layers.1.mlp.up_proj", 5}}}});
  BOOST_TEST(config.rank_of(query) == 4U); // the first in the file
  BOOST_TEST(config.rank_of(up) == 2U);
  BOOST_TEST(config.rank_of("model.layers.2.mlp.up_proj") == 8U);
  BOOST_TEST(config.scale_of(query) == 4.0);
  BOOST_TEST(config.scale_of(up) == 2.5);
}

BOOST_AUTO_TEST_CASE(a_gain_that_is_folded_into_the_matrix_is_in_the_adapter_too) {
  PeftFolder folder;
  fill(folder);
  folder.write();
  const model::Adapter adapter = read(folder);
  const arch::Linear& qkv = llama().plan().linears.of(0, arch::LinearKind::qkv);
  const auto parts = adapter.of(qkv.id);
  BOOST_TEST_REQUIRE(parts.size() == 3U);
  BOOST_TEST(parts[0].rank == 4U);
  BOOST_TEST(parts[1].rank == 0U);
  const auto tensors = read_plain(model_folder("llama3"));
  const auto& gain = tensors.at("model.layers.0.input_layernorm.weight").values;
  const auto& a = folder.tensors.at(kQueryA).values;
  for (std::size_t i = 0; i < a.size(); ++i)
    BOOST_TEST_REQUIRE(parts[0].a[i] == a[i] * gain[i % gain.size()]);
  const auto& b = folder.tensors.at(kQueryB).values;
  for (std::size_t i = 0; i < b.size(); ++i)
    BOOST_TEST_REQUIRE(parts[0].b[i % 4 * 64 + i / 4] == b[i]);
  BOOST_TEST(adapter.of(llama().plan().linears.of(0, arch::LinearKind::down).id).empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
