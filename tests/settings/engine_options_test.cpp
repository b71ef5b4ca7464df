// Settings to the options of an engine. Defaults of rooms below are for whoever uses them without
// settings; they must be the same.
#include "settings/engine/engine_options.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/cluster/node.hpp"
#include "settings/engine/process_setup.hpp"
#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using namespace std::chrono_literals;
using tests::ConfigFolder;
using tests::kFullPipeline;

BOOST_AUTO_TEST_SUITE(engine_settings)

BOOST_AUTO_TEST_CASE(defaults_are_those_of_the_rooms_below) {
  const auto options = settings::engine_options({}, nullptr);
  const pipeline::EngineOptions usual;
  BOOST_TEST((options.scheme.kind == usual.scheme.kind));
  BOOST_TEST(options.scheme.parameters == usual.scheme.parameters);
  BOOST_TEST((options.scheme.reply == usual.scheme.reply));
  BOOST_TEST(options.scheme.verify == usual.scheme.verify);
  BOOST_TEST(options.scheme.hybrid_rank == usual.scheme.hybrid_rank);
  BOOST_TEST((options.weights == usual.weights));
  BOOST_TEST(options.threads == usual.threads);
  BOOST_TEST(options.batch.micro_batches == usual.batch.micro_batches);
  BOOST_TEST(options.batch.max_rows == usual.batch.max_rows);
  BOOST_TEST(options.batch.prefill_chunk == usual.batch.prefill_chunk);
  BOOST_TEST(options.batch.drafts == usual.batch.drafts);
  BOOST_TEST(options.batch.drafts_always == usual.batch.drafts_always);
  BOOST_TEST(!options.draft_model.is_set());
  BOOST_TEST(config::kMostDrafts == pipeline::kMostDrafts);
  BOOST_TEST(!options.padding.is_on());
  BOOST_TEST(options.oblivious == usual.oblivious);
  BOOST_TEST(options.pool.rows_ahead == usual.pool.rows_ahead);
  BOOST_TEST(options.pool.threads == usual.pool.threads);
  BOOST_TEST(!options.cluster.has_value());
  const config::Faults faults;
  const cluster::FaultPolicy policy;
  BOOST_TEST((faults.deadline == policy.deadline));
  BOOST_TEST((faults.request_deadline == policy.request_deadline));
  BOOST_TEST(faults.retries == policy.retries);
  BOOST_TEST(faults.strikes == policy.strikes);
  BOOST_TEST((faults.heartbeat == policy.heartbeat));
  BOOST_TEST((faults.silence == policy.silence));
  BOOST_TEST((faults.reconnect_first == policy.reconnect_first));
  BOOST_TEST((faults.reconnect_max == policy.reconnect_max));
  BOOST_TEST((faults.quarantine == policy.quarantine));
  BOOST_TEST(faults.in_flight == policy.in_flight);
}

BOOST_AUTO_TEST_CASE(every_setting_of_a_full_file_arrives) {
  const ConfigFolder folder;
  const auto config = folder.parse(std::string(kFullPipeline));
  const auto options = settings::engine_options(config, nullptr);
  BOOST_TEST(options.model_dir == folder.root() / "model");
  BOOST_TEST((options.scheme.kind == remo::SchemeKind::hybrid));
  BOOST_TEST(options.scheme.parameters->name == "S46");
  BOOST_TEST((options.scheme.reply == remo::ReplyFormat::switched));
  BOOST_TEST(!options.scheme.verify);
  BOOST_TEST(options.scheme.hybrid_rank == 0.25);
  BOOST_TEST((options.weights == model::WeightFormat::int16));
  BOOST_TEST(options.threads == 8U);
  BOOST_TEST(options.batch.micro_batches == 4U);
  BOOST_TEST(options.batch.max_rows == 512U);
  BOOST_TEST(options.batch.prefill_chunk == 64U);
  BOOST_TEST(options.batch.drafts == 6U);
  BOOST_TEST(options.batch.drafts_always);
  BOOST_TEST(options.pool.rows_ahead == 4096U);
  BOOST_TEST(options.pool.memory_bytes == std::size_t{2} << 30);
  BOOST_TEST(options.pool.threads == 3U);
  BOOST_TEST(options.hints.folder == folder.root() / "hints");
  BOOST_TEST(options.hints.max_bytes == u64{3} << 30);
}

BOOST_AUTO_TEST_CASE(workers_arrive_as_the_pipeline_takes_them) {
  const ConfigFolder folder;
  const auto options = settings::engine_options(folder.parse(std::string(kFullPipeline)), nullptr);
  BOOST_TEST_REQUIRE(options.cluster.has_value());
  const pipeline::ClusterOptions& cluster = *options.cluster;
  BOOST_TEST_REQUIRE(cluster.nodes.size() == 3U);
  BOOST_TEST((cluster.nodes[0].address == Address{"10.0.0.5", 7600}));
  BOOST_TEST(cluster.nodes[0].tls_name == "10.0.0.5");
  BOOST_TEST((cluster.nodes[0].layers == LayerRange{0, 15}));
  BOOST_TEST(!cluster.nodes[0].replica);
  BOOST_TEST(cluster.nodes[2].layers.all);
  BOOST_TEST(cluster.nodes[2].replica);
  BOOST_TEST((cluster.policy.deadline == 3s));
  BOOST_TEST((cluster.policy.request_deadline == 1min));
  BOOST_TEST(cluster.policy.retries == 7U);
  BOOST_TEST(cluster.policy.in_flight == 8U);
  BOOST_TEST((cluster.ready == 30s)); // the shorter of launch.ready and the deadline of a request
}

BOOST_AUTO_TEST_CASE(columns_and_padding_arrive) {
  const ConfigFolder folder;
  const auto options = settings::engine_options(
      folder.parse("model: model\n" + std::string(tests::kTls) +
                   "workers:\n"
                   "  - { name: a, address: a:1, layers: all, columns: 2/2 }\n"
                   "  - { name: b, address: b:1, layers: all, columns: 1/2 }\n"
                   "masking: { padding: { buckets: [4, 32], rounds: 8, pace: 20ms } }\n"
                   "enclave: { oblivious: on }\n"
                   "hints: { cache: none }\n"),
      nullptr);
  BOOST_TEST((options.cluster->nodes[0].share == ColumnShare{1, 2}));
  BOOST_TEST((options.cluster->nodes[1].share == ColumnShare{0, 2}));
  BOOST_TEST((options.padding.buckets == std::vector<u32>{4, 32}));
  BOOST_TEST(options.padding.rounds == 8U);
  BOOST_TEST((options.padding.pace == 20ms));
  BOOST_TEST(options.oblivious);
  BOOST_TEST(options.hints.folder.empty());
}

BOOST_AUTO_TEST_CASE(a_simd_target_that_is_not_there_is_refused_by_name) {
  config::PipelineConfig config;
  config.session.isa = "mmx";
  BOOST_CHECK_EXCEPTION(settings::set_up_process(config), Error, [](const Error& error) {
    return std::string(error.what()).find("mmx") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
