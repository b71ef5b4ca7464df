#include <boost/test/unit_test.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "core/error.hpp"
#include "launch/child_process.hpp"
#include "launch/node_command.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using config::WorkerNode;

namespace {

struct Nodes : tests::Cluster {
  WorkerNode& node() { return config.workers.empty() ? add("w", "") : config.workers[0]; }
  std::vector<std::string> command() { return launch::node_command(config, node()); }
  std::string joined() {
    std::string line;
    for (const std::string& word : command()) line += word + " ";
    return line;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(node_commands, Nodes)

BOOST_AUTO_TEST_CASE(a_local_command_line_says_all_a_worker_needs) {
  node().address.port = 7601;
  node().layers = {0, 5};
  const std::string r = root().string();
  BOOST_TEST(joined() == r + "/w.sh --listen localhost:7601 --model " + r +
                             "/model --device cpu --layers 0-5 --weights int8 --parameters S48 "
                             "--cert " +
                             r + "/localhost.pem --key " + r + "/localhost.key --ca " + r +
                             "/ca.pem --name w --progress json --exit-with-stdin ");
}

BOOST_AUTO_TEST_CASE(a_name_of_the_enclave_that_is_not_the_usual_one_is_said) {
  node();
  config.tls->enclave_name = "enclave.example";
  BOOST_TEST(joined().find(" --enclave-name enclave.example ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_worker_that_demands_evidence_is_told_by_which_policy) {
  node().require_attestation = "/etc/owner.yaml";
  BOOST_TEST(joined().find("/ca.pem --require-attestation /etc/owner.yaml --name") !=
             std::string::npos);
  config.tls->is_ephemeral = true; // then no authority can vouch for the enclave
  config.serve.attestation.emplace().platform = "simulated";
  BOOST_TEST(joined().find("--ca") == std::string::npos);
  BOOST_TEST(joined().find(" --require-attestation /etc/owner.yaml --allow-simulated ") !=
             std::string::npos);
  node().ca = "/etc/ca.pem";
  BOOST_TEST(joined().find(" --ca /etc/ca.pem ") != std::string::npos);
  node().seen_collateral = "/var/seen.json";
  node().fetch_collateral = "/var/collateral";
  node().seal_secret = "/etc/secret";
  BOOST_TEST(joined().find(" --seen-collateral /var/seen.json --fetch-collateral /var/collateral "
                           "--seal-secret /etc/secret ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(shares_and_threads_are_said_if_given) {
  node().columns = {1, 3};
  node().threads = 4;
  node().cores = "4-7";
  BOOST_TEST(joined().find(" --columns 2/3 --threads 4 --cores 4-7 ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_program_that_nobody_names_is_the_neighbour_or_in_the_path) {
  node().program.clear();
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  BOOST_TEST(command()[0] == (self.parent_path() / "talaria-worker").string());
  config.launch.program = "/opt/worker";
  BOOST_TEST(command()[0] == "/opt/worker");
  node().start = WorkerNode::Start::ssh;
  config.launch.ssh = "ssh {ssh} {command}";
  node().ssh = "me@gpu";
  const auto words = command();
  BOOST_TEST_REQUIRE(words.size() == 3u);
  BOOST_TEST(words[1] == "me@gpu");
  BOOST_TEST(words[2].starts_with("exec talaria-worker --listen localhost:1 --model "));
}

BOOST_AUTO_TEST_CASE(a_shell_reads_back_the_words_it_was_given) {
  const std::vector<std::string> words{"plain/a-b_c.d:e", "",        "two words", "it's",
                                       "$HOME `id`",      "a\"b\\c", "*;|&",      "line\nline",
                                       "--flag=x"};
  std::string line = "printf '%s|'";
  std::string expected;
  for (const std::string& word : words) {
    line += " " + launch::quote_for_shell(word);
    expected += word + "|";
  }
  launch::ChildProcess child({"/bin/sh", "-c", line});
  BOOST_TEST(tests::eventually([&] { return child.poll_death().has_value(); }));
  std::string buffer(4096, '\0');
  const ssize_t count = ::read(child.out().get(), buffer.data(), buffer.size());
  BOOST_TEST(buffer.substr(0, static_cast<std::size_t>(count)) == expected);
}

BOOST_AUTO_TEST_CASE(a_remote_node_gets_its_words_through_two_command_lines) {
  const auto arguments = root() / "arguments";
  node().program = script("it's a worker", "printf '%s\\n' \"$@\" >'" + arguments.string() + "'\n" +
                                               tests::kGoodNode);
  node().start = WorkerNode::Start::ssh;
  node().model = "/models/o'brien's model $HOME";
  node().cert = "certs/w.pem";
  config.launch.ssh = "env 'GREETING={ssh} there' sh -c {command}";
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  BOOST_TEST(tests::text_of(arguments).find("\n/models/o'brien's model $HOME\n--device\ncpu\n") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(files_that_a_local_node_would_miss_are_named_with_their_line) {
  node().line = 12;
  const auto complaint = [&] {
    try {
      launch::check_local_files(config, 0);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  BOOST_TEST(complaint() == "");
  std::filesystem::remove(root() / "localhost.key");
  BOOST_TEST(complaint() == (root() / "pipeline.yaml").string() + ":12: workers[0].key: '" +
                                (root() / "localhost.key").string() +
                                "' is not there; talaria certs init " + root().string() +
                                " --hosts localhost makes it");
  node().model = root() / "nowhere";
  BOOST_TEST(complaint().find("workers[0].model: ") != std::string::npos);
  node().program = root() / "nothing";
  BOOST_TEST(complaint().find("workers[0].program: ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_node_that_listens_already_is_neither_idle_nor_started_again) {
  node();
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  BOOST_REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  BOOST_REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  node().address.port = ntohs(address.sin_port);
  node().address.host = "127.0.0.1";
  BOOST_TEST(!launch::is_listening(node()));
  BOOST_TEST(launch::idle_local_nodes(config).size() == 1u);
  BOOST_REQUIRE(::listen(socket.get(), 4) == 0);
  BOOST_TEST(launch::is_listening(node()));
  BOOST_TEST(launch::idle_local_nodes(config).empty());
  node().cert = root() / "localhost.pem";
  node().key = root() / "localhost.key";
  BOOST_CHECK_EXCEPTION(supervisor()->start(), Error, [](const Error& error) {
    return error.code() == Errc::config &&
           std::string(error.what()).find("something listens on") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
