#include <boost/test/unit_test.hpp>

#include <chrono>
#include <string>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using namespace std::chrono_literals;
using tests::ConfigFolder;

BOOST_AUTO_TEST_SUITE(serve)

namespace {

/// A section that is wrong, and the line it must cause.
struct Mistake {
  const char* section;
  const char* complaint;
};

const Mistake kMistakes[] = {
    {"serve: { listen: 0.0.0.0:8000 }",
     "F:2:1: serve: listens on 0.0.0.0:8000, which other machines can reach, without TLS; expected "
     "tls: { cert, key }, or insecure: true if something in front of it ends TLS"},
    {"serve: { listen: \"[::]:8000\", insecure: false }",
     "F:2:1: serve: listens on [::]:8000, which other machines can reach, without TLS; expected "
     "tls: { cert, key }, or insecure: true if something in front of it ends TLS"},
    {"serve: { listen: 0.0.0.0:8000, insecure: true }",
     "F:2:1: serve: listens on 0.0.0.0:8000, which other machines can reach, and asks nobody who "
     "he "
     "is; expected keys: FILE (talaria keys add makes one)"},
    {"serve: { listen: 0.0.0.0:8000, tls: { cert: certs/enclave.pem, key: certs/enclave.key } }",
     "F:2:1: serve: listens on 0.0.0.0:8000, which other machines can reach, and asks nobody who "
     "he "
     "is; expected keys: FILE (talaria keys add makes one)"},
    {"serve: { listen: \"unix:run/api.sock\" }",
     "F:2:18: serve.listen: is 'unix:run/api.sock'; expected HOST:PORT or unix:/PATH"},
    {"serve: { listen: \"unix:\" }",
     "F:2:18: serve.listen: is 'unix:'; expected HOST:PORT or unix:/PATH"},
    {"serve: { listen: \"unix:/run/\" }",
     "F:2:18: serve.listen: is 'unix:/run/'; expected HOST:PORT or unix:/PATH"},
    {"serve: { listen: 127.0.0.1:8000, model_name: \"a b\" }",
     "F:2:46: serve.model_name: is 'a b'; expected 1 to 256 printable ASCII characters without "
     "blanks"},
    {"serve: { listen: 127.0.0.1:8000, lora_modules: [tone] }",
     "F:2:49: serve.lora_modules[0]: is 'tone'; expected NAME=PATH, the path that of a PEFT "
     "folder"},
    {"serve: { listen: 127.0.0.1:8000, lora_modules: [a=b, { name: a, path: c }] }",
     "F:2:54: serve.lora_modules[1]: is called a, as one before; expected a name of its own"},
    {"serve: { listen: 127.0.0.1:8000, lora_modules: [{ name: a }] }",
     "F:2:49: serve.lora_modules[0].path: missing; it is required"},
    {"serve: { listen: 127.0.0.1:8000, model_name: m, lora_modules: [m=b] }",
     "F:2:49: serve.lora_modules: has an adapter called m, as the model is (serve.model_name); "
     "expected a name of its own"},
    {"serve: { listen: 127.0.0.1:8000, lora_modules: [{ name: a, path: b, keys: [alice] }] }",
     "F:2:34: serve.lora_modules: keeps a for holders of keys, but nobody is asked for one; "
     "expected serve.keys: FILE"},
    {"serve: { listen: 127.0.0.1:8000, per_client: { requests: -1 } }",
     "F:2:58: serve.per_client.requests: is '-1'; expected a whole number from 0 to 1000000"},
    {"serve: { listen: 127.0.0.1:8000, stream: { pace: 5ms } }",
     "F:2:50: serve.stream.pace: is '5ms'; expected 0s, or a duration from 10ms to 10s, like 100ms "
     "or 2s"},
    {"serve: { listen: 127.0.0.1:8000, attestation: { platform: simulated, folder: sim } }",
     "F:2:1: serve: has attestation, which is bound to a TLS connection, but no TLS; expected tls: "
     "{ cert, key }"},
    {"serve: { listen: 127.0.0.1:8000, tls: { cert: certs/enclave.pem, key: certs/enclave.key }, "
     "attestation: { platform: snp, folder: sim } }",
     "F:2:117: serve.attestation.platform: is 'snp'; expected auto, sev-snp, tdx, azure or "
     "simulated"},
    {"serve: { listen: 127.0.0.1:8000, tls: { cert: certs/enclave.pem, key: certs/enclave.key }, "
     "attestation: { platform: simulated } }",
     "F:2:92: serve.attestation: platform is simulated, without a folder; expected folder: DIR "
     "(talaria attest simulate init DIR makes one)"},
    {"serve: { listen: 127.0.0.1:8000, tls: { cert: certs/enclave.pem, key: certs/enclave.key }, "
     "attestation: { platform: tdx, folder: sim } }",
     "F:2:92: serve.attestation: folder is of simulated platforms; expected no folder with "
     "platform: tdx"},
    {"serve: { listen: 127.0.0.1:8000, tls: { cert: certs/enclave.pem, key: certs/enclave.key }, "
     "attestation: { platform: simulated, folder: sim, measurement: \"55\" } }",
     "F:2:154: serve.attestation.measurement: is '55'; expected 48 bytes as 96 digits of "
     "lower-case hexadecimal, in quotes"},
    {"serve: { listen: 127.0.0.1:8000, allow_special: yes }",
     "F:2:49: serve.allow_special: is 'yes'; expected true or false"},
    {"chat: { date: yesterday }",
     "F:2:15: chat.date: is 'yesterday'; expected a date like 2026-11-30, or today"},
    {"chat: { date: 2026-11-3 }",
     "F:2:15: chat.date: is '2026-11-3'; expected a date like 2026-11-30, or today"},
    {"serve: { listen: 127.0.0.1:8000, insecure: yes }",
     "F:2:44: serve.insecure: is 'yes'; expected true or false"},
    {"serve: { listen: 127.0.0.1:8000, insecure: \"true\" }",
     "F:2:44: serve.insecure: is 'true'; expected true or false"},
    {"serve: { listen: 127.0.0.1:8000, tls: { cert: certs/ca.pem } }",
     "F:2:34: serve.tls.key: missing; it is required"},
    {"serve: { listen: 127.0.0.1:8000, tls: { cert: certs/ca.pem, key: nowhere } }",
     "F:2:66: serve.tls.key: 'R/nowhere' cannot be read; expected a PEM file"},
    {"serve: { listen: 127.0.0.1:8000, hosts: api.example.org }",
     "F:2:41: serve.hosts: is 'api.example.org'; expected a list"},
    {"serve: { listen: 127.0.0.1:8000, hosts: [\"api.example.org:443\"] }",
     "F:2:42: serve.hosts[0]: is 'api.example.org:443'; expected a name or an address without "
     "port, like api.example.org"},
    {"serve: { listen: 127.0.0.1:8000, hosts: [\"*\"] }",
     "F:2:42: serve.hosts[0]: is '*'; expected a name or an address without port, like "
     "api.example.org"},
    {"serve: { listen: 127.0.0.1:8000, origins: [\"*\"] }",
     "F:2:44: serve.origins[0]: is '*'; expected an origin like https://chat.example.org"},
    {"serve: { listen: 127.0.0.1:8000, origins: [\"null\"] }",
     "F:2:44: serve.origins[0]: is 'null'; expected an origin like https://chat.example.org"},
    {"serve: { listen: 127.0.0.1:8000, origins: [\"https://a.org/\"] }",
     "F:2:44: serve.origins[0]: is 'https://a.org/'; expected an origin like "
     "https://chat.example.org"},
    {"serve: { listen: 127.0.0.1:8000, limits: { connections: 15 } }",
     "F:2:57: serve.limits.connections: is '15'; expected a whole number from 16 to 1000000"},
    {"serve: { listen: 127.0.0.1:8000, limits: { head: 1KiB } }",
     "F:2:50: serve.limits.head: is '1KiB'; expected 4096 to 1048576 bytes"},
    {"serve: { listen: 127.0.0.1:8000, limits: { body: 2MiB, buffered: 1MiB } }",
     "F:2:34: serve.limits: buffered is 1048576 bytes, less than body, which is 2097152; expected "
     "room for one body at least"},
    {"serve: { listen: 127.0.0.1:8000, limits: { idle: 0s } }",
     "F:2:50: serve.limits.idle: is '0s'; expected a duration from 1s to 24h, like 100ms, 2s, 5min "
     "or 1h"},
};

/// The folder's path stands as R in the expectations.
std::string without_folder(std::string text, const std::string& folder) {
  for (std::size_t at; (at = text.find(folder)) != text.npos;) text.replace(at, folder.size(), "R");
  return text;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(serve_section, ConfigFolder)

BOOST_AUTO_TEST_CASE(every_mistake_is_named) {
  for (const Mistake& mistake : kMistakes) {
    const std::string yaml = std::string("model: model\n") + mistake.section + "\n";
    BOOST_TEST(without_folder(complaint(yaml), root().string()) == mistake.complaint);
  }
}

BOOST_AUTO_TEST_CASE(templates_are_told_todays_date_unless_a_file_says_another) {
  BOOST_TEST(parse("model: model\n").chat_date == "today");
  BOOST_TEST(!parse("model: model\n").serve.allow_special);
  BOOST_TEST(parse("model: model\nchat: { date: 2026-11-30 }\n").chat_date == "2026-11-30");
}

BOOST_AUTO_TEST_CASE(everything_that_can_be_said_arrives) {
  const auto serve = parse("model: model\n"
                           "serve:\n"
                           "  listen: 0.0.0.0:8443\n"
                           "  tls: { cert: certs/enclave.pem, key: certs/enclave.key }\n"
                           "  hosts: [api.example.org, 10.0.0.5, \"[fd00::6]\"]\n"
                           "  origins: [https://chat.example.org, http://localhost:3000]\n"
                           "  keys: keys.txt\n"
                           "  model_name: house/model-1\n"
                           "  lora_modules:\n"
                           "    - { name: tone, path: adapters/tone, keys: [alice, bob] }\n"
                           "    - sql=/srv/sql\n"
                           "  allow_special: true\n"
                           "  per_client: { requests: 8, tokens_per_minute: 20000 }\n"
                           "  stream: { obfuscation: false, pace: 50ms }\n"
                           "  limits: { connections: 100, per_address: 7, head: 8KiB, body: 1MiB,\n"
                           "            buffered: 9MiB, parsing: 10MiB, head_within: 3s,\n"
                           "            body_within: 4s, idle: 5s }\n")
                         .serve;
  BOOST_TEST(serve.listen.value() == "0.0.0.0:8443");
  BOOST_TEST(serve.tls.value().cert == root() / "certs/enclave.pem");
  BOOST_TEST(serve.tls.value().key == root() / "certs/enclave.key");
  BOOST_TEST(!serve.insecure);
  BOOST_TEST(serve.allow_special);
  BOOST_TEST((serve.hosts == std::vector<std::string>{"api.example.org", "10.0.0.5", "[fd00::6]"}));
  BOOST_TEST((serve.origins ==
              std::vector<std::string>{"https://chat.example.org", "http://localhost:3000"}));
  BOOST_TEST(serve.keys.value() == root() / "keys.txt");
  BOOST_TEST(serve.model_name.value() == "house/model-1");
  BOOST_TEST_REQUIRE(serve.lora_modules.size() == 2u);
  BOOST_TEST(serve.lora_modules[0].name == "tone");
  BOOST_TEST(serve.lora_modules[0].path == root() / "adapters/tone");
  BOOST_TEST((serve.lora_modules[0].keys == std::vector<std::string>{"alice", "bob"}));
  BOOST_TEST(serve.lora_modules[1].name == "sql");
  BOOST_TEST(serve.lora_modules[1].path == "/srv/sql");
  BOOST_TEST(serve.lora_modules[1].keys.empty());
  BOOST_TEST(serve.per_client.requests == 8u);
  BOOST_TEST(serve.per_client.tokens_per_minute == 20'000u);
  BOOST_TEST(!serve.stream.obfuscation);
  BOOST_TEST((serve.stream.pace == 50ms));
  BOOST_TEST(serve.limits.connections == 100u);
  BOOST_TEST(serve.limits.per_address == 7u);
  BOOST_TEST(serve.limits.head == 8192u);
  BOOST_TEST(serve.limits.body == 1u << 20);
  BOOST_TEST(serve.limits.buffered == 9u << 20);
  BOOST_TEST(serve.limits.parsing == 10u << 20);
  BOOST_TEST((serve.limits.head_within == 3s));
  BOOST_TEST((serve.limits.body_within == 4s));
  BOOST_TEST((serve.limits.idle == 5s));
}

// Whoever may open the file may ask: neither keys nor TLS are needed.
BOOST_AUTO_TEST_CASE(a_socket_in_the_file_system_is_an_address) {
  const auto serve = parse("model: model\nserve: { listen: unix:/run/talaria/api.sock }\n").serve;
  BOOST_TEST(serve.listen.value() == "unix:/run/talaria/api.sock");
  BOOST_TEST(!serve.keys.has_value());
}

BOOST_AUTO_TEST_CASE(a_path_that_no_socket_can_have_is_refused) {
  const std::string longest = "unix:/" + std::string(106, 'x');
  const auto file = [](const std::string& listen) {
    return "model: model\nserve: { listen: \"" + listen + "\" }\n";
  };
  BOOST_TEST(parse(file(longest)).serve.listen.value() == longest);
  BOOST_TEST(complaint(file(longest + "x")) ==
             "F:2:18: serve.listen: names a socket of 108 bytes; a socket's path has at most 107");
}

BOOST_AUTO_TEST_CASE(plain_http_beyond_loopback_must_be_asked_for) {
  BOOST_TEST(parse("model: model\nserve: { listen: 10.0.0.5:80, insecure: true, keys: k }\n")
                 .serve.insecure);
  for (const char* local : {"127.0.0.1:1", "127.8.8.8:1", "localhost:1", "'[::1]:1'"})
    BOOST_TEST(!parse(std::string("model: model\nserve: { listen: ") + local + " }\n")
                    .serve.tls.has_value());
}

// /metrics tells how many tokens everybody uses.
BOOST_AUTO_TEST_CASE(metrics_beyond_loopback_need_tls_as_well) {
  const std::string open = "telemetry: { metrics: 0.0.0.0:9464 }\n";
  BOOST_TEST(complaint("model: model\n" + open) ==
             "F:2:23: telemetry.metrics: listens on 0.0.0.0:9464, which other machines can reach, "
             "without TLS; expected serve.tls: { cert, key }, or serve.insecure: true");
  parse("model: model\nserve: { listen: 127.0.0.1:1, insecure: true }\n" + open);
  parse("model: model\nserve: { listen: 127.0.0.1:1, tls: { cert: certs/enclave.pem, key: "
        "certs/enclave.key } }\n" +
        open);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
