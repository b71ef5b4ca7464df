// What becomes of a model's folder while and after it is loaded: each file is opened once, none
// stays mapped, and whatever happens to it on the disk changes no answer.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "model/weights/prepared_writer.hpp"
#include "pipeline/model_loader.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/file_watch.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace bdata = boost::unit_test::data;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

const std::string kTalaria = TALARIA_BIN "/talaria";
const std::string kWorker = TALARIA_BIN "/talaria-worker";
constexpr u32 kToken = 3500;

/// The shipped model as published and prepared, to be changed.
class Copies {
public:
  Copies() {
    fs::copy(tests::model_folder("talaria-tiny"), published());
    SilentProgress progress;
    prepared_ = model::prepare_model(published(), root(), {}, progress);
  }
  const fs::path& path() const { return folder_.path(); }
  fs::path published() const { return path() / "published"; }
  fs::path root() const { return path() / "out"; }
  fs::path folder(bool prepared) const { return prepared ? root() : published(); }
  /// The file with the embedding table.
  fs::path table(bool prepared) const {
    return prepared ? root() / "enclave" / "enclave.safetensors"
                    : published() / "model.safetensors";
  }
  const model::Prepared& prepared() const { return prepared_; }

private:
  tests::TemporaryFolder folder_;
  model::Prepared prepared_;
};

std::unique_ptr<pipeline::Engine> engine_of(const fs::path& folder,
                                            std::optional<Sha256Digest> pinned = std::nullopt) {
  pipeline::EngineOptions options;
  options.model_dir = folder;
  options.model_sha256 = pinned;
  options.scheme.kind = remo::SchemeKind::lattice;
  options.threads = 2;
  SilentProgress progress;
  return std::make_unique<pipeline::Engine>(options, progress);
}

/// Logits and tokens for prompts with and without kToken, all of the vocabulary among them.
std::vector<tests::Collected> answers(pipeline::Engine& engine) {
  std::vector<pipeline::Request> requests;
  for (const std::vector<u32>& prompt :
       {std::vector<u32>{12, 700, kToken, 45}, std::vector<u32>{12, 700, kToken + 1, 45}}) {
    pipeline::Request request;
    request.prompt = prompt;
    request.max_tokens = 6;
    request.ignore_eos = true;
    request.logits = pipeline::LogitsWanted::all;
    requests.push_back(request);
  }
  return tests::run_together(engine, requests);
}

void check_equal(const std::vector<tests::Collected>& a, const std::vector<tests::Collected>& b) {
  BOOST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    BOOST_TEST(a[i].completion.tokens == b[i].completion.tokens, boost::test_tools::per_element());
    BOOST_REQUIRE(a[i].logits.size() == b[i].logits.size());
    for (std::size_t r = 0; r < a[i].logits.size(); ++r)
      BOOST_TEST(std::memcmp(a[i].logits[r].data(), b[i].logits[r].data(),
                             a[i].logits[r].size() * sizeof(float)) == 0);
  }
}

u64 place_of_row(const fs::path& file, u32 token) {
  std::ifstream in(file, std::ios::binary);
  u64 length = 0;
  in.read(reinterpret_cast<char*>(&length), sizeof length);
  std::string header(length, '\0');
  in.read(header.data(), static_cast<std::streamsize>(length));
  const json entry = json::parse(header).at(model::kEmbeddings);
  return 8 + length + entry.at("data_offsets")[0].get<u64>() +
         token * 2 * entry.at("shape")[1].get<u64>();
}

/// A row of the shipped model, every element NaN.
std::string row_of_nans() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += std::string("\xc0\x7f", 2);
  return bytes;
}

tests::Finished talaria(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), kTalaria);
  return tests::run_program(arguments);
}

std::string last_line(const std::string& text) {
  const auto at = text.find_last_of('\n', text.size() - 2);
  return at == std::string::npos ? text : text.substr(at + 1);
}

} // namespace

BOOST_DATA_TEST_CASE(nothing_of_the_model_is_mapped_once_it_is_loaded, bdata::make({false, true}),
                     prepared) {
  const Copies copies;
  const auto engine = engine_of(copies.folder(prepared));
  BOOST_TEST(tests::mappings_of(copies.path()).empty());
  answers(*engine);
  BOOST_TEST(tests::mappings_of(copies.path()).empty());
}

BOOST_DATA_TEST_CASE(the_engine_opens_each_file_once, bdata::make({false, true}), prepared) {
  const Copies copies;
  const tests::OpenCounter opens(prepared ? copies.root() / "enclave" : copies.published());
  const auto engine = engine_of(copies.folder(prepared));
  model::ChatTemplate::load(engine->model_files().texts());
  const auto opened = opens.opened();
  for (const auto& [name, count] : opened) BOOST_TEST(count == 1, name << ": " << count);
  for (const auto& entry : engine->model_files().entries())
    BOOST_TEST(opened.contains(entry.name), entry.name);
}

BOOST_DATA_TEST_CASE(a_file_that_changes_after_loading_changes_nothing, bdata::make({false, true}),
                     prepared) {
  const Copies copies;
  const auto engine = engine_of(copies.folder(prepared));
  const auto before = answers(*engine);
  const fs::path table = copies.table(prepared);
  // The review's oracle: one row becomes NaN, and requests with this token used to fail.
  tests::overwrite(table, place_of_row(table, kToken), row_of_nans());
  check_equal(answers(*engine), before);
  // Finite values changed answers without a word.
  tests::overwrite(table, place_of_row(table, kToken), std::string(512, '\x3c'));
  check_equal(answers(*engine), before);
  fs::resize_file(table, 0);
  check_equal(answers(*engine), before);
  fs::remove_all(copies.path() / "out");
  fs::remove_all(copies.published());
  check_equal(answers(*engine), before);
}

BOOST_AUTO_TEST_CASE(engines_of_one_loader_share_one_table) {
  const Copies copies;
  const pipeline::ModelLoader loader(copies.root(), model::WeightFormat::int8);
  BOOST_TEST(loader.embeddings() == loader.embeddings());
}

BOOST_AUTO_TEST_CASE(halves_of_two_preparations_do_not_go_together) {
  const Copies copies;
  SilentProgress progress;
  model::PrepareOptions options;
  const fs::path other = copies.path() / "other";
  fs::copy(copies.published(), other);
  const fs::path weights = other / "model.safetensors";
  tests::overwrite(weights, fs::file_size(weights) - 64, std::string(32, '\x3f'));
  model::prepare_model(other, copies.path() / "mixed", options, progress);
  fs::remove_all(copies.path() / "mixed" / "enclave");
  fs::copy(copies.root() / "enclave", copies.path() / "mixed" / "enclave");
  BOOST_CHECK_EXCEPTION(pipeline::ModelLoader(copies.path() / "mixed", model::WeightFormat::int8),
                        Error, [](const Error& error) {
                          return error.code() == Errc::model &&
                                 std::string(error.what()).find("prepare the model again") !=
                                     std::string::npos;
                        });
}

BOOST_AUTO_TEST_CASE(programs_print_the_root_and_hold_a_model_to_it) {
  const Copies copies;
  const auto prepared = talaria(
      {"prepare", copies.published().string(), (copies.path() / "again").string(), "--json"});
  BOOST_TEST_REQUIRE(prepared.status == 0, prepared.err);
  const json said = json::parse(prepared.out);
  BOOST_TEST(said.at("enclave_sha256") == to_hex(copies.prepared().enclave_root));
  BOOST_TEST(said.at("worker_sha256") == to_hex(copies.prepared().worker_root));

  for (const fs::path& folder : {copies.published(), copies.root(), copies.root() / "enclave"}) {
    const auto inspected = talaria({"inspect", folder.string(), "--json"});
    BOOST_TEST_REQUIRE(inspected.status == 0, inspected.err);
    const json out = json::parse(inspected.out);
    const std::string root = out.at("model").at("sha256");
    BOOST_TEST(root == to_hex(model::ModelFiles(folder).root()));
    BOOST_TEST(out.at("model").at("files").size() == model::ModelFiles(folder).entries().size());
    const auto text = talaria({"inspect", folder.string()});
    BOOST_TEST(text.out.find("model_sha256: " + root) != std::string::npos);
    // Held to it, the model is what it was; held to another one it is none.
    const auto held = [&](const std::string& digest) {
      return talaria({"inspect", folder.string(), "--model-sha256", digest});
    };
    BOOST_TEST(held(root).status == 0);
    std::string other = root;
    other[5] = other[5] == '0' ? '1' : '0';
    const auto refused = held(other);
    BOOST_TEST(refused.status == 3);
    BOOST_TEST(last_line(refused.err).find(root) != std::string::npos, refused.err);
    BOOST_TEST(last_line(refused.err).find(other) != std::string::npos, refused.err);
    for (const std::string& bad : {root.substr(1), root + "0", "xyz" + root.substr(3)})
      BOOST_TEST(held(bad).status == 2);
  }
}

BOOST_AUTO_TEST_CASE(a_pipeline_file_holds_the_model_whoever_names_it) {
  const Copies copies;
  const std::string root = to_hex(model::ModelFiles(copies.published()).root());
  const auto file = copies.path() / "pipeline.yaml";
  const auto write = [&](const std::string& digest) {
    std::ofstream(file) << "model: published\nmodel_sha256: " << digest << "\n";
  };
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words{
        "run", "--config", file.string(), "--prompt-tokens", "5,6", "--max-tokens", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return talaria(words);
  };
  write(root);
  const auto good = run({});
  BOOST_TEST(good.status == 0, good.err);
  // Another model in its place, by whatever means.
  const auto elsewhere = run({"--model", copies.root().string()});
  BOOST_TEST(elsewhere.status == 3, elsewhere.err);
  ::setenv("TALARIA_MODEL", copies.root().c_str(), 1);
  const auto by_environment = run({});
  ::unsetenv("TALARIA_MODEL");
  BOOST_TEST(by_environment.status == 3, by_environment.err);
  // Only the command line of this very start may say otherwise.
  const auto said = run({"--model", copies.root().string(), "--model-sha256",
                         to_hex(copies.prepared().enclave_root)});
  BOOST_TEST(said.status == 0, said.err);

  write(std::string(64, '0'));
  const auto wrong = run({});
  BOOST_TEST(wrong.status == 3);
  BOOST_TEST(wrong.err.find(root) != std::string::npos, wrong.err);
  BOOST_TEST(wrong.err.find(std::string(64, '0')) != std::string::npos, wrong.err);
  const auto served = talaria({"serve", file.string()});
  BOOST_TEST(served.status == 3, served.err);
  for (const std::string& bad :
       {std::string("abc"), std::string(63, '0'), "[" + root + "]", std::string("\"\"")}) {
    write(bad);
    const auto refused = run({});
    BOOST_TEST(refused.status == 2, refused.err);
    BOOST_TEST(refused.err.find("pipeline.yaml:2:") != std::string::npos, refused.err);
    BOOST_TEST(refused.err.find("model_sha256") != std::string::npos, refused.err);
  }
}

BOOST_AUTO_TEST_CASE(a_worker_can_be_held_to_its_half) {
  const Copies copies;
  const auto worker = [](const fs::path& folder, const std::string& digest) {
    return tests::run_program(
        {kWorker, "--model", folder.string(), "--layers", "0", "--model-sha256", digest});
  };
  const std::string half = to_hex(copies.prepared().worker_root);
  const std::string whole = to_hex(model::ModelFiles(copies.published()).root());
  BOOST_TEST(worker(copies.root() / "worker", half).status == 0);
  BOOST_TEST(worker(copies.published(), whole).status == 0);
  BOOST_TEST(worker(copies.root() / "worker", whole).status == 3);
  BOOST_TEST(worker(copies.published(), half).status == 3);
  BOOST_TEST(worker(copies.published(), "1234").status == 2);
}

} // namespace talaria
