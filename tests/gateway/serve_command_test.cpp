// `talaria serve` as a process.
#include <httplib.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/server_certificate.hpp"
#include "tests/support/temporary_folder.hpp"

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
  Finished serve(std::function<void(pid_t)> once_it_listens = nullptr,
                 const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> command{TALARIA_BIN "/talaria", "serve", path_.string()};
    command.insert(command.end(), flags.begin(), flags.end());
    return run_program(command, {}, std::move(once_it_listens));
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

// With the program that makes the keys and the program that asks for them.
BOOST_AUTO_TEST_CASE(who_has_a_key_is_served_from_the_moment_it_is_added_until_it_is_taken_back) {
  const TemporaryFolder folder;
  const std::string keys = (folder.path() / "keys").string();
  const auto change = [&](const char* action, const char* name) {
    const Finished done =
        run_program({TALARIA_BIN "/talaria", "keys", action, name, "--file", keys});
    BOOST_TEST(done.status == 0, done.err);
    return done.out.substr(0, done.out.find('\n'));
  };
  const std::string alice = change("add", "alice");
  const int port = tests::free_port();
  const ConfigFile file("serve: { listen: '127.0.0.1:" + std::to_string(port) + "', keys: " + keys +
                        " }\n");
  const auto status_with = [&](const std::string& key) {
    httplib::Client client("127.0.0.1", port);
    client.set_read_timeout(std::chrono::minutes(2));
    if (!key.empty()) client.set_bearer_token_auth(key);
    const auto result =
        client.Post("/v1/completions", R"({"prompt":"Once","max_tokens":1})", "application/json");
    return result ? result->status : -1;
  };
  const Finished finished = file.serve([&](pid_t server) {
    BOOST_TEST(status_with("") == 401);
    BOOST_TEST(status_with(alice) == 200);
    BOOST_TEST(status_with(alice + "x") == 401);
    const std::string bob = change("add", "bob");
    BOOST_TEST(status_with(bob) == 200);
    BOOST_TEST(status_with(alice) == 200);
    change("remove", "alice");
    BOOST_TEST(status_with(alice) == 401);
    BOOST_TEST(status_with(bob) == 200);
    ::kill(server, SIGTERM);
  });
  BOOST_TEST(finished.status == 0, finished.err);
  BOOST_TEST(finished.err.find(alice) == std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_file_of_keys_is_the_one_that_a_configuration_names) {
  const TemporaryFolder folder;
  const auto yaml = (folder.path() / "pipeline.yaml").string();
  const auto keys = [&](const std::string& serve) {
    std::ofstream(yaml) << "model: " << model_folder("talaria-tiny").string() << "\n" << serve;
    return run_program({TALARIA_BIN "/talaria", "keys", "add", "alice", "--config", yaml});
  };
  BOOST_TEST(keys("").status == 2);
  const Finished added = keys("serve: { listen: 127.0.0.1:1, keys: house.keys }\n");
  BOOST_TEST(added.status == 0, added.err);
  BOOST_TEST(run_program({TALARIA_BIN "/talaria", "keys", "list", "--json", "--file",
                          (folder.path() / "house.keys").string()})
                 .out.find("alice") != std::string::npos);
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

// Whoever may open the file may ask; the flag goes before the file.
BOOST_AUTO_TEST_CASE(it_serves_at_a_socket_in_the_file_system) {
  const TemporaryFolder folder;
  const std::string socket = (folder.path() / "api.sock").string();
  const ConfigFile file("serve: { listen: '127.0.0.1:1' }\n");
  std::string answer;
  mode_t mode = 0;
  const Finished finished = file.serve(
      [&](pid_t server) {
        struct stat info {};
        if (::lstat(socket.c_str(), &info) == 0) mode = info.st_mode & 07777;
        httplib::Client client(socket);
        client.set_address_family(AF_UNIX);
        client.set_read_timeout(std::chrono::minutes(2));
        if (const auto result = client.Post(
                "/v1/completions", R"({"prompt":"Once","max_tokens":2})", "application/json"))
          answer = result->body;
        ::kill(server, SIGTERM);
      },
      {"--listen", "unix:" + socket});
  BOOST_TEST(finished.status == 0, finished.err);
  BOOST_TEST(finished.out == "listening on unix:" + socket + "\n");
  BOOST_TEST(mode == 0600U);
  BOOST_TEST(answer.find("\"choices\"") != std::string::npos, answer);
  BOOST_TEST(!std::filesystem::exists(socket));
}

BOOST_AUTO_TEST_CASE(a_socket_that_cannot_be_is_one_line_and_status_2) {
  const ConfigFile file("serve: { listen: 'unix:/proc/talaria/api.sock' }\n");
  const Finished finished = file.serve();
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find("unix:/proc/talaria/api.sock: its folder") != std::string::npos,
             finished.err);
  BOOST_TEST(std::count(finished.err.begin(), finished.err.end(), '\n') == 1, finished.err);
}

BOOST_AUTO_TEST_CASE(the_flag_for_the_address_opens_nothing_that_the_file_may_not) {
  const ConfigFile file("");
  const auto complaint = [&](const std::string& address) {
    const Finished finished = file.serve(nullptr, {"--listen", address});
    BOOST_TEST(finished.status == 2);
    return finished.err;
  };
  BOOST_TEST(complaint("0.0.0.0:0").find("without TLS") != std::string::npos);
  BOOST_TEST(complaint("8000").find("expected HOST:PORT or unix:/PATH") != std::string::npos);
  BOOST_TEST(complaint("unix:here").find("expected HOST:PORT or unix:/PATH") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_open_address_needs_tls_or_a_word) {
  const Finished finished = ConfigFile("serve: { listen: '0.0.0.0:0' }\n").serve();
  BOOST_TEST(finished.status == 2);
  BOOST_TEST(finished.err.find("serve.insecure") == std::string::npos);
  BOOST_TEST(finished.err.find("insecure: true") != std::string::npos, finished.err);
}

BOOST_AUTO_TEST_CASE(tls_ends_in_the_gateway) {
  const int port = tests::free_port();
  const TemporaryFolder folder;
  make_server_certificate(folder.path());
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

namespace {

/// An OpenTelemetry collector on a port of its own, which has no time for the first body.
class Collector {
public:
  Collector() {
    for (const char* signal : {"traces", "metrics"})
      server_.Post(std::string("/otlp/v1/") + signal,
                   [this, signal](const httplib::Request& request, httplib::Response& response) {
                     const std::lock_guard lock(mutex_);
                     const bool is_known =
                         request.get_header_value("Api-Key") == "k: 1" &&
                         request.get_header_value("Content-Type") == "application/json";
                     if (signal == std::string("traces") && ++asked_ == 1) {
                       response.status = 503;
                       response.set_header("Retry-After", "0");
                       return;
                     }
                     response.set_content("{}", "application/json");
                     if (is_known) bodies_[signal] += request.body;
                   });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
  }
  ~Collector() {
    server_.stop();
    thread_.join();
  }
  int port() const { return port_; }
  std::string bodies(const std::string& signal) {
    const std::lock_guard lock(mutex_);
    return bodies_[signal];
  }

private:
  httplib::Server server_;
  std::mutex mutex_;
  int asked_ = 0;
  std::map<std::string, std::string> bodies_;
  int port_ = 0;
  std::thread thread_;
};

} // namespace

BOOST_AUTO_TEST_CASE(spans_and_figures_reach_a_collector_before_the_end) {
  Collector collector;
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "headers") << "# of the collector\n\nApi-Key: k: 1\n";
  const int port = tests::free_port();
  const ConfigFile file(
      "serve: { listen: '127.0.0.1:" + std::to_string(port) +
      "' }\ntelemetry: { otlp: { endpoint: 'http://127.0.0.1:" + std::to_string(collector.port()) +
      "/otlp', interval: 1h, headers: '" + (folder.path() / "headers").string() + "' } }\n");
  const Finished finished = file.serve([&](pid_t server) {
    httplib::Client client("127.0.0.1", port);
    client.set_read_timeout(std::chrono::minutes(2));
    client.Post("/v1/completions", R"({"prompt":"Once","max_tokens":2})", "application/json");
    ::kill(server, SIGTERM);
  });
  BOOST_TEST(finished.status == 0, finished.err);
  BOOST_TEST(collector.bodies("traces").find("\"text_completion talaria-tiny\"") !=
             std::string::npos);
  BOOST_TEST(collector.bodies("metrics").find("\"vllm.generation_tokens\"") != std::string::npos);

  const auto complaint = [](const std::string& otlp) {
    return ConfigFile("telemetry: { otlp: { " + otlp + " } }\n").serve().err;
  };
  BOOST_TEST(complaint("endpoint: 'http://collector.example:4318'").find("without TLS") !=
             std::string::npos);
  BOOST_TEST(complaint("endpoint: 'collector.example'").find("a URL like") != std::string::npos);
  BOOST_TEST(complaint("endpoint: 'http://127.0.0.1:1', headers: /nowhere/h").find("/nowhere/h") !=
             std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
