// The narrow client against a server of this process: names, authorities, silence, stopping.
#include <openssl/ssl.h>

#include <boost/test/unit_test.hpp>

#include <future>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include "attest/fetch/https_client.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "tests/support/temporary_folder.hpp"
#include "transport/certificates.hpp"

using namespace talaria;

namespace {

/// Answers one connection on a port of its own: with `reply` over TLS, or, if that is empty, with
/// silence from the first byte on.
class OneServer {
public:
  explicit OneServer(std::string reply)
      : reply_(std::move(reply)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    transport::create_certificates(folder_.path(), {"localhost"}, {.authority = folder_.path()});
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    BOOST_TEST_REQUIRE(::bind(listener_.get(), raw, size) == 0);
    BOOST_TEST_REQUIRE(::listen(listener_.get(), 1) == 0);
    BOOST_TEST_REQUIRE(::getsockname(listener_.get(), raw, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneServer() {
    end_.set_value();
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  attest::HttpsOptions options() const {
    attest::HttpsOptions options;
    options.port = std::to_string(port_);
    options.authorities = folder_.path() / "ca.pem";
    options.whole = std::chrono::minutes(1);
    return options;
  }
  std::future<void> accepted() { return accepted_.get_future(); }
  std::string request; ///< read after the answer

private:
  void serve() {
    const FileDescriptor client(::accept(listener_.get(), nullptr, nullptr));
    if (!client) return;
    accepted_.set_value();
    if (reply_.empty()) return end_.get_future().wait();
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_file(context, (folder_.path() / "localhost.pem").c_str(),
                                 SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, (folder_.path() / "localhost.key").c_str(),
                                SSL_FILETYPE_PEM);
    SSL* tls = SSL_new(context);
    SSL_set_fd(tls, client.get());
    if (SSL_accept(tls) == 1) {
      char bytes[4096];
      const int got = SSL_read(tls, bytes, sizeof bytes);
      if (got > 0) request.assign(bytes, static_cast<std::size_t>(got));
      SSL_write(tls, reply_.data(), static_cast<int>(reply_.size()));
      SSL_shutdown(tls);
    }
    SSL_free(tls);
    SSL_CTX_free(context);
  }

  const std::string reply_;
  tests::TemporaryFolder folder_;
  const FileDescriptor listener_;
  int port_ = 0;
  std::promise<void> accepted_;
  std::promise<void> end_;
  std::thread thread_;
};

std::string failure(attest::HttpsClient& client, const std::string& host) {
  try {
    client.get(host, "/");
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

constexpr const char* kReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

} // namespace

BOOST_AUTO_TEST_SUITE(https_client)

BOOST_AUTO_TEST_CASE(a_request_says_no_more_than_it_must) {
  OneServer server(kReply);
  const auto reply = attest::tls_https_client(server.options())->get("localhost", "/a?b=1");
  BOOST_TEST(reply.status == 200);
  BOOST_TEST(reply.body == "hi");
  BOOST_TEST(server.request == "GET /a?b=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
                               "Connection: close\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(authorities_and_names_are_checked) {
  {
    OneServer server(kReply);
    attest::HttpsOptions options = server.options();
    options.authorities.clear(); // the system's do not know this one
    BOOST_TEST(failure(*attest::tls_https_client(options), "localhost") ==
               "https://localhost: no TLS, or not with a certificate of its name");
  }
  OneServer server(kReply);
  BOOST_TEST(failure(*attest::tls_https_client(server.options()), "127.0.0.1") ==
             "https://127.0.0.1: no TLS, or not with a certificate of its name");
  attest::HttpsOptions options = server.options();
  options.authorities = "/nowhere.pem";
  BOOST_CHECK_THROW(attest::tls_https_client(options), Error);
}

BOOST_AUTO_TEST_CASE(a_server_that_says_nothing_has_the_time_it_was_given) {
  OneServer server("");
  attest::HttpsOptions options = server.options();
  options.whole = std::chrono::milliseconds(200);
  BOOST_TEST(failure(*attest::tls_https_client(options), "localhost") ==
             "https://localhost: no answer in time");
}

BOOST_AUTO_TEST_CASE(whoever_waits_for_one_can_be_stopped) {
  OneServer server("");
  const auto client = attest::tls_https_client(server.options());
  auto waiting = std::async(std::launch::async, [&] { return failure(*client, "localhost"); });
  server.accepted().wait();
  client->stop();
  BOOST_TEST(waiting.get() == "https://localhost: stopped");
  BOOST_TEST(failure(*client, "localhost") == "https://localhost: stopped");
}

BOOST_AUTO_TEST_SUITE_END()
