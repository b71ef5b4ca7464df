#include <boost/test/unit_test.hpp>

#include <map>
#include <string>

#include "core/machine_memory.hpp"
#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using tests::ConfigFolder;
using tests::kFullPipeline;

namespace {

const char* nothing_set(const char*) {
  return nullptr;
}

struct Variables {
  std::map<std::string, std::string> values;
  const char* operator()(const char* name) const {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(config_reading, ConfigFolder)

BOOST_AUTO_TEST_CASE(every_setting_of_a_full_file_arrives) {
  const auto config = settings::load_pipeline_config(write(kFullPipeline), nothing_set);
  BOOST_TEST(config.file == file());
  BOOST_TEST(config.model == root() / "model");
  BOOST_TEST(config.masking.scheme == "hybrid");
  BOOST_TEST(config.masking.parameters == "S46");
  BOOST_TEST(config.masking.weights == "int16");
  BOOST_TEST(config.masking.reply == "switched");
  BOOST_TEST(config.masking.integrity == "none");
  BOOST_TEST(config.masking.rows_ahead == 4096u);
  BOOST_TEST(config.masking.pool_memory() == std::size_t{2} << 30);
  BOOST_TEST(config.masking.pool_threads == 3u);
  BOOST_TEST(config.masking.hybrid_rank == 0.25);
  BOOST_TEST(config.pipeline.micro_batches == 4u);
  BOOST_TEST(config.pipeline.max_rows == 512u);
  BOOST_TEST(config.pipeline.prefill_chunk == 64u);
  BOOST_TEST(config.pipeline.threads == 8u);
  BOOST_TEST(config.pipeline.cores == "0-3,8");
  BOOST_TEST_REQUIRE(config.tls.has_value());
  BOOST_TEST(config.tls->ca == root() / "certs/ca.pem");
  BOOST_TEST(config.tls->cert == root() / "certs/enclave.pem");
  BOOST_TEST(config.tls->key == root() / "certs/enclave.key");
  BOOST_TEST(config.serve.listen.value() == "127.0.0.1:8000");
  BOOST_TEST(config.telemetry.metrics.value() == "127.0.0.1:9400");
  BOOST_TEST(config.telemetry.trace.value() == root() / "traces/");
}

BOOST_AUTO_TEST_CASE(a_model_may_be_pinned_whatever_names_it) {
  const std::string digest = to_hex(sha256({}));
  const auto text = "model: model\nmodel_sha256: " + digest + "\n";
  BOOST_TEST(!settings::load_pipeline_config(write("model: model\n"), nothing_set).model_sha256);
  BOOST_TEST((settings::load_pipeline_config(write(text), nothing_set).model_sha256 == sha256({})));
  const Variables variables{{{"TALARIA_MODEL", (root() / "model").string()}}};
  BOOST_TEST((settings::load_pipeline_config(write(text), variables).model_sha256 == sha256({})));
  for (const std::string& bad : {digest.substr(1), digest + "0", "0x" + digest.substr(2),
                                 std::string("\"\""), "[" + digest + "]"})
    BOOST_CHECK_EXCEPTION(settings::load_pipeline_config(
                              write("model: model\nmodel_sha256: " + bad + "\n"), nothing_set),
                          Error, [](const Error& error) {
                            const std::string what = error.what();
                            return what.find(":2:") != std::string::npos &&
                                   what.find("model_sha256: ") != std::string::npos &&
                                   what.find("64 hexadecimal digits") != std::string::npos;
                          });
}

BOOST_AUTO_TEST_CASE(masks_may_take_a_quarter_of_the_machine_unless_told_otherwise) {
  const config::Masking usual;
  BOOST_TEST(usual.pool_memory() == memory_of_machine() / 4);
  const auto of_file = [this](const std::string& memory) {
    return parse("model: model\nmasking: { pool: { memory: " + memory + " } }\n").masking;
  };
  BOOST_TEST(of_file("auto").pool_memory() == usual.pool_memory());
  BOOST_TEST(of_file("0").pool_memory() == 0u);
}

BOOST_AUTO_TEST_CASE(every_worker_of_a_full_file_arrives) {
  const auto workers = parse(kFullPipeline).workers;
  BOOST_TEST_REQUIRE(workers.size() == 3u);
  BOOST_TEST(workers[0].name == "gpu-a");
  BOOST_TEST(workers[0].address.host == "10.0.0.5");
  BOOST_TEST(workers[0].address.port == 7600);
  BOOST_TEST(workers[0].device == "cuda:0");
  BOOST_TEST(!workers[0].layers.all);
  BOOST_TEST(workers[0].layers.first == 0u);
  BOOST_TEST(workers[0].layers.last == 15u);
  BOOST_TEST((workers[0].role == config::WorkerNode::Role::primary));
  BOOST_TEST(workers[0].line == 13);
  BOOST_TEST(workers[1].address.host == "fd00::6");
  BOOST_TEST(workers[1].address.port == 7601);
  BOOST_TEST(workers[1].layers.first == 16u);
  BOOST_TEST(workers[2].address.host == "spare.example");
  BOOST_TEST(workers[2].device == "cpu");
  BOOST_TEST(workers[2].layers.all);
  BOOST_TEST((workers[2].role == config::WorkerNode::Role::replica));
  BOOST_TEST(workers[2].line == 15);
}

BOOST_AUTO_TEST_CASE(what_a_file_leaves_out_keeps_its_default) {
  const auto config = parse("model: model\nmasking: { pool: { threads: 0 } }\n");
  const config::PipelineConfig defaults;
  BOOST_TEST(config.masking.scheme == defaults.masking.scheme);
  BOOST_TEST(config.masking.rows_ahead == defaults.masking.rows_ahead);
  BOOST_TEST(config.masking.pool_threads == 0u);
  BOOST_TEST(config.pipeline.prefill_chunk == defaults.pipeline.prefill_chunk);
  BOOST_TEST(config.workers.empty());
  BOOST_TEST(!config.tls.has_value());
  BOOST_TEST(!config.serve.listen.has_value());
  BOOST_TEST(!config.telemetry.trace.has_value());
}

BOOST_AUTO_TEST_CASE(the_ends_of_every_range_are_inside) {
  const auto low =
      parse("model: model\n"
            "masking: { pool: { rows_ahead: 0, threads: 0 }, hybrid: { rank_ratio: 1e-9 } }\n"
            "pipeline: { micro_batches: 1, max_rows: 1, prefill_chunk: 1, threads: 0 }\n");
  BOOST_TEST(low.masking.rows_ahead == 0u);
  BOOST_TEST(low.masking.hybrid_rank == 1e-9);
  const auto high = parse(
      "model: model\n"
      "masking: { pool: { rows_ahead: 1048576, threads: 64 }, hybrid: { rank_ratio: 1 } }\n"
      "pipeline: { micro_batches: 64, max_rows: 65536, prefill_chunk: 65536, threads: 1024 }\n");
  BOOST_TEST(high.masking.rows_ahead == std::size_t{1} << 20);
  BOOST_TEST(high.masking.hybrid_rank == 1.0);
  BOOST_TEST(high.pipeline.micro_batches == 64u);
  BOOST_TEST(high.pipeline.threads == 1024u);
}

BOOST_AUTO_TEST_CASE(absolute_paths_stay_as_they_are) {
  const auto config =
      settings::parse_pipeline_config("model: " + (root() / "model").string(), "elsewhere/p.yaml");
  BOOST_TEST(config.model == root() / "model");
}

BOOST_AUTO_TEST_CASE(a_byte_order_mark_and_windows_line_ends_are_read) {
  BOOST_TEST(parse("\xEF\xBB\xBFmodel: model\r\npipeline: { threads: 3 }\r\n").pipeline.threads ==
             3u);
}

BOOST_AUTO_TEST_CASE(one_worker_may_hold_all_layers_and_one_entry_a_single_one) {
  const std::string tls =
      "tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: certs/enclave.key }\n";
  const auto all = parse("model: model\nworkers: [{ name: a, address: a:1, layers: all }]\n" + tls);
  BOOST_TEST(all.workers.at(0).layers.all);
  const auto two = parse("model: model\n"
                         "workers:\n"
                         "  - { name: b, address: b:1, layers: 1-1 }\n"
                         "  - { name: a, address: a:1, layers: 0 }\n" +
                         tls);
  BOOST_TEST(two.workers.at(1).layers.first == 0u);
  BOOST_TEST(two.workers.at(1).layers.last == 0u);
}

BOOST_AUTO_TEST_CASE(the_environment_overrides_the_file) {
  std::filesystem::create_directories(root() / "other");
  const Variables variables{{{"TALARIA_MODEL", (root() / "other").string()},
                             {"TALARIA_SCHEME", "lattice"},
                             {"TALARIA_PARAMETERS", "S54"},
                             {"TALARIA_WEIGHTS", "int8"},
                             {"TALARIA_THREADS", "5"}}};
  const auto config = settings::load_pipeline_config(write(kFullPipeline), variables);
  BOOST_TEST(config.model == root() / "other");
  BOOST_TEST(config.masking.scheme == "lattice");
  BOOST_TEST(config.masking.parameters == "S54");
  BOOST_TEST(config.masking.weights == "int8");
  BOOST_TEST(config.pipeline.threads == 5u);
  BOOST_TEST(config.masking.reply == "switched");
}

BOOST_AUTO_TEST_CASE(the_environment_can_stand_in_for_a_missing_model) {
  const Variables variables{{{"TALARIA_MODEL", (root() / "model").string()}}};
  const auto named = settings::load_pipeline_config(write("model: not-there\n"), variables);
  BOOST_TEST(named.model == root() / "model");
  const auto unnamed =
      settings::load_pipeline_config(write("pipeline: { threads: 1 }\n"), variables);
  BOOST_TEST(unnamed.model == root() / "model");
}

BOOST_AUTO_TEST_CASE(an_empty_variable_is_not_set) {
  const Variables variables{{{"TALARIA_SCHEME", ""}, {"TALARIA_MODEL", ""}}};
  const auto config = settings::load_pipeline_config(write(kFullPipeline), variables);
  BOOST_TEST(config.masking.scheme == "hybrid");
  BOOST_TEST(config.model == root() / "model");
}

BOOST_AUTO_TEST_CASE(a_wrong_variable_is_named_beside_the_mistakes_of_the_file) {
  const Variables variables{{{"TALARIA_SCHEME", "rot13"}, {"TALARIA_THREADS", "1025"}}};
  const auto path = write("model: model\nserve: {}\n");
  BOOST_CHECK_EXCEPTION(
      settings::load_pipeline_config(path, variables), Error, [this](const Error& error) {
        BOOST_TEST(
            shortened(error.what()) ==
            "environment: TALARIA_SCHEME: is 'rot13'; expected lattice, hybrid or clear\n"
            "environment: TALARIA_THREADS: is '1025'; expected a whole number from 0 to 1024\n"
            "F:2:1: serve.listen: missing; it is required");
        return error.code() == Errc::config;
      });
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_read_is_an_io_error) {
  const auto is_io = [](const Error& error) { return error.code() == Errc::io; };
  BOOST_CHECK_EXCEPTION(settings::load_pipeline_config(root() / "absent.yaml", nothing_set), Error,
                        is_io);
  BOOST_CHECK_EXCEPTION(settings::load_pipeline_config(root(), nothing_set), Error, is_io);
}

BOOST_AUTO_TEST_CASE(the_embedded_example_loads) {
  const auto config =
      settings::load_pipeline_config(TALARIA_SOURCE_DIR "/examples/embedded.yaml", nothing_set);
  BOOST_TEST(config.workers.empty());
  BOOST_TEST(std::filesystem::equivalent(config.model, TALARIA_SOURCE_DIR "/models/talaria-tiny"));
  BOOST_TEST(config.masking.scheme == "lattice");
}

BOOST_AUTO_TEST_CASE(the_local_cluster_example_is_complete_for_the_shipped_model) {
  std::filesystem::create_directories(root() / "models/talaria-tiny");
  std::filesystem::create_directories(root() / "examples/certs");
  for (const char* file : {"ca.pem", "enclave.pem", "enclave.key"})
    std::ofstream(root() / "examples/certs" / file) << "a file\n";
  const auto copy = root() / "examples/cluster-local.yaml";
  std::filesystem::copy_file(TALARIA_SOURCE_DIR "/examples/cluster-local.yaml", copy);
  const auto config = settings::load_pipeline_config(copy, nothing_set);
  config::check_layer_count(config, 6);
  BOOST_TEST_REQUIRE(config.workers.size() == 3u);
  for (const auto& worker : config.workers)
    BOOST_TEST((worker.start == config::WorkerNode::Start::local));
  BOOST_TEST(config::node_files(config, config.workers[0]).cert ==
             root() / "examples/certs/127.0.0.1.pem");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(byte_sizes_are_read_with_their_unit) {
  BOOST_TEST(config::parse_bytes("0").value() == 0u);
  BOOST_TEST(config::parse_bytes("1000000").value() == 1000000u);
  BOOST_TEST(config::parse_bytes("64KiB").value() == std::size_t{64} << 10);
  BOOST_TEST(config::parse_bytes("512MiB").value() == std::size_t{512} << 20);
  BOOST_TEST(config::parse_bytes("2GiB").value() == std::size_t{2} << 30);
  BOOST_TEST(config::parse_bytes("18446744073709551615").value() == ~std::size_t{0});
  BOOST_TEST(config::parse_bytes("17179869183GiB").value() == std::size_t{17179869183} << 30);
}

BOOST_AUTO_TEST_CASE(malformed_and_too_large_byte_sizes_are_not_read) {
  for (const char* text :
       {"", "GiB", "-1", "+1", "1.5GiB", "2 GiB", " 2GiB", "2GiB ", "2GB", "2gib", "2K", "0x10",
        "1e6", "2GiBGiB", "17179869184GiB", "18446744073709551616", "99999999999999999999KiB"})
    BOOST_TEST(!config::parse_bytes(text).has_value(), "accepted: '" << text << "'");
}
