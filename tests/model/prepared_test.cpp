#include "model/weights/plan_file.hpp"
#include "model/weights/prepared.hpp"
#include "tests/model/weight_format_text.hpp"

#include <boost/test/data/test_case.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <iterator>
#include <set>

#include "arch/json_fields.hpp"
#include "model/weights/prepared_writer.hpp"
#include "tests/model/model_folder.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;
namespace fs = std::filesystem;

namespace talaria::model {
/// For Boost's reports.
static std::ostream& operator<<(std::ostream& out, FolderKind kind) {
  return out << static_cast<int>(kind);
}
} // namespace talaria::model

namespace {

constexpr WeightFormat kFormats[] = {WeightFormat::int8, WeightFormat::int16};

Prepared prepare(const fs::path& model, const fs::path& out, PrepareOptions options = {}) {
  SilentProgress progress;
  return prepare_model(model, out, options, progress);
}

/// A prepared conformance model that a test may damage.
struct PreparedModel {
  explicit PreparedModel(WeightFormat format = WeightFormat::int8,
                         const std::string& name = "qwen2") {
    PrepareOptions options;
    options.weights = format;
    summary = prepare(tests::model_folder(name), root(), options);
  }
  fs::path root() const { return folder.path() / "out"; }
  fs::path enclave() const { return root() / "enclave"; }
  fs::path worker() const { return root() / "worker"; }

  TemporaryFolder folder;
  Prepared summary;
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void spill(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

bool same_bytes(const kernels::PackedWeights& a, const kernels::PackedWeights& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.panel(0), b.panel(0), a.bytes()) == 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(prepared)

BOOST_DATA_TEST_CASE(a_prepared_matrix_is_the_one_quantised_in_memory,
                     bdata::make(tests::kModels) * bdata::make(kFormats), name, format) {
  const PreparedModel model(format, name);
  const arch::ModelPlan plan = load_model_plan(tests::model_folder(name));
  const TensorStore store(tests::model_folder(name));
  const PreparedWorker worker(model.root());
  const PreparedEnclave enclave(model.root());
  BOOST_TEST(worker.format() == format);
  BOOST_TEST(enclave.format() == format);
  for (const arch::Linear& wanted : plan.linears) {
    const u32 i = wanted.id.value;
    const QuantizedLinear expected = load_linear(store, wanted, format);
    const QuantizedLinear loaded = worker.load({i});
    BOOST_TEST(same_bytes(loaded.columns, expected.columns));
    BOOST_TEST(loaded.id.value == i);
    BOOST_TEST(loaded.d_in == expected.d_in);
    BOOST_TEST(loaded.d_out == expected.d_out);
    BOOST_TEST(loaded.scale.empty());
    BOOST_TEST((digest(loaded) == digest(expected)));
    BOOST_TEST((enclave.digest({i}) == digest(expected)));
    BOOST_TEST(enclave.scale({i}) == expected.scale, boost::test_tools::per_element());
  }
}

BOOST_DATA_TEST_CASE(the_enclave_folder_loads_like_the_model_it_came_from,
                     bdata::make(tests::kModels), name) {
  const PreparedModel model(WeightFormat::int8, name);
  const arch::ModelPlan plan = load_model_plan(tests::model_folder(name));
  const TensorStore original(tests::model_folder(name));
  const PreparedEnclave enclave(model.enclave());
  const EnclaveTensors expected = load_enclave_tensors(original, plan);
  const EnclaveTensors loaded = load_enclave_tensors(*enclave.tensors(), enclave.plan());
  for (std::size_t l = 0; l < expected.gains.size(); ++l) {
    BOOST_TEST(loaded.gains.at(l).q == expected.gains[l].q, boost::test_tools::per_element());
    BOOST_TEST(loaded.gains.at(l).feed_forward_out == expected.gains[l].feed_forward_out,
               boost::test_tools::per_element());
  }
  BOOST_TEST((loaded.bias == expected.bias));
  const EmbeddingTable from(original, plan);
  const EmbeddingTable to(*enclave.tensors(), enclave.plan());
  std::vector<float> a(plan.hidden);
  std::vector<float> b(plan.hidden);
  for (u32 token = 0; token < plan.vocab; ++token) {
    from.lookup(token, a);
    to.lookup(token, b);
    BOOST_TEST_REQUIRE(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }
  for (const char* file : {"config.json", "generation_config.json", "tokenizer.json",
                           "tokenizer_config.json", "special_tokens_map.json"})
    BOOST_TEST(slurp(model.enclave() / file) == slurp(tests::model_folder(name) / file));
}

// What stays of experts in one tensor, and of latent attention.
BOOST_DATA_TEST_CASE(mixtures_load_like_the_model_they_came_from,
                     bdata::make(std::vector<std::string>{"gpt_oss", "gpt_oss_mxfp4",
                                                          "deepseek_v3"}),
                     name) {
  const PreparedModel model(WeightFormat::int8, name);
  const arch::ModelPlan plan = load_model_plan(tests::model_folder(name));
  const TensorStore original(tests::model_folder(name));
  const PreparedWorker worker(model.worker());
  const PreparedEnclave enclave(model.enclave());
  for (const arch::Linear& wanted : plan.linears)
    BOOST_TEST((digest(worker.load(wanted.id)) ==
                digest(load_linear(original, wanted, WeightFormat::int8))));
  const EnclaveTensors expected = load_enclave_tensors(original, plan);
  const EnclaveTensors loaded = load_enclave_tensors(*enclave.tensors(), enclave.plan());
  BOOST_TEST((loaded.bias == expected.bias));
  for (std::size_t l = 0; l < expected.gains.size(); ++l)
    for (const auto field : {&LayerGains::router, &LayerGains::router_bias,
                             &LayerGains::choice_bias, &LayerGains::down_bias, &LayerGains::sinks})
      BOOST_TEST((loaded.gains.at(l).*field == expected.gains[l].*field));
}

BOOST_DATA_TEST_CASE(a_workers_folder_holds_matrices_and_nothing_of_the_enclave,
                     bdata::make(tests::kModels) * bdata::make(kFormats), name, format) {
  const PreparedModel model(format, name);
  const arch::ModelPlan plan = load_model_plan(model.worker());
  std::set<std::string> expected{"config.json", "manifest.json", "lm_head.safetensors"};
  for (u32 layer = 0; layer < plan.layer_count(); ++layer)
    expected.insert(weight_file(plan.linears.of(layer, LinearKind::qkv)));
  BOOST_TEST(names_in(model.worker()) == expected, boost::test_tools::per_element());
  std::set<std::string> matrices;
  for (const auto& file : expected) {
    if (!file.ends_with(".safetensors")) continue;
    const SafetensorsFile opened(model.worker() / file); // a valid file for everybody else too
    BOOST_TEST(opened.tensors().empty());                // no floats: no gains, biases or scales
    for (const auto& [tensor, dtype] : opened.other_dtypes()) {
      BOOST_TEST(dtype == "I8");
      matrices.insert(tensor);
    }
  }
  BOOST_TEST(matrices.size() == plan.linears.size());
  for (const arch::Linear& linear : plan.linears) BOOST_TEST(matrices.contains(linear.name));
}

BOOST_AUTO_TEST_CASE(the_enclaves_folder_holds_no_weight_matrix_and_the_folded_gains) {
  const PreparedModel model(WeightFormat::int8, "talaria-tiny");
  const PreparedEnclave enclave(model.enclave());
  const SafetensorsFile file(model.enclave() / "enclave.safetensors");
  for (const auto& [name, view] : file.tensors()) {
    const bool expected = name == "model.embed_tokens.weight" || name.ends_with(".scale") ||
                          name.ends_with(".bias") || name.ends_with("q_norm.weight") ||
                          name.ends_with("k_norm.weight") || name.ends_with("layernorm.weight") ||
                          name == "model.norm.weight";
    BOOST_TEST(expected, name << " is in the enclave's folder");
  }
  BOOST_TEST(file.tensors().contains("model.norm.weight"));                     // for embeddings
  BOOST_TEST(file.tensors().contains("model.layers.5.input_layernorm.weight")); // for adapters
  BOOST_TEST(file.tensors().contains("model.layers.5.post_attention_layernorm.weight"));
  check_error(
      [&] { load_linear(*enclave.tensors(), enclave.plan().linears[{0}], WeightFormat::int8); },
      Errc::model, {"q_proj.weight", "missing"});
}

BOOST_AUTO_TEST_CASE(matrices_are_written_row_major) {
  const PreparedModel model;
  const arch::ModelPlan plan = load_model_plan(model.worker());
  const arch::Linear& wanted = plan.linears.of(1, LinearKind::qkv);
  const QuantizedLinear linear = PreparedWorker(model.worker()).load(wanted.id);
  const std::string text = slurp(model.worker() / weight_file(wanted));
  u64 length = 0;
  std::memcpy(&length, text.data(), 8);
  const auto header = parse_json(std::string_view(text).substr(8, length), "header");
  const auto& entry = header.at(wanted.name);
  const std::size_t begin = 8 + length + entry.at("data_offsets")[0].get<u64>();
  const std::size_t columns = linear.columns.d_out();
  BOOST_TEST(entry.at("shape")[0].get<u64>() == linear.d_in);
  BOOST_TEST(entry.at("shape")[1].get<u64>() == columns);
  for (std::size_t i = 0; i < linear.d_in; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      BOOST_TEST_REQUIRE(static_cast<i8>(text[begin + i * columns + j]) == linear.columns.at(i, j));
}

BOOST_AUTO_TEST_CASE(folders_are_told_apart) {
  const PreparedModel model;
  const fs::path original = tests::model_folder("qwen2");
  BOOST_TEST(folder_kind(original) == FolderKind::hugging_face);
  BOOST_TEST(folder_kind(model.root()) == FolderKind::prepared_root);
  BOOST_TEST(folder_kind(model.enclave()) == FolderKind::prepared_enclave);
  BOOST_TEST(folder_kind(model.worker()) == FolderKind::prepared_worker);
  BOOST_TEST(enclave_folder(original) == original);
  BOOST_TEST(worker_folder(original) == original);
  BOOST_TEST(enclave_folder(model.root()) == model.enclave());
  BOOST_TEST(worker_folder(model.root()) == model.worker());
  check_error([&] { enclave_folder(model.worker()); }, Errc::model,
              {model.worker().string(), "tokenizer"});
  check_error([&] { worker_folder(model.enclave()); }, Errc::model,
              {model.enclave().string(), "weights"});
  check_error([&] { folder_kind(model.folder.path()); }, Errc::model, {"config.json"});
  check_error([&] { folder_kind(model.folder.path() / "nowhere"); }, Errc::model,
              {"nowhere", "no such folder"});
}

BOOST_AUTO_TEST_CASE(every_listed_file_has_the_listed_size_and_digest) {
  const PreparedModel model;
  for (const fs::path& side : {model.enclave(), model.worker()}) {
    const Manifest manifest = read_manifest(side);
    std::set<std::string> listed{"manifest.json"};
    for (const FileEntry& entry : manifest.files) {
      check_file(side, entry);
      listed.insert(entry.name);
    }
    BOOST_TEST(listed == names_in(side), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_flipped_weight_is_named_with_its_matrix_and_leaves_the_others_usable) {
  const PreparedModel model;
  const PreparedWorker worker(model.worker());
  const arch::Linear& linear =
      worker.plan().linears.of(0, LinearKind::down); // the last of its file
  const fs::path path = model.worker() / weight_file(linear);
  std::string text = slurp(path);
  text.back() = static_cast<char>(text.back() ^ 1);
  spill(path, text);
  check_error([&] { worker.load(linear.id); }, Errc::model,
              {path.string(), "layers.0.down", "SHA-256"});
  worker.load(worker.plan().linears.of(0, LinearKind::qkv).id);
}

BOOST_AUTO_TEST_CASE(a_truncated_or_missing_layer_is_an_error_when_it_is_loaded) {
  const PreparedModel model;
  const arch::ModelPlan plan = load_model_plan(model.worker());
  const arch::Linear& linear = plan.linears.of(1, LinearKind::o);
  const fs::path path = model.worker() / weight_file(linear);
  const std::string whole = slurp(path);
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{5}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    spill(path, whole.substr(0, length));
    const PreparedWorker worker(model.worker());
    check_error([&] { worker.load(linear.id); }, Errc::model, {path.string()});
  }
  fs::remove(path);
  const PreparedWorker worker(model.worker());
  check_error([&] { worker.load(linear.id); }, Errc::model, {path.string(), "No such file"});
  worker.load(plan.linears.of(0, LinearKind::o).id); // a worker with these layers needs no others
}

BOOST_AUTO_TEST_CASE(damaged_headers_of_weight_files_are_errors_and_nothing_else) {
  const PreparedModel model;
  const PreparedWorker worker(model.worker());
  const arch::Linear& linear = worker.plan().linears.of(0, LinearKind::qkv);
  const fs::path path = model.worker() / weight_file(linear);
  const std::string whole = slurp(path);
  auto rng = seeded_rng(11);
  u64 length = 0;
  std::memcpy(&length, whole.data(), 8);
  for (int round = 0; round < 300; ++round) {
    std::string text = whole;
    const auto at = static_cast<std::size_t>(rng.below(8 + length));
    text[at] = static_cast<char>(rng.below(256));
    spill(path, text);
    try { // a changed entry of another matrix, or a changed blank, does no harm
      const QuantizedLinear loaded = worker.load(linear.id);
      BOOST_TEST((digest(loaded) == worker.manifest().matrices[linear.id.value].digest));
    } catch (const Error& error) {
      BOOST_TEST(to_string(error.code()) == std::string("model"));
    }
  }
}

BOOST_AUTO_TEST_CASE(weights_of_another_model_are_refused) {
  const PreparedModel model;
  const PreparedWorker worker(model.worker());
  const arch::Linear& linear = worker.plan().linears.of(0, LinearKind::qkv);
  fs::copy_file(model.worker() / "layer-00001.safetensors",
                model.worker() / "layer-00000.safetensors", fs::copy_options::overwrite_existing);
  check_error([&] { worker.load(linear.id); }, Errc::model, {"layers.0.qkv", "missing"});
  const PreparedModel wide(WeightFormat::int16);
  fs::copy_file(wide.worker() / "layer-00000.safetensors",
                model.worker() / "layer-00000.safetensors", fs::copy_options::overwrite_existing);
  check_error([&] { worker.load(linear.id); }, Errc::model, {"layers.0.qkv", "shape"});
}

BOOST_AUTO_TEST_CASE(a_changed_or_missing_file_of_the_enclave_is_named) {
  const PreparedModel model;
  for (const FileEntry& entry : read_manifest(model.enclave()).files) {
    const fs::path path = model.enclave() / entry.name;
    const std::string whole = slurp(path);
    std::string changed = whole;
    changed[whole.size() / 2] = static_cast<char>(changed[whole.size() / 2] ^ 4);
    spill(path, changed);
    check_error([&] { PreparedEnclave(model.root()); }, Errc::model, {path.string(), "SHA-256"});
    spill(path, whole.substr(0, whole.size() - 1));
    check_error([&] { PreparedEnclave(model.root()); }, Errc::model, {path.string(), "bytes"});
    fs::remove(path);
    check_error([&] { PreparedEnclave(model.root()); }, Errc::model, {path.string()});
    spill(path, whole);
  }
  const PreparedEnclave whole_again(model.root());
  BOOST_TEST(whole_again.plan().model_type == "qwen2");
}

namespace {

struct BadManifest {
  const char* path; ///< JSON pointer of what is changed
  const char* value;
  std::vector<std::string> complaints;
};
std::ostream& operator<<(std::ostream& out, const BadManifest& bad) {
  return out << bad.path << " = " << bad.value;
}

const BadManifest kBadManifests[] = {
    {"/format", "\"other\"", {}},
    {"/version", "2", {"version", "prepare the model again"}},
    {"/side", "\"enclave\"", {"enclave"}},
    {"/side", "3", {"side"}},
    {"/weights", "\"int4\"", {"weights", "int8"}},
    {"/weights", "\"int16\"", {"matrices[0].columns"}},
    {"/layers", "7", {"layers", "7"}},
    {"/layers", "0", {"layers"}},
    {"/model_type", "\"llama\"", {"model_type", "llama", "qwen2"}},
    {"/matrices", "[]", {"number of matrices", "0"}},
    {"/matrices", "7", {"matrices", "list"}},
    {"/matrices/1", "[]", {"matrices", "objects"}},
    {"/matrices/1/id", "2", {"matrices[1].id"}},
    {"/matrices/1/id", "-1", {"matrices[1]", "id"}},
    {"/matrices/1/name", "\"layers.0.qkv\"", {"matrices[1].name"}},
    {"/matrices/1/name", "null", {"matrices[1]", "name"}},
    {"/matrices/1/d_in", "1", {"matrices[1].d_in"}},
    {"/matrices/1/d_in", "1.5", {"matrices[1]", "d_in"}},
    {"/matrices/1/columns", "18446744073709551615", {"matrices[1].columns"}},
    {"/matrices/1/sha256", "\"00\"", {"matrices[1]", "sha256"}},
    {"/matrices/1/sha256",
     "\"gg00000000000000000000000000000000000000000000000000000000000000\"",
     {"matrices[1]", "hexadecimal"}},
    {"/files/0/name", "\"../config.json\"", {"files[0]", "plain file name"}},
    {"/files/0/name", "\"other.json\"", {"does not list config.json"}},
    {"/files/0/bytes", "1", {"config.json", "bytes"}},
};

} // namespace

BOOST_DATA_TEST_CASE(a_manifest_that_does_not_fit_says_which_field, bdata::make(kBadManifests),
                     bad) {
  const PreparedModel model;
  const fs::path path = model.worker() / "manifest.json";
  auto manifest = nlohmann::json::parse(slurp(path));
  manifest[nlohmann::json::json_pointer(bad.path)] = nlohmann::json::parse(bad.value);
  spill(path, manifest.dump());
  check_error([&] { PreparedWorker(model.worker()); }, Errc::model, bad.complaints);
}

BOOST_AUTO_TEST_CASE(a_configuration_changed_after_the_fact_is_noticed) {
  const PreparedModel model;
  const fs::path path = model.worker() / "config.json";
  spill(path, slurp(path) + " ");
  check_error([&] { PreparedWorker(model.worker()); }, Errc::model, {path.string()});
}

BOOST_AUTO_TEST_CASE(an_existing_folder_is_replaced_only_by_force_and_only_if_it_is_ours) {
  const PreparedModel model;
  const fs::path original = tests::model_folder("llama3");
  PrepareOptions force;
  force.force = true;
  check_error([&] { prepare(original, model.root()); }, Errc::usage,
              {model.root().string(), "--force"});
  BOOST_TEST(PreparedWorker(model.root()).plan().model_type == "qwen2");
  prepare(original, model.root(), force);
  BOOST_TEST(PreparedWorker(model.root()).plan().model_type == "llama");
  BOOST_TEST(PreparedEnclave(model.root()).plan().model_type == "llama");

  const fs::path other = model.folder.path() / "other";
  fs::create_directory(other);
  spill(other / "precious", "data");
  check_error([&] { prepare(original, other, force); }, Errc::usage,
              {other.string(), "not made by"});
  BOOST_TEST(slurp(other / "precious") == "data");
  BOOST_TEST(names_in(model.folder.path()) == (std::set<std::string>{"other", "out"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_interrupted_or_failed_preparation_leaves_nothing_behind) {
  const TemporaryFolder folder;
  int asked = 0;
  PrepareOptions options;
  options.cancelled = [&asked] { return ++asked == 3; };
  check_error([&] { prepare(tests::model_folder("qwen3"), folder.path() / "out", options); },
              Errc::cancelled, {"interrupted"});
  BOOST_TEST(asked == 3);
  BOOST_TEST(fs::is_empty(folder.path()));

  const TemporaryFolder broken;
  for (const auto& file : fs::directory_iterator(tests::model_folder("qwen3")))
    fs::copy(file.path(), broken.path() / file.path().filename());
  const fs::path weights = broken.path() / "model.safetensors";
  spill(weights, slurp(weights).substr(0, 1000));
  check_error([&] { prepare(broken.path(), folder.path() / "out"); }, Errc::model,
              {"model.safetensors"});
  BOOST_TEST(fs::is_empty(folder.path()));
}

BOOST_AUTO_TEST_CASE(what_a_killed_preparation_left_is_taken_over_and_a_running_one_is_not) {
  const TemporaryFolder folder;
  const fs::path partial = folder.path() / "out.partial";
  fs::create_directories(partial / "worker");
  spill(partial / "worker" / "layer-00000.safetensors", "half");

  const int lock = ::open(partial.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  BOOST_TEST_REQUIRE(::flock(lock, LOCK_EX) == 0);
  check_error([&] { prepare(tests::model_folder("qwen2"), folder.path() / "out"); }, Errc::usage,
              {"out.partial", "another"});
  BOOST_TEST(slurp(partial / "worker" / "layer-00000.safetensors") == "half");
  ::close(lock);

  prepare(tests::model_folder("qwen2"), folder.path() / "out/"); // a completed name ends in /
  PreparedWorker(folder.path() / "out").load({0});
  BOOST_TEST(!fs::exists(partial));
}

BOOST_AUTO_TEST_CASE(a_prepared_folder_cannot_be_prepared_again) {
  const PreparedModel model;
  check_error([&] { prepare(model.root(), model.folder.path() / "twice"); }, Errc::usage,
              {"prepared already"});
}

BOOST_AUTO_TEST_SUITE_END()
