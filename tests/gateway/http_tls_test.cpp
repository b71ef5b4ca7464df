// TLS 1.3 ends in the server itself.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <fstream>
#include <string>
#include <sys/stat.h>

#include "core/error.hpp"
#include "tests/gateway/raw_client.hpp"
#include "tests/gateway/toy_server.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temporary_folder.hpp"
#include "transport/server_tls.hpp"
#include "transport/x509.hpp"

namespace talaria::tests {

using transport::ServerTls;

BOOST_AUTO_TEST_SUITE(http_tls)

namespace {

/// A certificate and its key as files.
class CertificateFiles {
public:
  CertificateFiles() { renew(); }
  /// Another pair under the same names.
  void renew() const {
    using namespace std::chrono_literals;
    const auto now = std::chrono::system_clock::now();
    const auto made = transport::Credential::create(
        {"127.0.0.1", transport::CertificateUse::server, now - 1h, now + 24h}, nullptr);
    const auto pem = made.key_pem();
    write("new.key", {pem.data(), pem.size()});
    write("new.pem", made.certificate_pem());
    std::filesystem::rename(folder_.path() / "new.key", key());
    std::filesystem::rename(folder_.path() / "new.pem", cert());
  }
  std::filesystem::path cert() const { return folder_.path() / "api.pem"; }
  std::filesystem::path key() const { return folder_.path() / "api.key"; }
  std::shared_ptr<ServerTls> tls() const { return std::make_shared<ServerTls>(cert(), key()); }

private:
  void write(const char* name, const std::string& text) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
    ::chmod((folder_.path() / name).c_str(), 0600);
  }
  TemporaryFolder folder_;
};

/// A client of OpenSSL that trusts anybody.
class TlsClient {
public:
  explicit TlsClient(u16 port, int max_version = TLS1_3_VERSION,
                     const std::string& alpn = "\x08http/1.1")
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())), ssl_(nullptr) {
    SSL_CTX_set_max_proto_version(context_, max_version);
    SSL_CTX_set_alpn_protos(context_, reinterpret_cast<const unsigned char*>(alpn.data()),
                            static_cast<unsigned>(alpn.size()));
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_.socket());
    connected_ = SSL_connect(ssl_) == 1;
    ERR_clear_error();
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  SSL* ssl() const { return ssl_; }
  RawClient& socket() { return socket_; }
  void send(const std::string& bytes) const {
    BOOST_REQUIRE(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) ==
                  static_cast<int>(bytes.size()));
  }
  std::string rest() const {
    std::string out;
    char buffer[4096];
    for (int n = 0; (n = SSL_read(ssl_, buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<std::size_t>(n));
    ended_properly_ = SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN;
    return out;
  }
  /// The end was the server's word, not a cut.
  bool ended_properly() const { return ended_properly_; }

private:
  RawClient socket_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_ = false;
  mutable bool ended_properly_ = false;
};

std::string post(const std::string& path, const std::string& body,
                 const std::string& connection = "close") {
  return "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: " + connection +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string fingerprint(const TlsClient& client) {
  X509* shown = SSL_get1_peer_certificate(client.ssl());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_digest(shown, EVP_sha256(), digest, &size);
  X509_free(shown);
  return {reinterpret_cast<char*>(digest), size};
}

bool names(const Error& error, const std::filesystem::path& file) {
  return error.code() == Errc::config &&
         std::string(error.what()).find(file.string()) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(answers_large_and_small_come_whole) {
  const CertificateFiles files;
  ToyServer server({}, 4, files.tls());
  for (const std::size_t size : {std::size_t{2}, std::size_t{900'000}}) {
    const TlsClient client(server.port());
    BOOST_TEST_REQUIRE(client.connected());
    const std::string body(size, 'a');
    client.send(post("/echo", body));
    const std::string answer = client.rest();
    BOOST_TEST(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    BOOST_TEST(answer.ends_with("\r\n\r\n" + body));
    BOOST_TEST(client.ended_properly());
  }
}

BOOST_AUTO_TEST_CASE(it_is_tls_1_3_with_http_1_1_and_nothing_that_outlives_a_connection) {
  const CertificateFiles files;
  ToyServer server({}, 4, files.tls());
  BOOST_TEST(!TlsClient(server.port(), TLS1_2_VERSION).connected());
  BOOST_TEST(!TlsClient(server.port(), TLS1_3_VERSION, "\x02h2").connected());
  const TlsClient client(server.port(), TLS1_3_VERSION, "\x02h2\x08http/1.1");
  BOOST_TEST_REQUIRE(client.connected());
  BOOST_TEST(SSL_version(client.ssl()) == TLS1_3_VERSION);
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(client.ssl(), &chosen, &size);
  BOOST_TEST(std::string(reinterpret_cast<const char*>(chosen), size) == "http/1.1");
  client.send(post("/echo", "{}"));
  client.rest();
  BOOST_TEST(SSL_SESSION_is_resumable(SSL_get0_session(client.ssl())) == 0);
}

BOOST_AUTO_TEST_CASE(a_stream_comes_in_parts_and_a_client_that_leaves_is_noticed) {
  const CertificateFiles files;
  ToyServer server({}, 4, files.tls());
  {
    TlsClient leaves(server.port());
    leaves.send(post("/stream", "{}"));
    char byte;
    BOOST_TEST(SSL_read(leaves.ssl(), &byte, 1) == 1);
    leaves.socket().close();
    server.await_left(1);
  }
  const TlsClient stays(server.port());
  stays.send(post("/stream", "{}"));
  server.release();
  const std::string answer = stays.rest();
  BOOST_TEST(answer.find("data: x\n\n") != std::string::npos);
  BOOST_TEST(answer.ends_with("0\r\n\r\n"));
}

BOOST_AUTO_TEST_CASE(a_client_that_ends_its_sending_gets_its_answer) {
  const CertificateFiles files;
  ToyServer server({}, 4, files.tls());
  TlsClient client(server.port());
  client.send(post("/echo", "{}", "keep-alive"));
  SSL_shutdown(client.ssl());
  client.socket().end_sending();
  BOOST_TEST(client.rest().starts_with("HTTP/1.1 200 OK\r\n"));
}

BOOST_AUTO_TEST_CASE(handshakes_that_stall_hold_nothing_that_others_need) {
  const CertificateFiles files;
  ToyServer server({}, 1, files.tls());
  std::vector<std::unique_ptr<RawClient>> stalled;
  for (int i = 0; i < 100; ++i) {
    stalled.push_back(std::make_unique<RawClient>(server.port()));
    stalled.back()->send("\x16\x03\x01");
  }
  const TlsClient client(server.port());
  client.send(post("/echo", "{}"));
  BOOST_TEST(client.rest().starts_with("HTTP/1.1 200 OK\r\n"));
}

BOOST_AUTO_TEST_CASE(a_handshake_has_a_deadline_and_plain_http_gets_nothing) {
  const CertificateFiles files;
  gateway::HttpLimits limits;
  limits.head_within = std::chrono::milliseconds(100);
  ToyServer server(limits, 1, files.tls());
  const RawClient silent(server.port());
  BOOST_TEST(silent.rest().empty());
  const RawClient plain(server.port());
  plain.send("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  BOOST_TEST(plain.rest().find("HTTP/") == std::string::npos);
}

// What binds a connection to an attestation later.
BOOST_AUTO_TEST_CASE(both_ends_export_the_same_keys) {
  const CertificateFiles files;
  ToyServer server({}, 4, files.tls());
  const TlsClient client(server.port());
  client.send(post("/exporter", "{}"));
  const std::string answer = client.rest();
  unsigned char key[32];
  BOOST_REQUIRE(SSL_export_keying_material(client.ssl(), key, sizeof key, "EXPORTER-test", 13,
                                           reinterpret_cast<const unsigned char*>("c"), 1, 1) == 1);
  BOOST_TEST(answer.ends_with("\r\n\r\n" + std::string(reinterpret_cast<char*>(key), sizeof key)));
}

BOOST_AUTO_TEST_CASE(a_renewed_certificate_is_used_and_a_broken_one_is_not) {
  const CertificateFiles files;
  const auto tls = files.tls();
  ToyServer server({}, 4, tls);
  const std::string first = fingerprint(TlsClient(server.port()));
  BOOST_TEST(fingerprint(TlsClient(server.port())) == first);
  std::ofstream(files.cert()) << "not PEM";
  BOOST_TEST(eventually([&] { // somebody has looked at it: the server, or this
    try {
      return !tls->reload_if_changed();
    } catch (const Error& error) {
      return names(error, files.cert());
    }
  }));
  BOOST_TEST(fingerprint(TlsClient(server.port())) == first);
  files.renew();
  BOOST_TEST(eventually([&] { return fingerprint(TlsClient(server.port())) != first; }));
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_used_are_named) {
  const CertificateFiles files;
  const CertificateFiles other;
  const auto complains_about = [](const std::filesystem::path& cert,
                                  const std::filesystem::path& key,
                                  const std::filesystem::path& named) {
    BOOST_CHECK_EXCEPTION(ServerTls(cert, key), Error,
                          [&](const Error& error) { return names(error, named); });
  };
  complains_about("/nowhere.pem", files.key(), "/nowhere.pem");
  complains_about(files.cert(), "/nowhere.key", "/nowhere.key");
  complains_about(files.cert(), other.key(), other.key());
  complains_about(files.key(), files.key(), files.key());
  ::chmod(files.key().c_str(), 0644);
  complains_about(files.cert(), files.key(), files.key());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
