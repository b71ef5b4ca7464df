// A proxy in front of a world that changes under it: enclaves that start again, wires that break in
// the middle of anything, impostors, images that are not allowed, evidence that does not come. Two
// things hold whatever happens: nobody without a verdict gets a byte of a body, and no enclave gets
// one twice. TALARIA_INTERRUPTIONS and TALARIA_SEED set how many and which.
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <random>

#include "tests/connect/flaky_wire.hpp"
#include "tests/connect/raw_tls.hpp"
#include "tests/connect/running_proxy.hpp"
#include "tests/support/eventually.hpp"

using namespace talaria;
using namespace talaria::tests;
using gateway::HttpResponse;

namespace {

unsigned long setting(const char* name, unsigned long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

ToyEnclave::Options with(ToyEnclave::Evidence evidence) {
  ToyEnclave::Options options;
  options.evidence = std::move(evidence);
  return options;
}

ToyEnclave::Options of_image(u8 image) {
  ToyEnclave::Options options;
  options.image = image;
  return options;
}

constexpr u64 kNothing = 8; // of the events of World::change()

/// All who may answer at the address of the enclave.
class World {
public:
  explicit World(FlakyWire& wire) : wire_(wire) {
    start();
    impostors_.push_back(std::make_unique<ToyEnclave>(of_image(0x66)));
    impostors_.push_back(std::make_unique<ToyEnclave>(
        with([this](const std::string& body, HttpResponse& response) { relay(body, response); })));
    impostors_.push_back(
        std::make_unique<ToyEnclave>(with([this](const std::string&, HttpResponse& response) {
          response.set_content(captured_, "application/json");
        })));
    impostors_.push_back(
        std::make_unique<ToyEnclave>(with([](const std::string&, HttpResponse& response) {
          response.status = 307;
          response.set_header("Location", "/echo");
        })));
    impostors_.push_back(
        std::make_unique<ToyEnclave>(with([](const std::string&, HttpResponse&) { stall(); })));
    attest::Nonce nonce{};
    nonce.fill(1);
    captured_ = RawTls(victim_.port())
                    .post(std::string(attest::kEvidencePath), attest::nonce_request(nonce))
                    .body;
  }

  ToyEnclave& genuine() { return *genuine_; }

  /// Something happens, or (kNothing and above) nothing does. Returns what.
  u64 change(std::mt19937_64& random) {
    const u64 event = random() % 10;
    calm();
    if (event == 0) {
      restart();
    } else if (event == 1) {
      wire_.cut();
    } else if (event == 2) { // in the middle of a handshake, of evidence, of a request, of nothing
      wire_.cut_after(1 + static_cast<long>(random() % 20'000));
    } else if (event == 3) { // nobody there
      wire_.lead_to(0);
      wire_.cut();
    } else if (event <= 6) {
      wire_.lead_to(impostors_[random() % impostors_.size()]->port());
      wire_.cut();
    }
    cuts_ = event == kNothing - 1; // while a request is on its way
    return event;
  }
  /// All is as it should be, for new connections.
  void calm() {
    cuts_ = false;
    wire_.cut_after(0);
    wire_.lead_to(genuine_->port());
  }
  std::size_t received() const { return received_before_ + genuine_->requests(); }
  std::size_t stolen() const {
    std::size_t bytes = victim_.requests();
    for (const auto& each : impostors_) bytes += each->body_bytes() + each->requests();
    return bytes;
  }

private:
  /// Other connections, another instance.
  void restart() {
    wire_.cut();
    received_before_ += genuine_->requests();
    genuine_.reset();
    start();
    wire_.lead_to(genuine_->port());
  }
  void start() {
    genuine_ = std::make_unique<ToyEnclave>();
    genuine_->on_body = [this](const std::string&) {
      if (cuts_) wire_.cut();
    };
  }
  /// Until whoever asked has given up.
  static void stall() {
    gateway::Exchange& exchange = gateway::current_exchange();
    while (!exchange.connection->peer_left())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void relay(const std::string& body, HttpResponse& response) {
    RawTls onwards(victim_.port());
    response.set_content(onwards.post(std::string(attest::kEvidencePath), body).body,
                         "application/json");
  }

  FlakyWire& wire_;
  std::atomic<bool> cuts_{false};
  std::unique_ptr<ToyEnclave> genuine_;
  ToyEnclave victim_; ///< genuine as well; whose evidence impostors show
  std::string captured_;
  std::size_t received_before_ = 0;
  std::vector<std::unique_ptr<ToyEnclave>> impostors_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(interruptions)

BOOST_AUTO_TEST_CASE(nobody_unverified_gets_a_byte_and_nobody_gets_one_twice) {
  const unsigned long count = setting("TALARIA_INTERRUPTIONS", 200);
  const unsigned long seed = setting("TALARIA_SEED", 20261130);
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  FlakyWire wire;
  World world(wire);
  connect::ProxyOptions options =
      impatient(connect::parse_server("127.0.0.1:" + std::to_string(wire.port())));
  options.pool.verify_within = std::chrono::milliseconds(250);
  RunningProxy proxy(options);
  std::size_t answered = 0;
  unsigned long requests = 0;
  /// One more request; whether it got its whole answer.
  const auto ask = [&] {
    const bool streams = random() % 4 == 0;
    const std::string body =
        "\"" + std::to_string(requests++) + std::string(random() % 10'000, 'x') + "\"";
    const std::string answer = proxy.post(streams ? "/stream" : "/echo", body);
    const bool is_whole =
        is_ok(answer) &&
        (streams ? answer.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n") : body_of(answer) == body);
    BOOST_TEST_REQUIRE((is_ok(answer) || answer.starts_with("HTTP/1.1 502 ")), answer);
    BOOST_TEST_REQUIRE((is_whole || streams || !is_ok(answer)));
    BOOST_TEST_REQUIRE(world.genuine().count_of(body) <= 1, "request " << requests << " twice");
    BOOST_TEST_REQUIRE((!is_whole || world.genuine().count_of(body) == 1));
    answered += is_whole;
    return is_whole;
  };
  for (unsigned long i = 0; i < count; ++i) {
    const u64 event = world.change(random);
    const bool is_answered = ask();
    // Where nothing is wrong any more, nothing stays wrong.
    if (event >= kNothing) BOOST_TEST_REQUIRE((is_answered || eventually(ask)));
    BOOST_TEST_REQUIRE(world.stolen() == 0, "iteration " << i << ", event " << event);
  }
  BOOST_TEST(answered > count / 10);
  BOOST_TEST(answered <= world.received());
}

BOOST_AUTO_TEST_SUITE_END()
