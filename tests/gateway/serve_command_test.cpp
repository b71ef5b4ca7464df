// `talaria serve` as a process.
#include <httplib.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
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
  Finished serve(std::function<void(pid_t)> once_it_listens = nullptr) const {
    return run_program({TALARIA_BIN "/talaria", "serve", path_.string()}, {},
                       std::move(once_it_listens));
  }

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

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
