// Whoever is not an enclave of our authority is refused, logged once, and disturbs nobody.

#include <boost/test/unit_test.hpp>

#include <openssl/ssl.h>
#include <sys/socket.h>

#include "tests/transport/raw_worker.hpp"
#include "transport/x509.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

/// A client (or server) on bare OpenSSL that checks nothing and may show any certificate.
class RawTls {
public:
  struct Dress {
    std::filesystem::path cert; ///< empty: shows none
    std::filesystem::path key;
    int max_version = TLS1_3_VERSION;
  };
  explicit RawTls(const Dress& dress, bool server = false)
      : context_(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()), SSL_CTX_free) {
    SSL_CTX_set_max_proto_version(context_.get(), dress.max_version);
    if (dress.cert.empty()) return;
    BOOST_REQUIRE(SSL_CTX_use_certificate_chain_file(context_.get(), dress.cert.c_str()) == 1);
    BOOST_REQUIRE(
        SSL_CTX_use_PrivateKey_file(context_.get(), dress.key.c_str(), SSL_FILETYPE_PEM) == 1);
  }
  /// Whether a byte of application data could be exchanged: in TLS 1.3 a client may only learn at
  /// its first read that it is refused.
  bool talks_to(const Address& address) const {
    const Socket socket = connect_to(address, SteadyClock::now() + kPatience);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(ssl.get(), socket.get());
    if (SSL_connect(ssl.get()) != 1) return false;
    Hello hello;
    hello.identity = identity_of("stranger");
    const OutFrame frame = encode(hello);
    SSL_write(ssl.get(), frame.start.data(), static_cast<int>(frame.start.size()));
    char byte = 0;
    return SSL_read(ssl.get(), &byte, 1) == 1;
  }
  /// Shows its certificate to one client.
  void serve(const Socket& connection) const {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(ssl.get(), connection.get());
    char byte = 0;
    if (SSL_accept(ssl.get()) == 1) SSL_read(ssl.get(), &byte, 1);
  }

private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
};

/// Certificates that no honest party would make.
struct Forgery {
  TemporaryFolder folder;
  RawTls::Dress make(const std::string& name, CertificateUse use, int starts_h, int ends_h,
                     bool own_authority = false) {
    const auto now = std::chrono::system_clock::now();
    const Credential ca =
        own_authority
            ? Credential::create(
                  {"other", CertificateUse::authority, now, now + std::chrono::hours(1)}, nullptr)
            : Credential::read(certificates().files("ca").cert, certificates().files("ca").key);
    const Credential made = Credential::create(
        {name, use, now + std::chrono::hours(starts_h), now + std::chrono::hours(ends_h)}, &ca);
    std::filesystem::remove(folder.path() / "x.key"); // of an earlier certificate
    const auto write = [this](const char* file, std::string_view text) {
      FILE* out = std::fopen((folder.path() / file).c_str(), "w");
      std::fwrite(text.data(), 1, text.size(), out);
      std::fclose(out);
    };
    write("x.pem", made.certificate_pem());
    const auto key = made.key_pem();
    write("x.key", {key.data(), key.size()});
    std::filesystem::permissions(folder.path() / "x.key", std::filesystem::perms::owner_read);
    return {folder.path() / "x.pem", folder.path() / "x.key"};
  }
};

RawTls::Dress enclave_dress() {
  return {certificates().files("enclave").cert, certificates().files("enclave").key};
}

/// A stranger at the door of a worker that serves an honest link all the while.
void check_refused(const RawTls::Dress& dress, const std::string& reason) {
  EchoWorker worker;
  Inbox inbox;
  const auto honest = link_to(worker.address(), inbox);
  BOOST_TEST(!RawTls(dress).talks_to(worker.address()));
  BOOST_TEST(worker.log.wait("refused 127.0.0.1:"), worker.log.all());
  BOOST_TEST(worker.log.count(reason) == 1u, worker.log.all());
  BOOST_TEST(worker.log.count("refused") == 1u, worker.log.all());
  BOOST_TEST_REQUIRE(honest->send(1, masked(3, 96, 1)));
  inbox.take(1);
}

/// An enclave meets a server in this dress.
Error error_with_server(const RawTls::Dress& dress) {
  const Socket listener = listen_on({"127.0.0.1", 0});
  std::thread server([&] {
    pollfd waiting{listener.get(), POLLIN, 0};
    ::poll(&waiting, 1, 60'000);
    bool ignored = false;
    const auto accepted = accept_from(listener, ignored);
    if (accepted) RawTls(dress, true).serve(accepted->socket);
  });
  Inbox inbox;
  const Error error = error_of([&] { link_to({"127.0.0.1", local_port(listener)}, inbox); });
  server.join();
  return error;
}

void send_raw(const Socket& socket, const std::string& text) {
  BOOST_REQUIRE(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0);
}

Socket knock(const EchoWorker& worker) {
  return connect_to(worker.address(), SteadyClock::now() + kPatience);
}

} // namespace

BOOST_AUTO_TEST_SUITE(strangers)

BOOST_AUTO_TEST_CASE(the_raw_client_gets_through_with_the_right_certificate) {
  EchoWorker worker; // or else the refusals below would prove nothing
  BOOST_TEST(RawTls(enclave_dress()).talks_to(worker.address()));
}

BOOST_AUTO_TEST_CASE(no_certificate) {
  check_refused({}, "peer did not return a certificate");
}

BOOST_AUTO_TEST_CASE(a_certificate_of_another_authority) {
  Forgery forgery;
  check_refused(forgery.make("talaria-enclave", CertificateUse::client, -1, 1, true),
                "its certificate is refused");
}

BOOST_AUTO_TEST_CASE(an_expired_certificate) {
  Forgery forgery;
  check_refused(forgery.make("talaria-enclave", CertificateUse::client, -2, -1),
                "certificate has expired");
}

BOOST_AUTO_TEST_CASE(another_name_of_the_same_authority) {
  Forgery forgery;
  check_refused(forgery.make("somebody-else", CertificateUse::client, -1, 1), "ostname mismatch");
}

BOOST_AUTO_TEST_CASE(a_workers_certificate_at_the_enclaves_end) {
  Forgery forgery;
  check_refused(forgery.make("talaria-enclave", CertificateUse::server, -1, 1),
                "unsuitable certificate purpose");
}

BOOST_AUTO_TEST_CASE(tls_1_2) {
  RawTls::Dress dress = enclave_dress();
  dress.max_version = TLS1_2_VERSION;
  check_refused(dress, "unsupported protocol");
}

BOOST_AUTO_TEST_CASE(servers_in_the_wrong_dress_are_no_workers) {
  Forgery forgery;
  const Error authority =
      error_with_server(forgery.make("127.0.0.1", CertificateUse::server, -1, 1, true));
  BOOST_TEST((authority.code() == Errc::no_worker));
  BOOST_TEST(contains(authority.what(), "its certificate is refused"), authority.what());
  const Error expired =
      error_with_server(forgery.make("127.0.0.1", CertificateUse::server, -2, -1));
  BOOST_TEST(contains(expired.what(), "expired"), expired.what());
  const Error name = error_with_server(forgery.make("127.0.0.2", CertificateUse::server, -1, 1));
  BOOST_TEST(contains(name.what(), "IP address mismatch"), name.what());
  const Error role = error_with_server(forgery.make("127.0.0.1", CertificateUse::client, -1, 1));
  BOOST_TEST(contains(role.what(), "purpose"), role.what());
  RawTls::Dress old = forgery.make("127.0.0.1", CertificateUse::server, -1, 1);
  old.max_version = TLS1_2_VERSION;
  BOOST_TEST((error_with_server(old).code() == Errc::no_worker));
}

BOOST_AUTO_TEST_CASE(an_enclave_that_is_refused_is_told_why) {
  Forgery forgery;
  const auto dress = forgery.make("somebody-else", CertificateUse::client, -1, 1);
  EchoWorker worker;
  const TlsContext tls({certificates().files("ca").cert, dress.cert, dress.key}, End::enclave);
  Inbox inbox;
  const Error error = error_of([&] {
    WorkerLink link(tls, worker.address(), "127.0.0.1", identity_of("enclave"), patient_link(),
                    inbox.events());
  });
  BOOST_TEST((error.code() == Errc::no_worker));
  BOOST_TEST(contains(error.what(), "the other end refuses"), error.what());
}

BOOST_AUTO_TEST_CASE(names_that_would_match_anybody_are_refused) {
  EchoWorker worker;
  Inbox inbox;
  for (const char* name : {"", ".example.org", "*.example.org"}) {
    const Error error = error_of([&] {
      WorkerLink link(enclave_tls(), worker.address(), name, identity_of("enclave"), patient_link(),
                      inbox.events());
    });
    BOOST_TEST((error.code() == Errc::config), name);
    ServerOptions options;
    options.enclave_name = name;
    BOOST_TEST((error_of([&] { EchoWorker anybody(options); }).code() == Errc::config), name);
  }
}

BOOST_AUTO_TEST_CASE(plain_text_and_garbage) {
  EchoWorker worker;
  Inbox inbox;
  const auto honest = link_to(worker.address(), inbox);
  const auto random = random_bytes(3000, 8);
  const std::string noise(random->begin(), random->end());
  for (const std::string& text : {std::string("GET /secret-path HTTP/1.1\r\n\r\n"), noise}) {
    const Socket socket = knock(worker);
    send_raw(socket, text);
    BOOST_TEST(worker.log.wait("refused 127.0.0.1:"), worker.log.all());
  }
  BOOST_TEST(worker.log.wait("refused", 2), worker.log.all());
  BOOST_TEST(worker.log.count("refused") == 2u, worker.log.all());
  BOOST_TEST(worker.log.count("secret-path") == 0u, worker.log.all());
  BOOST_TEST_REQUIRE(honest->send(1, masked(3, 96, 1)));
  inbox.take(1);
}

BOOST_AUTO_TEST_CASE(half_a_handshake_is_dropped_at_its_time_limit) {
  ServerOptions options = patient_server();
  options.handshake_timeout = Milliseconds(200);
  EchoWorker worker(options);
  const Socket silent = knock(worker);
  const Socket begun = knock(worker);
  send_raw(begun, std::string("\x16\x03\x01\x02\x00\x01\x00", 7)); // the first bytes of a hello
  BOOST_TEST(worker.log.wait("no answer in time", 2), worker.log.all());
  char byte = 0;
  BOOST_TEST(::recv(silent.get(), &byte, 1, 0) == 0);
}

BOOST_AUTO_TEST_CASE(half_open_connections_beyond_the_limit_push_out_the_oldest_and_nobody_else) {
  ServerOptions options = patient_server();
  options.max_half_open = 4;
  EchoWorker worker(options);
  Inbox inbox;
  const auto honest = link_to(worker.address(), inbox);
  std::vector<Socket> held;
  for (int i = 0; i < 4; ++i) held.push_back(knock(worker));
  const auto newcomer = link_to(worker.address(), inbox); // finds a place all the same
  for (int i = 0; i < 20; ++i) held.push_back(knock(worker));
  BOOST_TEST(worker.log.wait("too many unfinished handshakes", 20), worker.log.all());
  char byte = 0;
  BOOST_TEST(::recv(held.front().get(), &byte, 1, 0) == 0);
  BOOST_TEST(::recv(held.back().get(), &byte, 1, MSG_DONTWAIT) == -1,
             "the youngest was pushed out");
  u64 id = 0;
  for (WorkerLink* link : {honest.get(), newcomer.get()}) {
    BOOST_TEST_REQUIRE(link->send(++id, masked(3, 96, 1)));
    inbox.take(id);
  }
}

BOOST_AUTO_TEST_SUITE_END()
