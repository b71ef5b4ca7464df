// File, environment and flags together: which one counts, where a value came from, and how mistakes
// of each are named.
#include "settings/resolve.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <string>
#include <vector>

#include "settings/shipped_model.hpp"
#include "settings/table.hpp"
#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using settings::GivenFlag;
using settings::Source;
using tests::ConfigFolder;

namespace {

using VariableMap = std::map<std::string, std::string>;

struct ThreeSources : ConfigFolder {
  settings::Resolved resolve(const std::string& yaml, const VariableMap& variables,
                             std::vector<GivenFlag> flags) const {
    return settings::resolve({file(), yaml,
                              [&variables](const char* name) -> const char* {
                                const auto found = variables.find(name);
                                return found == variables.end() ? nullptr : found->second.c_str();
                              },
                              std::move(flags)});
  }
  std::string refusal(const std::string& yaml, const VariableMap& variables,
                      std::vector<GivenFlag> flags) const {
    try {
      resolve(yaml, variables, std::move(flags));
    } catch (const Error& error) {
      return error.code() == Errc::config ? shortened(error.what()) : "not a config error";
    }
    return {};
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(three_sources, ThreeSources)

BOOST_AUTO_TEST_CASE(flags_override_variables_and_variables_the_file) {
  const std::string yaml = "model: model\npipeline: { threads: 1 }\n";
  const VariableMap variables{{"TALARIA_THREADS", "2"}};
  BOOST_TEST(resolve(yaml, {}, {}).config.pipeline.threads == 1U);
  BOOST_TEST(resolve(yaml, variables, {}).config.pipeline.threads == 2U);
  BOOST_TEST(resolve(yaml, variables, {{"--threads", "3"}}).config.pipeline.threads == 3U);
}

BOOST_AUTO_TEST_CASE(each_value_knows_where_it_came_from) {
  const auto resolved = resolve("model: model\npipeline: { threads: 1, max_rows: 9 }\n",
                                {{"TALARIA_WEIGHTS", "int16"}}, {{"--threads", "3"}});
  const auto where = [&](const std::string& key) {
    return shortened(settings::where_text(resolved.origins.find(key), file()));
  };
  BOOST_TEST(where("model") == "F:1:8");
  BOOST_TEST(where("pipeline.max_rows") == "F:2:35");
  BOOST_TEST(where("pipeline.threads") == "--threads");
  BOOST_TEST(where("masking.weights") == "TALARIA_WEIGHTS");
  BOOST_TEST(where("masking.scheme") == "default");
  BOOST_TEST((resolved.origins.find("pipeline.threads")->source == Source::flag));
  BOOST_TEST((resolved.origins.find("masking.weights")->source == Source::environment));
}

BOOST_AUTO_TEST_CASE(every_variable_and_every_flag_of_the_table_is_read) {
  const std::map<std::string_view, std::string> values{
      {"model", (root() / "model").string()},
      {"model_sha256", std::string(64, 'a')},
      {"task", "score"},
      {"masking.scheme", "lattice"},
      {"masking.parameters", "S48"},
      {"masking.weights", "int16"},
      {"masking.reply", "switched"},
      {"masking.hybrid.rank_ratio", "0.5"},
      {"masking.padding.buckets", "4,32"},
      {"masking.padding.rounds", "2"},
      {"masking.padding.pace", "2ms"},
      {"enclave.oblivious", "on"},
      {"pipeline.micro_batches", "3"},
      {"pipeline.max_rows", "64"},
      {"pipeline.prefill_chunk", "32"},
      {"pipeline.threads", "2"},
      {"pipeline.cores", "0"},
      {"pipeline.speculate", "ngram:4"},
      {"pipeline.kv.memory", "9MiB"},
      {"pipeline.kv.format", "bf16"},
      {"serve.listen", "127.0.0.1:1"},
      {"serve.lora_modules", "tone=/adapters/tone"},
      {"session.trace", "t.json"},
      {"session.isa", "reference"}};
  for (const auto& setting : settings::table()) {
    if (setting.flag == nullptr && setting.variable == nullptr) continue;
    BOOST_TEST_REQUIRE(values.contains(setting.key), "no value to try for " << setting.key);
    const std::string& value = values.at(setting.key);
    const std::string key(setting.key);
    if (setting.flag != nullptr) {
      const auto resolved = resolve("model: model\n", {}, {{setting.flag, value}});
      BOOST_TEST((resolved.origins.find(key)->source == Source::flag), key);
    }
    if (setting.variable != nullptr) {
      const auto resolved = resolve("model: model\n", {{setting.variable, value}}, {});
      BOOST_TEST((resolved.origins.find(key)->source == Source::environment), key);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_mistake_is_named_by_its_source_with_what_was_expected) {
  BOOST_TEST(refusal("model: model\npipeline: { max_rows: 0 }\n", {{"TALARIA_THREADS", "x"}},
                     {{"--micro-batches", "65"}, {"--padding", "8,4"}}) ==
             "command line: --micro-batches: is '65'; expected a whole number from 1 to 64\n"
             "command line: --padding[1]: is '4'; expected more than 8, the bucket before it\n"
             "environment: TALARIA_THREADS: is 'x'; expected a whole number from 0 to 1024\n"
             "F:2:23: pipeline.max_rows: is '0'; expected a whole number from 1 to 65536");
}

BOOST_AUTO_TEST_CASE(what_a_flag_gives_need_not_stand_in_the_file) {
  const std::string model = (root() / "model").string();
  BOOST_TEST(resolve("pipeline: { threads: 1 }\n", {}, {{"--model", model}}).config.model == model);
  const auto serve =
      resolve("model: model\nserve: { insecure: true }\n", {}, {{"--listen", "127.0.0.1:9"}})
          .config;
  BOOST_TEST(serve.serve.listen.value() == "127.0.0.1:9");
  const auto adapted = resolve("model: model\n", {}, {{"--lora-modules", "a=x,b=/y"}}).config.serve;
  BOOST_TEST_REQUIRE(adapted.lora_modules.size() == 2u);
  BOOST_TEST(adapted.lora_modules[0].path == "x"); // as a shell means it
  BOOST_TEST(adapted.lora_modules[1].name == "b");
  BOOST_TEST(refusal("pipeline: { threads: 1 }\n", {}, {{"--threads", "1"}}) ==
             "F:1:1: model: missing; it is required");
}

BOOST_AUTO_TEST_CASE(what_belongs_together_is_checked_when_all_is_known) {
  const std::string yaml = "model: model\nmasking: { padding: { buckets: [8, 64] } }\n";
  BOOST_TEST(refusal(yaml, {}, {{"--max-rows", "32"}}) ==
             "F:2:23: masking.padding.buckets: the largest is 64; expected at most --max-rows, "
             "which is 32");
  BOOST_TEST(refusal(yaml, {}, {{"--padding", "8,512"}}) ==
             "command line: --padding: the largest is 512; expected at most pipeline.max_rows, "
             "which is 256");
  BOOST_TEST(refusal(yaml, {}, {{"--padding", "8,512"}, {"--max-rows", "512"}}) == "");
}

BOOST_AUTO_TEST_CASE(an_address_of_the_command_line_opens_nothing_that_the_file_may_not) {
  BOOST_TEST(refusal("model: model\n", {}, {{"--listen", "0.0.0.0:1"}}) ==
             "command line: --listen: listens on 0.0.0.0:1, which other machines can reach, "
             "without TLS; expected tls: { cert, key }, or insecure: true if something in front "
             "of it ends TLS");
  BOOST_TEST(refusal("model: model\n", {}, {{"--listen", "8000"}}) ==
             "command line: --listen: is '8000'; expected HOST:PORT or unix:/PATH");
}

BOOST_AUTO_TEST_CASE(the_environment_never_weakens_what_a_file_says) {
  const std::string yaml = "model: model\n";
  BOOST_TEST(refusal(yaml, {{"TALARIA_SCHEME", "hybrid"}}, {})
                 .starts_with("environment: TALARIA_SCHEME: is 'hybrid', which protects less than "
                              "'lattice' of the file"));
  BOOST_TEST(refusal(yaml, {{"TALARIA_PARAMETERS", "S46"}}, {})
                 .starts_with("environment: TALARIA_PARAMETERS: is 'S46', which protects less"));
  // Not even if a flag makes it strong again: whoever set the variable meant something else.
  BOOST_TEST(refusal(yaml, {{"TALARIA_SCHEME", "clear"}}, {{"--scheme", "lattice"}}) != "");
  BOOST_TEST(refusal("model: model\nmasking: { scheme: clear, parameters: S46 }\n",
                     {{"TALARIA_SCHEME", "lattice"}, {"TALARIA_PARAMETERS", "S48"}}, {}) == "");
}

BOOST_AUTO_TEST_CASE(paths_of_flags_are_those_of_a_shell) {
  const auto config = resolve("model: model\n", {}, {{"--model", "here/m"}, {"--trace", "t.json"}});
  BOOST_TEST(config.config.model == "here/m");
  BOOST_TEST(config.config.session.trace == "t.json");
}

BOOST_AUTO_TEST_CASE(without_a_file_the_environment_and_the_flags_are_enough) {
  const auto environment = [](const char* name) -> const char* {
    return std::string_view(name) == "TALARIA_THREADS" ? "4" : nullptr;
  };
  const auto resolved = settings::resolve({{}, {}, environment, {{"--scheme", "clear"}}});
  BOOST_TEST(resolved.config.pipeline.threads == 4U);
  BOOST_TEST(resolved.config.masking.scheme == "clear");
  BOOST_TEST(resolved.config.model == settings::shipped_model());
  BOOST_TEST(!resolved.origins.has("model"));
}

BOOST_AUTO_TEST_CASE(what_cannot_stand_in_a_file_is_an_unknown_key_there) {
  BOOST_TEST(refusal("model: model\nsession: { isa: avx2 }\n", {}, {})
                 .starts_with("F:2:1: session: unknown key"));
}

BOOST_AUTO_TEST_SUITE_END()
