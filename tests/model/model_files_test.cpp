#include "model/weights/model_files.hpp"
#include "model/weights/plan_file.hpp"

#include <boost/test/data/test_case.hpp>

#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <thread>

#include "arch/json_fields.hpp"
#include "core/chunk_digests.hpp"
#include "model/weights/prepared.hpp"
#include "model/weights/prepared_writer.hpp"
#include "tests/model/model_folder.hpp"
#include "tests/support/file_watch.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(model_files)

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Sha256Digest sha256_of(const std::string& text) {
  return sha256({reinterpret_cast<const u8*>(text.data()), text.size()});
}

/// A copy of a shipped model, as published and prepared, that a test may change.
struct Copies {
  explicit Copies(const std::string& name = "qwen2") {
    fs::copy(tests::model_folder(name), published());
    SilentProgress progress;
    prepared = prepare_model(published(), root(), {}, progress);
  }
  fs::path published() const { return folder.path() / "published"; }
  fs::path root() const { return folder.path() / "out"; }
  fs::path enclave() const { return root() / "enclave"; }

  TemporaryFolder folder;
  Prepared prepared;
};

/// Where the bytes of a tensor lie in a safetensors file.
u64 place_of(const fs::path& file, const std::string& tensor) {
  const std::string text = slurp(file);
  u64 length = 0;
  std::memcpy(&length, text.data(), 8);
  const auto header = parse_json(std::string_view(text).substr(8, length), "header");
  return 8 + length + header.at(tensor).at("data_offsets")[0].get<u64>();
}

const std::string kNaN("\xc0\x7f\xc0\x7f", 4); // two of bf16

} // namespace

BOOST_AUTO_TEST_CASE(the_root_of_a_published_folder_is_what_the_handbook_says) {
  const Copies copies;
  std::string text = "talaria model 1\n";
  for (const char* name : {"config.json", "generation_config.json", "model.safetensors",
                           "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"}) {
    const std::string content = slurp(copies.published() / name);
    text += to_hex(sha256_of(content)) + ' ' + std::to_string(content.size()) + ' ' + name + '\n';
  }
  const ModelFiles files(copies.published());
  BOOST_TEST((files.root() == sha256_of(text)));
  BOOST_TEST(files.manifest() == nullptr);
  // Where the folder lies does not matter, nor do files that nobody reads.
  fs::rename(copies.published(), copies.folder.path() / "moved");
  std::ofstream(copies.folder.path() / "moved" / "README.md") << "other";
  BOOST_TEST((ModelFiles(copies.folder.path() / "moved").root() == files.root()));
}

BOOST_AUTO_TEST_CASE(the_root_of_a_prepared_folder_is_its_manifests_digest) {
  const Copies copies;
  const Sha256Digest digest = sha256_of(slurp(copies.enclave() / kManifestFile));
  BOOST_TEST((ModelFiles(copies.root()).root() == digest));
  BOOST_TEST((ModelFiles(copies.enclave()).root() == digest));
  BOOST_TEST((copies.prepared.enclave_root == digest));
  BOOST_TEST(
      (copies.prepared.worker_root == sha256_of(slurp(copies.root() / "worker" / kManifestFile))));
  BOOST_TEST((PreparedWorker(copies.root()).root() == copies.prepared.worker_root));
}

BOOST_AUTO_TEST_CASE(every_byte_of_every_file_that_is_read_counts) {
  const Copies copies;
  const ModelFiles files(copies.published());
  BOOST_TEST(files.entries().size() == 6u);
  for (const FileEntry& entry : files.entries()) {
    const fs::path path = copies.published() / entry.name;
    const std::string whole = slurp(path);
    BOOST_TEST((entry.digest == sha256_of(whole)));
    // In a blank of JSON, in a tensor: still a model, another one.
    std::string changed = whole;
    if (entry.name.ends_with(".json"))
      changed += ' ';
    else
      changed.back() ^= 1;
    copies.folder.write("published/" + entry.name, changed);
    BOOST_TEST((ModelFiles(copies.published()).root() != files.root()), entry.name);
    check_error([&] { ModelFiles(copies.published(), files.root()); }, Errc::model,
                {copies.published().string(), to_hex(files.root()),
                 to_hex(ModelFiles(copies.published()).root())});
    copies.folder.write("published/" + entry.name, whole);
  }
  BOOST_CHECK_NO_THROW(ModelFiles(copies.published(), files.root()));
}

BOOST_AUTO_TEST_CASE(a_file_that_appears_or_goes_changes_the_root) {
  const Copies copies;
  const Sha256Digest root = ModelFiles(copies.published()).root();
  copies.folder.write("published/chat_template.jinja", "hello");
  check_error([&] { ModelFiles(copies.published(), root); }, Errc::model, {"model_sha256"});
  fs::remove(copies.published() / "chat_template.jinja");
  fs::remove(copies.published() / "generation_config.json");
  check_error([&] { ModelFiles(copies.published(), root); }, Errc::model, {"model_sha256"});
}

BOOST_AUTO_TEST_CASE(a_pinned_prepared_folder_is_refused_before_it_is_read) {
  const Copies copies;
  BOOST_CHECK_NO_THROW(ModelFiles(copies.root(), copies.prepared.enclave_root));
  const Sha256Digest other = sha256_of("another model");
  const tests::OpenCounter opens(copies.enclave());
  check_error([&] { ModelFiles(copies.enclave(), other); }, Errc::model,
              {to_hex(other), to_hex(copies.prepared.enclave_root)});
  BOOST_TEST((opens.opened() == std::map<std::string, int>{{kManifestFile, 1}}));
}

BOOST_AUTO_TEST_CASE(files_that_a_manifest_does_not_list_are_refused) {
  const Copies copies;
  const fs::path path = copies.enclave() / "chat_template.jinja";
  std::ofstream(path) << "{{ messages }}";
  check_error([&] { ModelFiles(copies.root()); }, Errc::model, {path.string(), "manifest.json"});
  fs::remove(path);
  std::ofstream(copies.enclave() / "notes.txt") << "nobody reads this";
  BOOST_CHECK_NO_THROW(ModelFiles(copies.root()));
}

BOOST_AUTO_TEST_CASE(each_file_is_opened_once) {
  const Copies copies("talaria-tiny");
  for (const fs::path& folder : {copies.published(), copies.enclave()}) {
    const tests::OpenCounter opens(folder);
    const ModelFiles files(folder);
    const arch::ModelPlan plan = parse_model_plan(files.texts().get("config.json"));
    const TensorStore store(files);
    load_enclave_tensors(store, plan);
    const EmbeddingTable table(store, plan);
    if (files.manifest() == nullptr)
      for (const arch::Linear& linear : plan.linears)
        load_linear(store, linear, WeightFormat::int8);
    auto opened = opens.opened();
    BOOST_TEST(opened.size() == files.entries().size() + (files.manifest() != nullptr ? 1 : 0));
    for (const auto& [name, count] : opened) BOOST_TEST(count == 1, name << ": " << count);
  }
}

BOOST_AUTO_TEST_CASE(a_pipe_is_read_like_a_file) {
  const Copies copies;
  const Sha256Digest root = ModelFiles(copies.published()).root();
  const fs::path path = copies.published() / "tokenizer.json";
  const std::string text = slurp(path);
  fs::remove(path);
  BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  std::thread writer([&] { std::ofstream(path, std::ios::binary) << text; }); // once, then it ends
  const ModelFiles files(copies.published(), root);
  writer.join();
  BOOST_TEST((files.texts().get("tokenizer.json").text == text));
}

BOOST_AUTO_TEST_CASE(nothing_that_happens_to_the_files_later_reaches_the_enclave) {
  using Change = std::function<void(const fs::path& weights)>;
  const Change changes[] = {
      [](const fs::path& weights) {
        tests::overwrite(weights, place_of(weights, kEmbeddings) + 2 * 3500, kNaN);
      },
      [](const fs::path& weights) { fs::resize_file(weights, 0); },
      [](const fs::path& weights) { fs::remove(weights); },
      [](const fs::path& weights) {
        std::ofstream(weights.string() + ".new") << std::string(fs::file_size(weights), '\x7f');
        fs::rename(weights.string() + ".new", weights);
      },
  };
  for (const Change& change : changes) {
    const Copies copies;
    for (const bool prepared : {false, true}) {
      const fs::path folder = prepared ? copies.enclave() : copies.published();
      const ModelFiles files(folder);
      const arch::ModelPlan plan = parse_model_plan(files.texts().get("config.json"));
      const TensorStore store(files);
      const TensorStore untouched(tests::model_folder("qwen2"));
      change(folder / (prepared ? "enclave.safetensors" : "model.safetensors"));
      const EmbeddingTable expected(untouched, plan);
      const EmbeddingTable table(store, plan);
      BOOST_TEST(table.bytes().size() == expected.bytes().size());
      BOOST_TEST(std::equal(table.bytes().begin(), table.bytes().end(), expected.bytes().begin()));
      BOOST_TEST(
          (load_enclave_tensors(store, plan).bias == load_enclave_tensors(untouched, plan).bias));
      BOOST_TEST(tests::mappings_of(copies.folder.path()).empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_matrix_that_was_changed_after_it_was_hashed_is_refused) {
  const Copies copies;
  const ModelFiles files(copies.published());
  const arch::ModelPlan plan = parse_model_plan(files.texts().get("config.json"));
  const TensorStore store(files);
  const arch::Linear& down = plan.linears.of(1, LinearKind::down);
  const Sha256Digest before = digest(load_linear(store, down, WeightFormat::int8));
  const fs::path path = copies.published() / "model.safetensors";
  const std::string whole = slurp(path);
  const u64 at = place_of(path, "model.layers.1.mlp.down_proj.weight");
  tests::overwrite(path, at + 100, std::string(1, static_cast<char>(whole[at + 100] ^ 1)));
  check_error([&] { load_linear(store, down, WeightFormat::int8); }, Errc::model,
              {path.string(), "changed"});
  tests::overwrite(path, at + 100, std::string(1, whole[at + 100]));
  BOOST_TEST((digest(load_linear(store, down, WeightFormat::int8)) == before));
  fs::resize_file(path, at + 100);
  check_error([&] { load_linear(store, down, WeightFormat::int8); }, Errc::model,
              {path.string(), "changed"});
}

BOOST_DATA_TEST_CASE(matrices_read_in_checked_pieces_are_those_of_the_file,
                     bdata::make(tests::kModels), name) {
  const fs::path folder = tests::model_folder(name);
  const arch::ModelPlan plan = load_model_plan(folder);
  const ModelFiles files(folder);
  const TensorStore checked(files);
  const TensorStore plain(folder);
  BOOST_TEST(checked.total_bytes() == plain.total_bytes());
  for (const arch::Linear& linear : plan.linears)
    for (const WeightFormat format : {WeightFormat::int8, WeightFormat::int16})
      BOOST_TEST((digest(load_linear(checked, linear, format)) ==
                  digest(load_linear(plain, linear, format))));
}

BOOST_AUTO_TEST_CASE(a_damaged_header_of_a_prepared_folder_is_a_wrong_digest) {
  const Copies copies;
  const fs::path path = copies.enclave() / "enclave.safetensors";
  for (const u64 at : {u64{0}, u64{7}, u64{8}, u64{40}}) {
    const std::string whole = slurp(path);
    tests::overwrite(path, at, std::string(1, static_cast<char>(whole[at] ^ 64)));
    check_error([&] { ModelFiles(copies.root()); }, Errc::model, {path.string(), "SHA-256"});
    tests::overwrite(path, at, std::string(1, whole[at]));
  }
  BOOST_CHECK_NO_THROW(ModelFiles(copies.root()));
}

BOOST_AUTO_TEST_CASE(shards_are_hashed_and_names_of_two_lines_are_refused) {
  TemporaryFolder folder;
  folder.write("config.json", "{}");
  folder.write("a.safetensors", safetensors_file(TestTensors{{"a", {{1}, {1}}}}, "F32"));
  folder.write("b.safetensors",
               safetensors_file(TestTensors{{"b", {{2, 2}, {1, 2, 3, 4}}}}, "F32"));
  folder.write("unused.safetensors", safetensors_file(TestTensors{{"c", {{1}, {1}}}}, "F32"));
  const auto write_index = [&](const std::string& file_of_b) {
    const nlohmann::json map{{"a", "a.safetensors"}, {"b", file_of_b}};
    folder.write("model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  };
  write_index("b.safetensors");
  const ModelFiles files(folder.path());
  std::vector<std::string> names;
  for (const FileEntry& entry : files.entries()) names.push_back(entry.name);
  const std::vector<std::string> expected{"a.safetensors", "b.safetensors", "config.json",
                                          "model.safetensors.index.json"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  std::vector<float> values(4);
  TensorStore(files).get("b", {2, 2}).read(0, values);
  BOOST_TEST(values == (std::vector<float>{1, 2, 3, 4}), boost::test_tools::per_element());
  for (const char* bad : {"b\n.safetensors", "\tb", "../b.safetensors", ""}) {
    write_index(bad);
    check_error([&] { ModelFiles(folder.path()); }, Errc::model, {"no plain file name"});
  }
  write_index("missing.safetensors");
  check_error([&] { ModelFiles(folder.path()); }, Errc::model, {"missing.safetensors", "missing"});
}

BOOST_AUTO_TEST_CASE(a_reader_goes_over_the_pieces_of_a_file) {
  // Rows of 1000 floats in a file of three pieces: most rows at their seams lie in two.
  TemporaryFolder folder;
  constexpr std::size_t kRows = 700;
  constexpr std::size_t kColumns = 1000;
  std::vector<float> values(kRows * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto path = folder.write(
      "w.safetensors", safetensors_file(TestTensors{{"w", {{kRows, kColumns}, values}}}, "F32"));
  BOOST_TEST(fs::file_size(path) > 2 * LargeFile::kChunk);
  const SafetensorsFile plain(path);
  const SafetensorsFile sealed = SafetensorsFile::sealed(path);
  BOOST_TEST((sealed.digest() == sha256_of(slurp(path))));
  for (const SafetensorsFile* file : {&plain, &sealed}) {
    TensorReader reader(file->tensors().at("w"));
    std::vector<float> row(kColumns);
    for (std::size_t r = 0; r < kRows; ++r) {
      reader.read(r * kColumns, row);
      BOOST_TEST_REQUIRE(
          std::equal(row.begin(), row.end(), values.begin() + static_cast<long>(r * kColumns)));
    }
    reader.read(3, std::span(row).first(2)); // and back again
    BOOST_TEST(row[0] == 3);
    BOOST_TEST(row[1] == 4);
    check_error([&] { reader.read(values.size() - 1, std::span(row).first(2)); }, Errc::internal,
                {"w"});
  }
}

BOOST_AUTO_TEST_SUITE_END()
