#include <boost/test/unit_test.hpp>

#include <string>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using config::WorkerNode;
using tests::ConfigFolder;
using tests::kTls;

namespace {

struct OneWorker : ConfigFolder {
  std::string yaml(const std::string& keys) const {
    return "model: model\n" + std::string(kTls) + "workers: [{ name: a, layers: all, " + keys +
           " }]\n";
  }
  WorkerNode node(const std::string& keys) const { return parse(yaml(keys)).workers.at(0); }
  config::NodeFiles files(const std::string& keys, const std::string& more = {}) const {
    const auto config = parse(yaml(keys) + more);
    return config::node_files(config, config.workers.at(0));
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(worker_entry, OneWorker)

BOOST_AUTO_TEST_CASE(loopback_nodes_are_started_and_others_are_not) {
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "\"[::1]:1\""})
    BOOST_TEST((node("address: " + std::string(address)).start == WorkerNode::Start::local));
  for (const char* address : {"10.0.0.1:1", "127.example:1", "gpu:1", "\"[::2]:1\""})
    BOOST_TEST((node("address: " + std::string(address)).start == WorkerNode::Start::never));
}

BOOST_AUTO_TEST_CASE(every_address_of_a_name_is_a_worker_where_the_file_says_so) {
  BOOST_TEST(!node("address: gpus:1").each_address);
  BOOST_TEST(!node("address: gpus:1, addresses: one").each_address);
  BOOST_TEST(node("address: gpus:1, addresses: each").each_address);
  const std::string place = "F:3:11: workers[0].addresses: ";
  BOOST_TEST(complaint(yaml("address: 10.0.0.1:1, addresses: each")) ==
             place + "each needs a name as address, whose addresses are looked up");
  BOOST_TEST(complaint(yaml("address: localhost:1, addresses: each")) ==
             place + "each needs start: never: such workers are started by somebody else");
  BOOST_TEST(complaint(yaml("address: gpus:1, addresses: all")) != "");
}

BOOST_AUTO_TEST_CASE(start_says_who_starts_a_node) {
  const std::string ssh = "ssh: me@gpu, cert: /etc/t/w.pem, key: /etc/t/w.key";
  BOOST_TEST((node("address: gpu:1, " + ssh).start == WorkerNode::Start::ssh));
  BOOST_TEST((node("address: gpu:1, start: never, " + ssh).start == WorkerNode::Start::never));
  BOOST_TEST((node("address: gpu:1, start: local").start == WorkerNode::Start::local));
  BOOST_TEST((node("address: localhost:1, start: never").start == WorkerNode::Start::never));
}

BOOST_AUTO_TEST_CASE(a_node_over_ssh_needs_its_host_and_its_certificate) {
  const std::string place = "F:3:11: workers[0].";
  BOOST_TEST(complaint(yaml("address: gpu:1, start: ssh")) ==
             place + "ssh: missing; start: ssh needs USER@HOST\n" + place +
                 "cert: missing; start: ssh needs the path of the certificate on that host\n" +
                 place + "key: missing; start: ssh needs the path of the key on that host");
}

BOOST_AUTO_TEST_CASE(ssh_targets_cannot_be_options) {
  for (const char* target : {"-oProxyCommand=x", "me@-x", "me@", "@gpu", "a@b@c", "gpu;ls"})
    BOOST_TEST(
        complaint(yaml("address: gpu:1, cert: c, key: k, ssh: \"" + std::string(target) + "\"")) ==
        "F:3:73: workers[0].ssh: is '" + std::string(target) + "'; expected HOST or USER@HOST");
}

BOOST_AUTO_TEST_CASE(the_name_in_the_certificate_is_the_host_unless_given) {
  BOOST_TEST(node("address: gpu:1").tls_name == "gpu");
  BOOST_TEST(node("address: \"[::1]:1\"").tls_name == "::1");
  BOOST_TEST(node("address: 10.0.0.1:1, tls_name: gpu.example").tls_name == "gpu.example");
  BOOST_TEST(complaint(yaml("address: gpu:1, tls_name: a b")) ==
             "F:3:61: workers[0].tls_name: is 'a b'; expected a host name or an IP address");
}

BOOST_AUTO_TEST_CASE(local_nodes_find_their_certificate_beside_the_authority) {
  const auto found = files("address: 127.0.0.1:1");
  BOOST_TEST(found.model == root() / "model");
  BOOST_TEST(found.cert == root() / "certs/127.0.0.1.pem");
  BOOST_TEST(found.key == root() / "certs/127.0.0.1.key");
  BOOST_TEST(found.ca == root() / "certs/ca.pem");
  BOOST_TEST(found.program.empty());
}

BOOST_AUTO_TEST_CASE(paths_of_local_nodes_are_relative_to_the_file) {
  const auto found =
      files("address: 127.0.0.1:1, model: m, cert: c, key: /k, ca: x/../a, program: p");
  BOOST_TEST(found.model == root() / "m");
  BOOST_TEST(found.cert == root() / "c");
  BOOST_TEST(found.key == "/k");
  BOOST_TEST(found.ca == root() / "a");
  BOOST_TEST(found.program == root() / "p");
  BOOST_TEST(files("address: 127.0.0.1:1", "launch: { program: w }\n").program == root() / "w");
}

BOOST_AUTO_TEST_CASE(paths_of_remote_nodes_stay_as_written) {
  const std::string keys = "address: gpu:1, ssh: gpu, model: m, cert: t/w.pem, key: t/w.key";
  const auto found = files(keys, "launch: { program: w }\n");
  BOOST_TEST(found.model == "m");
  BOOST_TEST(found.cert == "t/w.pem");
  BOOST_TEST(found.key == "t/w.key");
  BOOST_TEST(found.ca == "t/ca.pem");
  BOOST_TEST(found.program.empty());
}

BOOST_AUTO_TEST_CASE(a_node_cannot_be_named_like_a_folder) {
  for (const char* name : {".", ".."})
    BOOST_TEST(complaint("model: model\n" + std::string(kTls) + "workers: [{ name: " + name +
                         ", address: a:1, layers: all }]\n") ==
               "F:3:19: workers[0].name: is '" + std::string(name) +
                   "'; expected a name of its own");
}

BOOST_AUTO_TEST_CASE(threads_of_a_node_are_bounded) {
  BOOST_TEST(node("address: gpu:1").threads == 0u);
  BOOST_TEST(node("address: gpu:1, threads: 1024").threads == 1024u);
  BOOST_TEST(complaint(yaml("address: gpu:1, threads: 1025")) ==
             "F:3:60: workers[0].threads: is '1025'; expected a whole number from 0 to 1024");
}

BOOST_AUTO_TEST_SUITE_END()
