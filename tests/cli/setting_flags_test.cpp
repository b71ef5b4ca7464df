#include "cli/setting_flags.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/worker/worker_flags.hpp"
#include "core/model_part.hpp"
#include "gateway/http_server.hpp"
#include "settings/table.hpp"

namespace talaria::cli {

namespace {

using settings::FlagGroup;

struct Command {
  CLI::App app;
  SettingFlags flags;
  explicit Command(std::initializer_list<FlagGroup> groups) { flags.add_to(app, groups); }
  /// "--flag=value" for each that was given.
  std::string given(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end()); // as CLI11 takes them
    app.parse(words);
    std::string text;
    for (const settings::GivenFlag& one : flags.given()) text += one.flag + "=" + one.value + " ";
    return text;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(setting_flags)

BOOST_AUTO_TEST_CASE(every_flag_of_the_table_is_an_option_of_its_group) {
  for (const settings::Setting& setting : settings::table()) {
    if (setting.flag == nullptr) continue;
    Command command({setting.group});
    const CLI::Option* option = command.app.get_option_no_throw(setting.flag);
    BOOST_TEST_REQUIRE((option != nullptr), setting.flag);
    BOOST_TEST(option->get_description().starts_with(setting.meaning), setting.flag);
    const std::string value = setting.switched_on != nullptr ? setting.switched_on : "x";
    std::vector<std::string> words{setting.flag};
    if (setting.switched_on == nullptr) words.push_back(value);
    BOOST_TEST(command.given(words) == std::string(setting.flag) + "=" + value + " ");
  }
}

BOOST_AUTO_TEST_CASE(flags_of_other_groups_are_not_taken) {
  Command command({FlagGroup::pin});
  BOOST_TEST((command.app.get_option_no_throw("--model-sha256") != nullptr));
  BOOST_TEST((command.app.get_option_no_throw("--threads") == nullptr));
}

BOOST_AUTO_TEST_CASE(help_says_range_and_default) {
  Command command({FlagGroup::engine});
  BOOST_TEST(command.app.get_option("--max-rows")
                 ->get_description()
                 .ends_with("(1 to 65536; default: 256)"));
}

BOOST_AUTO_TEST_CASE(only_what_was_given_is_handed_on_in_the_order_of_the_table) {
  Command command({FlagGroup::engine});
  BOOST_TEST(command.given({"--threads", "2", "--oblivious", "--padding", "4,8"}) ==
             "--padding=4,8 --oblivious=on --threads=2 ");
  BOOST_TEST(Command({FlagGroup::engine}).given({}) == "");
}

// What a command line for a worker leaves out is what the worker takes then.
BOOST_AUTO_TEST_CASE(a_worker_program_has_the_defaults_of_a_worker_entry) {
  const WorkerFlags program;
  const config::WorkerNode entry;
  BOOST_TEST(program.device == entry.device);
  BOOST_TEST((parse_share(program.columns) == entry.columns));
  BOOST_TEST(program.threads == entry.threads);
  BOOST_TEST(program.cores == entry.cores);
  BOOST_TEST(program.parameters == config::Masking().parameters);
  BOOST_TEST(program.enclave_name == config::Tls().enclave_name);
}

BOOST_AUTO_TEST_CASE(the_gateway_has_the_defaults_of_the_settings) {
  const config::ServeLimits limits;
  const gateway::HttpLimits usual;
  BOOST_TEST(usual.connections == limits.connections);
  BOOST_TEST(usual.per_address == limits.per_address);
  BOOST_TEST(usual.head_bytes == limits.head);
  BOOST_TEST(usual.buffered_bytes == limits.buffered);
  BOOST_TEST((usual.head_within == limits.head_within));
  BOOST_TEST((usual.body_within == limits.body_within));
  BOOST_TEST((usual.idle == limits.idle));
  const gateway::ServerOptions options;
  BOOST_TEST(options.max_body_bytes == limits.body);
  BOOST_TEST(options.max_parsing_bytes == limits.parsing);
  BOOST_TEST(to_string(options.listen) == config::kDefaultListen);
}

BOOST_AUTO_TEST_CASE(permissions_are_flags_that_another_start_is_given_again) {
  CLI::App app;
  settings::Allowances allowed;
  add_allowances(app, allowed);
  app.parse(std::vector<std::string>{"--allow-unverified", "--allow-hybrid"});
  BOOST_TEST(allowed.hybrid);
  BOOST_TEST(!allowed.clear);
  BOOST_TEST(allowed.unverified);
  BOOST_TEST(
      (arguments_of(allowed) == std::vector<std::string>{"--allow-hybrid", "--allow-unverified"}));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
