#include <boost/test/unit_test.hpp>

#include <chrono>
#include <string>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using namespace std::chrono_literals;
using tests::ConfigFolder;
using tests::kFullPipeline;

BOOST_AUTO_TEST_SUITE(operation)

namespace {

/// A section that is wrong, and the line it must cause.
struct Mistake {
  const char* section;
  const char* complaint;
};

const Mistake kMistakes[] = {
    {"faults: { deadline: 10 }",
     "F:2:21: faults.deadline: is '10'; expected a duration from 10ms to 1h, like 100ms, 2s, 5min "
     "or 1h"},
    {"faults: { deadline: 9ms }",
     "F:2:21: faults.deadline: is '9ms'; expected a duration from 10ms to 1h, like 100ms, 2s, 5min "
     "or 1h"},
    {"faults: { deadline: 61min }",
     "F:2:21: faults.deadline: is '61min'; expected a duration from 10ms to 1h, like 100ms, 2s, "
     "5min or 1h"},
    {"faults: { heartbeat: [1s] }",
     "F:2:11: faults.heartbeat: is a list; expected a duration from 10ms to 1min, like 100ms, 2s, "
     "5min or 1h"},
    {"faults: { retries: 101 }",
     "F:2:20: faults.retries: is '101'; expected a whole number from 0 to 100"},
    {"faults: { strikes: 0 }",
     "F:2:20: faults.strikes: is '0'; expected a whole number from 1 to 1000"},
    {"faults: { in_flight: 0 }",
     "F:2:22: faults.in_flight: is '0'; expected a whole number from 1 to 4096"},
    {"faults: { quarantine: 25h }",
     "F:2:23: faults.quarantine: is '25h'; expected a duration from 0s to 24h, like 100ms, 2s, "
     "5min or 1h"},
    {"faults: { heartbeat: 1s, silence: 1999ms }",
     "F:2:1: faults: silence is 1999ms and heartbeat 1s; expected a silence of two heartbeats or "
     "more, or healthy links are cut"},
    {"faults: { deadline: 3min }",
     "F:2:1: faults: request_deadline is 2min and deadline 3min; expected deadline <= "
     "request_deadline"},
    {"faults: { reconnect: { first: 10s } }",
     "F:2:11: faults.reconnect: most is 5s, less than first, which is 10s; expected first <= most"},
    {"faults: { deadlines: 1s }",
     "F:2:11: faults.deadlines: unknown key; did you mean 'deadline'?"},
    {"hints: { cache: [] }", "F:2:10: hints.cache: is a list; expected a path"},
    {"hints: { max_size: 50GB }",
     "F:2:20: hints.max_size: is '50GB'; expected bytes, like 2GiB, 512MiB, 64KiB or 1000000"},
    {"hints: { max_size: 1048575 }",
     "F:2:20: hints.max_size: is '1048575'; expected at least 1MiB (no cache at all is cache: "
     "none)"},
    {"launch: { ssh: ssh host }",
     "F:2:16: launch.ssh: is 'ssh host'; expected a command line with {command} as a word of its "
     "own"},
    {"launch: { ssh: \"ssh 'host {command}\" }",
     "F:2:16: launch.ssh: is 'ssh 'host {command}'; expected a command line with {command} as a "
     "word of its own"},
    {"launch: { ssh: \"{command}\" }",
     "F:2:16: launch.ssh: is '{command}'; expected a command line with {command} as a word of its "
     "own"},
    {"launch: { restarts: 1001 }",
     "F:2:21: launch.restarts: is '1001'; expected a whole number from 0 to 1000"},
    {"launch: { backoff: { first: 1min, most: 30s } }",
     "F:2:11: launch.backoff: most is 30s, less than first, which is 1min; expected first <= most"},
    {"launch: { ready: 99ms }",
     "F:2:18: launch.ready: is '99ms'; expected a duration from 100ms to 24h, like 100ms, 2s, 5min "
     "or 1h"},
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(operation, ConfigFolder)

BOOST_AUTO_TEST_CASE(every_setting_of_operation_arrives) {
  const auto config = parse(kFullPipeline);
  BOOST_TEST((config.faults.deadline == 3s));
  BOOST_TEST((config.faults.request_deadline == 1min));
  BOOST_TEST(config.faults.retries == 7u);
  BOOST_TEST(config.faults.strikes == 2u);
  BOOST_TEST((config.faults.heartbeat == 50ms));
  BOOST_TEST((config.faults.silence == 500ms));
  BOOST_TEST((config.faults.reconnect_first == 20ms));
  BOOST_TEST((config.faults.reconnect_max == 2s));
  BOOST_TEST((config.faults.quarantine == 1h));
  BOOST_TEST(config.faults.in_flight == 8u);
  BOOST_TEST(config.hints.use_cache);
  BOOST_TEST(config.hints.cache.value() == root() / "hints");
  BOOST_TEST(config.hints.max_size == std::size_t{3} << 30);
  BOOST_TEST(config.launch.logs == root() / "var/logs");
  BOOST_TEST(config.launch.program == root() / "bin/talaria-worker");
  BOOST_TEST(config.launch.ssh == "ssh -p 2222 {ssh} {command}");
  BOOST_TEST(config.launch.restarts == 9u);
  BOOST_TEST((config.launch.backoff_first == 1s));
  BOOST_TEST((config.launch.backoff_max == 1min));
  BOOST_TEST((config.launch.ready == 30s));
}

BOOST_AUTO_TEST_CASE(operation_has_defaults_that_its_own_checks_accept) {
  const auto config = parse("model: model\nfaults: {}\nhints: {}\nlaunch: {}\n");
  BOOST_TEST((config.faults.deadline == 10s));
  BOOST_TEST((config.faults.silence == 2s));
  BOOST_TEST(!config.hints.cache.has_value());
  BOOST_TEST(config.hints.use_cache);
  BOOST_TEST(config.launch.logs == root() / "logs");
  BOOST_TEST(config.launch.program.empty());
  BOOST_TEST((config.launch.ready == 10min));
}

BOOST_AUTO_TEST_CASE(the_name_of_the_enclave_may_be_another) {
  const std::string tls =
      "tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: certs/enclave.key";
  BOOST_TEST(parse("model: model\n" + tls + " }\n").tls->enclave_name == "talaria-enclave");
  BOOST_TEST(parse("model: model\n" + tls + ", enclave_name: gate.example }\n").tls->enclave_name ==
             "gate.example");
  BOOST_TEST(complaint("model: model\n" + tls + ", enclave_name: a b }\n") ==
             "F:2:89: tls.enclave_name: is 'a b'; expected the name in the certificate");
}

BOOST_AUTO_TEST_CASE(no_cache_is_not_a_folder_of_that_name) {
  const auto config = parse("model: model\nhints: { cache: none }\n");
  BOOST_TEST(!config.hints.use_cache);
  BOOST_TEST(!config.hints.cache.has_value());
}

BOOST_AUTO_TEST_CASE(mistakes_of_operation_are_named_with_their_place) {
  for (const Mistake& mistake : kMistakes)
    BOOST_TEST(complaint(std::string("model: model\n") + mistake.section) == mistake.complaint);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(durations_are_read_with_their_unit) {
  BOOST_TEST((config::parse_duration("0ms").value() == 0ms));
  BOOST_TEST((config::parse_duration("100ms").value() == 100ms));
  BOOST_TEST((config::parse_duration("2s").value() == 2s));
  BOOST_TEST((config::parse_duration("5min").value() == 5min));
  BOOST_TEST((config::parse_duration("24h").value() == 24h));
  BOOST_TEST((config::parse_duration("87600h").value() == 87600h));
}

BOOST_AUTO_TEST_CASE(malformed_and_too_long_durations_are_not_read) {
  for (const char* text : {"", "s", "10", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1sec", "1m",
                           "1S", "1e3ms", "1min30s", "87601h", "18446744073709551616ms"})
    BOOST_TEST(!config::parse_duration(text).has_value(), "accepted: '" << text << "'");
}

BOOST_AUTO_TEST_CASE(a_duration_is_written_as_it_is_read) {
  for (const char* text : {"0s", "1ms", "999ms", "1s", "90s", "1min", "119min", "2h", "1500ms"})
    BOOST_TEST(config::to_text(config::parse_duration(text).value()) == text);
}

BOOST_AUTO_TEST_CASE(a_command_line_is_split_as_a_shell_would) {
  const auto words = config::split_words("ssh  -o 'Proxy Command'=\"a \\\"b\" x\\ y '' {ssh}\t{c}");
  BOOST_TEST_REQUIRE(words.has_value());
  const std::vector<std::string> expected{"ssh",   "-o", "Proxy Command=a \"b", "x y", "",
                                          "{ssh}", "{c}"};
  BOOST_TEST(*words == expected, boost::test_tools::per_element());
  BOOST_TEST(config::split_words("").value().empty());
  for (const char* text : {"'", "a \"b", "a\\", "'a\\'b'"})
    BOOST_TEST(!config::split_words(text).has_value(), "accepted: " << text);
}

BOOST_AUTO_TEST_SUITE_END()
