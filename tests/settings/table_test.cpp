// The table of settings against itself, against what the reader of files accepts, and against the
// structs: a setting that is added to one of them alone fails here.
#include "settings/table.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "settings/reading.hpp"
#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using settings::Setting;
using tests::ConfigFolder;

namespace {

/// A text for each setting that is not its default. A new setting needs one here.
const std::map<std::string_view, const char*> kOtherValues{
    {"model", "elsewhere"},
    {"model_sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"task", "embed"},
    {"masking.scheme", "hybrid"},
    {"masking.parameters", "S40"},
    {"masking.weights", "int16"},
    {"masking.reply", "switched"},
    {"masking.integrity", "none"},
    {"masking.pool.rows_ahead", "17"},
    {"masking.pool.memory", "3MiB"},
    {"masking.pool.threads", "7"},
    {"masking.hybrid.rank_ratio", "0.25"},
    {"masking.padding.buckets", "4,32"},
    {"masking.padding.rounds", "9"},
    {"masking.padding.pace", "50ms"},
    {"enclave.oblivious", "on"},
    {"pipeline.micro_batches", "5"},
    {"pipeline.max_rows", "77"},
    {"pipeline.prefill_chunk", "33"},
    {"pipeline.threads", "3"},
    {"pipeline.cores", "0-1"},
    {"pipeline.speculate", "model:model:5"},
    {"pipeline.speculate_always", "true"},
    {"pipeline.kv.memory", "5MiB"},
    {"pipeline.kv.format", "int8"},
    {"pipeline.kv.prefix_cache", "false"},
    {"pipeline.kv.public_prefix", "/etc/talaria/prefix.txt"},
    {"tls.ca", "certs/ca.pem"},
    {"tls.cert", "certs/enclave.pem"},
    {"tls.key", "certs/enclave.key"},
    {"tls.enclave_name", "gate.example"},
    {"tls.identity", "ephemeral"},
    {"serve.listen", "127.0.0.1:81"},
    {"serve.tls.cert", "certs/enclave.pem"},
    {"serve.tls.key", "certs/enclave.key"},
    {"serve.attestation.platform", "simulated"},
    {"serve.attestation.folder", "sim"},
    {"serve.attestation.bundle", "collateral.tar"},
    {"serve.attestation.evidence", "tdx"},
    {"serve.attestation.measurement", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d"
                                      "1e1f202122232425262728292a2b2c2d2e"
                                      "2f"},
    {"serve.attestation.service", "gate.example"},
    {"serve.attestation.required", "true"},
    {"serve.receipts", "on"},
    {"serve.insecure", "true"},
    {"serve.allow_special", "true"},
    {"serve.hosts", "api.example,b.example"},
    {"serve.origins", "https://chat.example"},
    {"serve.keys", "client.keys"},
    {"serve.model_name", "house"},
    {"serve.lora_modules", "tone=adapters/tone,sql=adapters/sql"},
    {"serve.per_client.requests", "6"},
    {"serve.per_client.tokens_per_minute", "999"},
    {"serve.stream.obfuscation", "false"},
    {"serve.stream.pace", "60ms"},
    {"serve.limits.connections", "100"},
    {"serve.limits.per_address", "10"},
    {"serve.limits.head", "8KiB"},
    {"serve.limits.body", "5MiB"},
    {"serve.limits.buffered", "300MiB"},
    {"serve.limits.parsing", "301MiB"},
    {"serve.limits.head_within", "21s"},
    {"serve.limits.body_within", "61s"},
    {"serve.limits.idle", "121s"},
    {"chat.date", "2026-11-30"},
    {"telemetry.metrics", "127.0.0.1:82"},
    {"telemetry.trace", "traces"},
    {"telemetry.otlp.endpoint", "https://collector.example/otlp"},
    {"telemetry.otlp.headers", "otlp.headers"},
    {"telemetry.otlp.ca", "certs/ca.pem"},
    {"telemetry.otlp.interval", "11s"},
    {"faults.deadline", "11s"},
    {"faults.request_deadline", "121s"},
    {"faults.retries", "4"},
    {"faults.strikes", "5"},
    {"faults.heartbeat", "101ms"},
    {"faults.silence", "3s"},
    {"faults.reconnect.first", "102ms"},
    {"faults.reconnect.most", "6s"},
    {"faults.quarantine", "6min"},
    {"faults.in_flight", "65"},
    {"faults.resolve", "9s"},
    {"hints.cache", "hints"},
    {"hints.max_size", "2GiB"},
    {"hints.seal", "owner"},
    {"launch.logs", "var"},
    {"launch.program", "bin/worker"},
    {"launch.ssh", "rsh {ssh} {command}"},
    {"launch.restarts", "6"},
    {"launch.backoff.first", "201ms"},
    {"launch.backoff.most", "31s"},
    {"launch.ready", "11min"},
    {"session.trace", "trace.json"},
    {"session.isa", "reference"},
};

/// What the problems are if `text` stands in a variable or behind a flag; empty: none.
std::string complaint_about(const Setting& setting, const std::string& text,
                            config::PipelineConfig& config, const std::filesystem::path& folder) {
  config::Problems problems("F");
  settings::Origins origins;
  settings::read_text(setting, text, {folder, origins},
                      {settings::Source::flag, config::kOnCommandLine, "--flag"}, config, problems);
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::map<std::string_view, std::string> shown(const config::PipelineConfig& config) {
  std::map<std::string_view, std::string> values;
  for (const Setting& setting : settings::table()) values[setting.key] = setting.show(config);
  return values;
}

std::size_t rows_below(std::string_view section) {
  return static_cast<std::size_t>(std::count_if(
      settings::table().begin(), settings::table().end(),
      [section](const Setting& setting) { return setting.key.starts_with(section); }));
}

/// The keys directly below a section ("" for the file), in order, as messages list them.
std::string listed_below(const std::string& section) {
  std::vector<std::string_view> names;
  for (const Setting& setting : settings::table()) {
    std::string_view key = setting.key;
    if (!setting.is_in_file || !key.starts_with(section)) continue;
    key.remove_prefix(section.size());
    key = key.substr(0, key.find('.'));
    if (names.empty() || names.back() != key) names.push_back(key);
  }
  return config::listed(names);
}

std::set<std::string> sections() {
  std::set<std::string> found;
  for (const Setting& setting : settings::table())
    for (std::size_t dot = setting.key.find('.'); dot != std::string_view::npos;
         dot = setting.key.find('.', dot + 1))
      if (setting.is_in_file) found.emplace(setting.key.substr(0, dot));
  return found;
}

/// "a.b" with an unknown key in it: "a: { b: { zzzzzzzzzzzz: 1 } }".
std::string with_unknown_key(const std::string& section) {
  std::string yaml = section + ": { zzzzzzzzzzzz: 1 }";
  std::size_t closing = 0;
  for (std::size_t dot = yaml.find('.'); dot != std::string::npos; dot = yaml.find('.')) {
    yaml.replace(dot, 1, ": { ");
    ++closing;
  }
  for (; closing > 0; --closing) yaml += " }";
  return yaml + "\n";
}

// Each of these stops to compile when a member is added, so that its row is not forgotten.
std::size_t members(const config::Padding& of) {
  [[maybe_unused]] const auto& [a, b, c] = of;
  return 3;
}
std::size_t members(const config::Masking& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, padding] = of;
  return 9 + members(padding);
}
std::size_t members(const config::Enclave& of) {
  [[maybe_unused]] const auto& [a] = of;
  return 1;
}
std::size_t members(const config::Kv& of) {
  [[maybe_unused]] const auto& [a, b, c, d] = of;
  return 4;
}
std::size_t members(const config::Pipeline& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e, f, g, kv] = of;
  return 7 + members(kv);
}
std::size_t members(const config::Tls& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e] = of;
  return 5;
}
std::size_t members(const config::ServeTls& of) {
  [[maybe_unused]] const auto& [a, b] = of;
  return 2;
}
std::size_t members(const config::ServeLimits& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i] = of;
  return 9;
}
std::size_t members(const config::ServePerClient& of) {
  [[maybe_unused]] const auto& [a, b] = of;
  return 2;
}
std::size_t members(const config::ServeStream& of) {
  [[maybe_unused]] const auto& [a, b] = of;
  return 2;
}
std::size_t members(const config::ServeAttestation& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e, f, g] = of;
  return 7;
}
std::size_t members(const config::Serve& of) {
  [[maybe_unused]] const auto& [a, tls, attestation, b, c, d, e, f, h, i, per_client, stream, g,
                                limits] = of;
  return 9 + members(config::ServeTls()) + members(config::ServeAttestation()) +
         members(per_client) + members(stream) + members(limits);
}
std::size_t members(const config::Otlp& of) {
  [[maybe_unused]] const auto& [a, b, c, d] = of;
  return 4;
}
std::size_t members(const config::Telemetry& of) {
  [[maybe_unused]] const auto& [a, b, otlp] = of;
  return 2 + members(otlp);
}
std::size_t members(const config::Faults& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k] = of;
  return 11;
}
std::size_t members(const config::Hints& of) {
  [[maybe_unused]] const auto& [uses_cache, cache, b, c] = of; // the first two are one key
  return 3;
}
std::size_t members(const config::Launch& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e, f, g, node_traces] = of; // the last is no setting
  return 7;
}
std::size_t members(const config::Session& of) {
  [[maybe_unused]] const auto& [a, b] = of;
  return 2;
}
std::size_t members(const config::WorkerNode& of) {
  [[maybe_unused]] const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, line,
                                layers_line, layers_column] = of;
  return 21;
}
/// Those that are no section, but for `file`, which is no setting.
std::size_t members(const config::PipelineConfig& of) {
  [[maybe_unused]] const auto& [file, model, digest, task, masking, enclave, pipeline, workers, tls,
                                serve, chat_date, telemetry, faults, hints, launch, session] = of;
  return 5;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(setting_table, ConfigFolder)

BOOST_AUTO_TEST_CASE(keys_flags_and_variables_are_there_once_and_have_a_meaning) {
  std::set<std::string_view> keys;
  std::set<std::string> others;
  for (const Setting& setting : settings::table()) {
    BOOST_TEST(keys.insert(setting.key).second, setting.key);
    for (const char* name : {setting.flag, setting.variable})
      if (name != nullptr) BOOST_TEST(others.insert(name).second, name);
    BOOST_TEST(!setting.type.empty(), setting.key);
    BOOST_TEST(!setting.meaning.empty(), setting.key);
    BOOST_TEST(setting.meaning.find_first_of("|\n") == std::string::npos, setting.key);
    BOOST_TEST((setting.flag == nullptr) == (setting.group == settings::FlagGroup::none),
               setting.key);
    BOOST_TEST((setting.is_in_file || setting.flag != nullptr), setting.key);
    BOOST_TEST(settings::find_setting(setting.key) == &setting);
    if (setting.flag != nullptr) BOOST_TEST(settings::find_flag(setting.flag) == &setting);
  }
  BOOST_TEST(settings::find_setting("pipeline") == nullptr);
  BOOST_TEST(settings::find_flag("--no-such-flag") == nullptr);
}

BOOST_AUTO_TEST_CASE(every_member_of_the_structs_has_a_row_and_every_row_a_member) {
  const config::PipelineConfig config;
  BOOST_TEST(members(config.masking) == rows_below("masking."));
  BOOST_TEST(members(config.enclave) == rows_below("enclave."));
  BOOST_TEST(members(config.pipeline) == rows_below("pipeline."));
  BOOST_TEST(members(config::Tls()) == rows_below("tls."));
  BOOST_TEST(members(config.serve) == rows_below("serve."));
  BOOST_TEST(members(config.telemetry) == rows_below("telemetry."));
  BOOST_TEST(members(config.faults) == rows_below("faults."));
  BOOST_TEST(members(config.hints) == rows_below("hints."));
  BOOST_TEST(members(config.launch) == rows_below("launch."));
  BOOST_TEST(members(config.session) == rows_below("session."));
  BOOST_TEST(members(config::WorkerNode()) == settings::worker_table().size());
  std::size_t alone = rows_below("chat.");
  for (const Setting& setting : settings::table())
    if (setting.key.find('.') == std::string_view::npos) ++alone;
  BOOST_TEST(members(config) == alone);
}

BOOST_AUTO_TEST_CASE(each_row_reads_and_shows_a_value_of_its_own) {
  for (const Setting& setting : settings::table()) {
    if (setting.key == "workers") continue;
    const auto other = kOtherValues.find(setting.key);
    BOOST_TEST_REQUIRE((other != kOtherValues.end()), "no value to try for " << setting.key);
    config::PipelineConfig config;
    const auto before = shown(config);
    BOOST_TEST(complaint_about(setting, other->second, config, root()) == "", setting.key);
    for (const auto& [key, value] : shown(config)) {
      if (key != setting.key)
        BOOST_TEST(value == before.at(key), setting.key << " changed " << key);
      else
        BOOST_TEST(value != before.at(key), setting.key << " changed nothing");
    }
  }
}

BOOST_AUTO_TEST_CASE(every_default_is_a_value_that_may_be_given) {
  for (const Setting& setting : settings::table()) {
    const std::string value = setting.show(config::PipelineConfig());
    if (value.empty() || setting.key == "workers") continue;
    config::PipelineConfig config;
    BOOST_TEST(complaint_about(setting, value, config, "") == "", setting.key);
    BOOST_TEST(setting.show(config) == value, setting.key);
  }
}

BOOST_AUTO_TEST_CASE(whole_numbers_are_refused_beyond_the_range_that_is_documented) {
  for (const Setting& setting : settings::table()) {
    BOOST_TEST(setting.bounds.has_value() == (setting.type == "whole number"), setting.key);
    if (!setting.bounds) continue;
    const auto [low, high] = *setting.bounds;
    BOOST_TEST(setting.range == std::to_string(low) + " to " + std::to_string(high), setting.key);
    config::PipelineConfig config;
    for (const u64 inside : {low, high})
      BOOST_TEST(complaint_about(setting, std::to_string(inside), config, "") == "", setting.key);
    BOOST_TEST(complaint_about(setting, std::to_string(high + 1), config, "") != "", setting.key);
    if (low > 0)
      BOOST_TEST(complaint_about(setting, std::to_string(low - 1), config, "") != "", setting.key);
  }
}

BOOST_AUTO_TEST_CASE(the_reader_of_files_knows_the_keys_of_the_table_and_no_other) {
  const std::string expected = "unknown key; expected ";
  BOOST_TEST(complaint("model: model\nzzzzzzzzzzzz: 1\n") ==
             "F:2:1: zzzzzzzzzzzz: " + expected + listed_below(""));
  for (const std::string& section : sections()) {
    const std::string found = complaint("model: model\n" + with_unknown_key(section));
    BOOST_TEST(found.find(section + ".zzzzzzzzzzzz: " + expected + listed_below(section + ".")) !=
                   std::string::npos,
               section << ": " << found);
  }
  std::vector<std::string_view> keys;
  for (const auto& setting : settings::worker_table()) keys.push_back(setting.key);
  BOOST_TEST(complaint("model: model\nworkers: [{ zzzzzzzzzzzz: 1 }]\n")
                 .find("workers[0].zzzzzzzzzzzz: " + expected + config::listed(keys)) !=
             std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
