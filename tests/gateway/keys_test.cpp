// Files of keys, and who is who.
#include "gateway/keys.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <future>

#include "core/error.hpp"
#include "gateway/access.hpp"
#include "gateway/api_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::gateway {

namespace {

/// A folder with a file of keys.
struct KeyFolder {
  std::string add(const std::string& name, ClientLimits limits = {}) const {
    const NewKey made = make_key(name, limits);
    edit_keys(file, [&](std::vector<StoredKey>& keys) { keys.push_back(made.stored); });
    return made.key;
  }
  void write(const std::string& text) const {
    std::ofstream(file, std::ios::trunc) << text;
    ::chmod(file.c_str(), 0600);
  }
  mode_t mode() const {
    struct stat status {};
    ::stat(file.c_str(), &status);
    return status.st_mode & 07777;
  }

  tests::TemporaryFolder folder;
  std::filesystem::path file = folder.path() / "keys";
};

struct Log {
  std::vector<std::string> lines;
  std::function<void(const std::string&)> take() {
    return [this](const std::string& line) { lines.push_back(line); };
  }
};

std::string name_of(KeyRing& ring, const std::string& key) {
  const auto found = ring.find(key);
  return found ? found->name : "nobody";
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

} // namespace

BOOST_AUTO_TEST_SUITE(keys)

BOOST_AUTO_TEST_CASE(the_file_does_not_hold_the_key) {
  const KeyFolder folder;
  const std::string key = folder.add("alice");
  std::ifstream in(folder.file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  BOOST_TEST(text.find("alice") != std::string::npos);
  BOOST_TEST(text.find(key.substr(key.rfind('-') + 1)) == std::string::npos);
  BOOST_TEST(folder.mode() == 0600U);
  BOOST_TEST(folder.add("bob") != key);
}

BOOST_AUTO_TEST_CASE(a_file_that_is_written_is_read_the_same) {
  const std::vector<StoredKey> keys{make_key("alice", {8, 20'000}).stored,
                                    make_key("b.o-b_2", {}).stored};
  const auto read = parse_keys(to_text(keys), "keys");
  BOOST_TEST_REQUIRE(read.size() == 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(read[i].name == keys[i].name);
    BOOST_TEST((read[i].salt == keys[i].salt && read[i].hash == keys[i].hash));
    BOOST_TEST((read[i].limits == keys[i].limits));
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_line_is_named) {
  const std::string good = to_text({make_key("alice", {}).stored});
  const std::string line = good.substr(good.find('\n') + 1);
  const std::string cases[] = {"alice",
                               "alice 12 34",
                               line.substr(0, line.size() - 2) + "\n",
                               line.substr(0, line.size() - 1) + " requests=0\n",
                               line.substr(0, line.size() - 1) + " requests=8x\n",
                               line.substr(0, line.size() - 1) + " tokens_per_minute=99999999999\n",
                               line.substr(0, line.size() - 1) + " colour=3\n",
                               line + line,
                               "al/ice" + line.substr(5)};
  for (const std::string& text : cases) BOOST_TEST_CONTEXT(text) {
      const std::string message = message_of([&] { parse_keys(text, "keys"); });
      BOOST_TEST(message.starts_with(text == line + line ? "keys:2: " : "keys:1: "), message);
    }
  BOOST_TEST(parse_keys("# nothing\r\n\r\n  \n" + line, "keys").size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_file_that_others_can_read_or_write_is_refused) {
  const KeyFolder folder;
  folder.add("alice");
  for (const mode_t mode : {0640, 0604, 0620, 0666}) {
    ::chmod(folder.file.c_str(), mode);
    const std::string message = message_of([&] { read_keys(folder.file); });
    BOOST_TEST(message.find("chmod 600") != std::string::npos, message);
  }
  BOOST_TEST(!message_of([&] { read_keys(folder.folder.path()); }).empty());
  BOOST_TEST(!message_of([&] { read_keys(folder.folder.path() / "none"); }).empty());
}

BOOST_AUTO_TEST_CASE(a_ring_knows_its_keys_and_no_others) {
  const KeyFolder folder;
  const std::string alice = folder.add("alice");
  const std::string bob = folder.add("bob");
  Log log;
  KeyRing ring(folder.file, log.take());
  BOOST_TEST(name_of(ring, alice) == "alice");
  BOOST_TEST(name_of(ring, bob) == "bob");
  std::string changed = alice;
  changed.back() = changed.back() == '0' ? '1' : '0';
  const std::string mixed = alice.substr(0, alice.rfind('-')) + bob.substr(bob.rfind('-'));
  for (const std::string& key :
       {std::string(), std::string("sk-talaria-"), alice.substr(0, alice.size() - 1), alice + "0",
        changed, mixed, make_key("alice", {}).key, std::string(1000, 'a')})
    BOOST_TEST(name_of(ring, key) == "nobody");
  BOOST_TEST(log.lines.empty());
}

BOOST_AUTO_TEST_CASE(a_changed_file_counts_at_once) {
  const KeyFolder folder;
  const std::string alice = folder.add("alice");
  Log log;
  KeyRing ring(folder.file, log.take());
  const std::string bob = folder.add("bob", {3, 0});
  BOOST_TEST(name_of(ring, bob) == "bob");
  BOOST_TEST(ring.find(bob)->limits.requests == 3U);
  edit_keys(folder.file, [](std::vector<StoredKey>& keys) { keys.erase(keys.begin()); });
  BOOST_TEST(name_of(ring, alice) == "nobody");
  BOOST_TEST(name_of(ring, bob) == "bob");
}

BOOST_AUTO_TEST_CASE(a_file_that_became_wrong_changes_nothing_and_is_said_once) {
  const KeyFolder folder;
  const std::string alice = folder.add("alice");
  Log log;
  KeyRing ring(folder.file, log.take());
  folder.write("half a li");
  for (int i = 0; i < 3; ++i) BOOST_TEST(name_of(ring, alice) == "alice");
  BOOST_TEST(log.lines.size() == 1U);
  std::filesystem::remove(folder.file);
  for (int i = 0; i < 3; ++i) BOOST_TEST(name_of(ring, alice) == "alice");
  BOOST_TEST(log.lines.size() == 2U);
  const std::string bob = folder.add("bob");
  BOOST_TEST(name_of(ring, alice) == "nobody");
  BOOST_TEST(name_of(ring, bob) == "bob");
  for (const std::string& line : log.lines)
    BOOST_TEST(line.find(alice.substr(alice.rfind('-'))) == std::string::npos);
}

BOOST_AUTO_TEST_CASE(several_edit_one_file_without_losing_a_key) {
  const KeyFolder folder;
  std::vector<std::future<void>> editors;
  for (int i = 0; i < 8; ++i)
    editors.push_back(std::async(std::launch::async, [&folder, i] {
      for (int k = 0; k < 4; ++k) folder.add("k" + std::to_string(4 * i + k));
    }));
  for (auto& each : editors) each.get();
  BOOST_TEST(read_keys(folder.file).size() == 32U);
}

BOOST_AUTO_TEST_CASE(an_edit_that_fails_changes_nothing) {
  const KeyFolder folder;
  folder.add("alice");
  BOOST_CHECK_THROW(edit_keys(folder.file,
                              [](std::vector<StoredKey>& keys) {
                                keys.clear();
                                throw Error(Errc::usage, "no");
                              }),
                    Error);
  BOOST_TEST(read_keys(folder.file).size() == 1U);
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(folder.folder.path()), {}) == 1);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(access_rules)

BOOST_AUTO_TEST_CASE(without_keys_addresses_are_clients) {
  Access access({.keys = {}, .key_optional = false, .limits = {4, 100}}, {});
  const Client client = access.identify("Bearer anything", "10.0.0.7");
  BOOST_TEST(client.name == "address 10.0.0.7");
  BOOST_TEST((client.limits == ClientLimits{4, 100}));
  BOOST_TEST(access.identify("", "").name == "socket");
}

BOOST_AUTO_TEST_CASE(one_ipv6_network_is_one_client) {
  BOOST_TEST(network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
  BOOST_TEST(network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64");
  BOOST_TEST(network_of("::1") == "::/64");
  BOOST_TEST(network_of("::ffff:10.0.0.7") == "10.0.0.7");
  BOOST_TEST(network_of("192.0.2.1") == "192.0.2.1");
}

BOOST_AUTO_TEST_CASE(with_keys_a_client_is_its_key) {
  const KeyFolder folder;
  const std::string alice = folder.add("alice", {2, 0});
  Access access({.keys = folder.file, .key_optional = false, .limits = {9, 50}}, {});
  for (const std::string scheme : {"Bearer ", "bearer ", "BEARER   "}) {
    const Client client = access.identify(scheme + alice, "10.0.0.7");
    BOOST_TEST(client.name == "key alice");
    BOOST_TEST((client.limits == ClientLimits{2, 50})); // its own, else the server's
  }
  for (const std::string& wrong : {std::string(), alice, "Basic " + alice, std::string("Bearer"),
                                   std::string("Bearer "), "Bearer x" + alice})
    BOOST_CHECK_EXCEPTION(access.identify(wrong, "127.0.0.1"), ApiError,
                          [](const ApiError& e) { return e.status() == 401; });
}

// Prefixes that were computed are shared by identity (pipeline::Request::owner).
BOOST_AUTO_TEST_CASE(a_key_made_anew_under_an_old_name_is_somebody_else) {
  const auto identity_of = [](const std::string& name) {
    const KeyFolder folder;
    const std::string key = folder.add(name);
    Access access({.keys = folder.file, .key_optional = false, .limits = {}}, {});
    const std::string identity = access.identify("Bearer " + key, "10.0.0.7").identity;
    BOOST_TEST(access.identify("Bearer " + key, "10.0.0.8").identity == identity);
    return identity;
  };
  const std::string before = identity_of("alice");
  BOOST_TEST(!before.empty());
  BOOST_TEST(identity_of("alice") != before);
  Access open({.keys = std::nullopt, .key_optional = false, .limits = {}}, {});
  BOOST_TEST(open.identify("", "10.0.0.7").identity.empty());
  BOOST_TEST(open.identify("", "").identity.empty());
}

BOOST_AUTO_TEST_CASE(on_a_socket_in_the_file_system_permission_is_enough) {
  const KeyFolder folder;
  const std::string alice = folder.add("alice");
  Access access({.keys = folder.file, .key_optional = true, .limits = {}}, {});
  BOOST_TEST(access.identify("", "").name == "socket");
  BOOST_TEST(access.identify("Bearer " + alice, "").name == "key alice");
  BOOST_CHECK_THROW(access.identify("Bearer nonsense", ""), ApiError);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
