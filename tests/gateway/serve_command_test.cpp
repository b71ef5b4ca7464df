// `talaria serve` as a process.
#include <httplib.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"
#include "transport/x509.hpp"

namespace talaria::tests {

namespace {

/// A port of 127.0.0.1 that belongs to nobody else while this lives.
class TakenPort {
public:
  TakenPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    BOOST_REQUIRE(::bind(socket_, generic, length) == 0 && ::listen(socket_, 1) == 0);
    BOOST_REQUIRE(::getsockname(socket_, generic, &length) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~TakenPort() { ::close(socket_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;
  int number() const { return port_; }

private:
  int socket_;
  int port_ = 0;
};

/// A pipeline.yaml for talaria-tiny with some more lines.
class ConfigFile {
public:
  explicit ConfigFile(const std::string& more) : path_(folder_.path() / "pipeline.yaml") {
    std::ofstream(path_) << "model: " << model_folder("talaria-tiny").string() << "\n" << more;
  }
  Finished serve(std::function<void(pid_t)> once_it_listens = nullptr) const {
    return run_program({TALARIA_BIN "/talaria", "serve", path_.string()}, {},
                       std::move(once_it_listens));
  }

private:
  TemporaryFolder folder_;
  std::filesystem::path path_;
};

/// talaria-tiny under another name, by links.
class ModelCopy {
public:
  explicit ModelCopy(const std::string& name) : path_(folder_.path() / name) {
    std::filesystem::create_directory(path_);
    for (const auto& entry : std::filesystem::directory_iterator(model_folder("talaria-tiny")))
      std::filesystem::create_symlink(std::filesystem::absolute(entry.path()),
                                      path_ / entry.path().filename());
  }
  void replace(const std::string& file, const std::string& text) const {
    std::filesystem::remove(path_ / file);
    std::ofstream(path_ / file) << text;
  }
  const std::filesystem::path& path() const { return path_; }

private:
  TemporaryFolder folder_;
  std::filesystem::path path_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(serve_command)

BOOST_AUTO_TEST_CASE(it_serves_until_it_is_told_to_end_and_ends_cleanly) {
  const int port = tests::free_port();
  const ConfigFile file("serve: { listen: '127.0.0.1:" + std::to_string(port) + "' }\n");
  int ready = 0;
  std::string answer;
  const Finished finished = file.serve([&](pid_t server) {
    httplib::Client client("127.0.0.1", port);
    client.set_read_timeout(std::chrono::minutes(2));
    if (const auto result = client.Get("/ready")) ready = result->status;
    if (const auto result = client.Post(
            "/v1/completions", R"({"model":"talaria-tiny","prompt":"Once","max_tokens":2})",
            "application/json"))
      answer = result->body;
    ::kill(server, SIGTERM);
  });
  BOOST_TEST(finished.status == 0, finished.err);
  BOOST_TEST(finished.out == "listening on http://127.0.0.1:" + std::to_string(port) + "\n");
  BOOST_TEST(ready == 200);
  BOOST_TEST(answer.find("\"choices\"") != std::string::npos);
  BOOST_TEST(finished.err.find("POST /v1/completions 200 prompt=") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_clear_scheme_is_refused_before_anything_is_loaded) {
  const Finished finished = ConfigFile("masking: { scheme: clear }\n").serve();
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find("masking.scheme") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_address_that_is_taken_is_one_line_and_status_2) {
  const TakenPort taken;
  const int port = taken.number();
  const ConfigFile file("serve: { listen: '127.0.0.1:" + std::to_string(port) + "' }\n");
  const Finished finished = file.serve();
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find(std::to_string(port)) != std::string::npos, finished.err);
  BOOST_TEST(std::count(finished.err.begin(), finished.err.end(), '\n') == 1, finished.err);
}

BOOST_AUTO_TEST_CASE(beyond_loopback_nobody_is_served_without_keys) {
  const Finished finished = ConfigFile("serve: { listen: '0.0.0.0:0', insecure: true }\n").serve();
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find("talaria keys add") != std::string::npos, finished.err);
}

BOOST_AUTO_TEST_CASE(keys_that_others_can_read_are_refused_before_anything_is_loaded) {
  const TemporaryFolder folder;
  const std::string keys = (folder.path() / "keys").string();
  std::ofstream(keys) << "";
  ::chmod(keys.c_str(), 0644);
  const Finished finished =
      ConfigFile("serve: { listen: '127.0.0.1:0', keys: '" + keys + "' }\n").serve();
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find("chmod 600") != std::string::npos, finished.err);
}

BOOST_AUTO_TEST_CASE(keys_are_added_listed_and_taken_back) {
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "keys").string();
  const auto keys = [&](std::vector<std::string> words) {
    std::vector<std::string> command{TALARIA_BIN "/talaria", "keys"};
    command.insert(command.end(), words.begin(), words.end());
    command.insert(command.end(), {"--file", file});
    return run_program(command);
  };
  const Finished added = keys({"add", "alice", "--requests", "3"});
  BOOST_TEST(added.status == 0, added.err);
  BOOST_TEST(added.out.starts_with("sk-talaria-"));
  BOOST_TEST(keys({"add", "alice"}).status == 2);
  BOOST_TEST(keys({"add", "no such name"}).status == 2);
  const Finished listed = keys({"list", "--json"});
  BOOST_TEST(listed.out == "[{\"name\":\"alice\",\"requests\":3,\"tokens_per_minute\":0}]\n");
  BOOST_TEST(keys({"remove", "bob"}).status == 2);
  BOOST_TEST(keys({"remove", "alice"}).status == 0);
  BOOST_TEST(keys({"list", "--json"}).out == "[]\n");
  BOOST_TEST(run_program({TALARIA_BIN "/talaria", "keys", "list", "--file", file + "x"}).status ==
             2);
}

// B33: the server was ready, and every answer an internal error.
BOOST_AUTO_TEST_CASE(a_folder_whose_name_cannot_stand_in_answers_is_refused) {
  const ModelCopy copy("\xff\xfe");
  const Finished finished = run_program({TALARIA_BIN "/talaria", "serve", copy.path().string()});
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find("serve.model_name") != std::string::npos, finished.err);
}

// B18: the server was ready, and every chat an internal error.
BOOST_AUTO_TEST_CASE(a_template_that_cannot_render_a_message_is_refused) {
  const ModelCopy copy("model");
  copy.replace("chat_template.jinja", "a\n{{ tools | length }}{{ messages[0].content }}");
  const Finished finished = run_program({TALARIA_BIN "/talaria", "serve", copy.path().string()});
  BOOST_TEST(finished.status == 3);
  BOOST_TEST(finished.err.find("chat_template.jinja:2: the length of none") != std::string::npos,
             finished.err);
}

BOOST_AUTO_TEST_CASE(an_open_address_needs_tls_or_a_word) {
  const Finished finished = ConfigFile("serve: { listen: '0.0.0.0:0' }\n").serve();
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find("serve.insecure") == std::string::npos);
  BOOST_TEST(finished.err.find("insecure: true") != std::string::npos, finished.err);
}

BOOST_AUTO_TEST_CASE(tls_ends_in_the_gateway) {
  using namespace std::chrono_literals;
  const int port = tests::free_port();
  const TemporaryFolder folder;
  const auto now = std::chrono::system_clock::now();
  const auto made = transport::Credential::create(
      {"127.0.0.1", transport::CertificateUse::server, now - 1h, now + 24h}, nullptr);
  const auto key = made.key_pem();
  std::ofstream(folder.path() / "api.pem") << made.certificate_pem();
  std::ofstream(folder.path() / "api.key")
      .write(key.data(), static_cast<std::streamsize>(key.size()));
  std::filesystem::permissions(folder.path() / "api.key", std::filesystem::perms(0600));
  const ConfigFile file("serve: { listen: '127.0.0.1:" + std::to_string(port) +
                        "', tls: { cert: " + (folder.path() / "api.pem").string() +
                        ", key: " + (folder.path() / "api.key").string() + " } }\n");
  std::string answer;
  const Finished finished = file.serve([&](pid_t server) {
    httplib::SSLClient client("127.0.0.1", port);
    client.enable_server_certificate_verification(false);
    client.set_read_timeout(std::chrono::minutes(2));
    if (const auto result = client.Post("/v1/completions", R"({"prompt":"Once","max_tokens":2})",
                                        "application/json"))
      answer = result->body;
    ::kill(server, SIGTERM);
  });
  BOOST_TEST(finished.status == 0, finished.err);
  BOOST_TEST(finished.out == "listening on https://127.0.0.1:" + std::to_string(port) + "\n");
  BOOST_TEST(answer.find("\"choices\"") != std::string::npos, answer);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
