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
  ToyEnclave& impostor(std::size_t which) { return *impostors_[which % impostors_.size()]; }

  /// The genuine enclave starts again: other connections, another instance.
  void restart() {
    wire_.cut();
    received_before_ += genuine_->requests();
    genuine_.reset();
    start();
  }
  /// From now on, the wire breaks when a request has reached the genuine enclave, or does not.
  void cut_on_arrival(bool cuts) { cuts_ = cuts; }
  std::size_t received() const { return received_before_ + genuine_->requests(); }
  std::size_t stolen() const {
    std::size_t bytes = victim_.requests();
    for (const auto& each : impostors_) bytes += each->body_bytes() + each->requests();
    return bytes;
  }

private:
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
  for (unsigned long i = 0; i < count; ++i) {
    const u64 event = random() % 10;
    wire.cut_after(0);
    wire.lead_to(world.genuine().port());
    if (event == 0) {
      world.restart();
      wire.lead_to(world.genuine().port());
    } else if (event == 1) {
      wire.cut();
    } else if (event == 2) { // in the middle of a handshake, of evidence, of a request, of nothing
      wire.cut_after(1 + static_cast<long>(random() % 20'000));
    } else if (event == 3) { // nobody there
      wire.lead_to(0);
      wire.cut();
    } else if (event <= 6) {
      wire.lead_to(world.impostor(random()).port());
      wire.cut();
    } else if (event == 7) { // while a request is on its way
      world.cut_on_arrival(true);
    }
    const std::string body = "\"" + std::to_string(i) + std::string(random() % 10'000, 'x') + "\"";
    const std::string answer = proxy.post("/echo", body);
    world.cut_on_arrival(false);
    const bool is_whole = is_ok(answer) && body_of(answer) == body;
    const std::string& start = answer.substr(0, 12);
    BOOST_TEST_REQUIRE((is_whole || start == "HTTP/1.1 502"), "iteration " << i << ": " << start);
    if (is_whole) ++answered;
    BOOST_TEST_REQUIRE(world.genuine().count_of(body) <= 1, "iteration " << i << ": twice");
    BOOST_TEST_REQUIRE((!is_whole || world.genuine().count_of(body) == 1));
    BOOST_TEST_REQUIRE(world.stolen() == 0, "iteration " << i << ", event " << event);
  }
  BOOST_TEST(answered > count / 10);
  BOOST_TEST(answered <= world.received());
  wire.cut_after(0);
  wire.lead_to(world.genuine().port());
  BOOST_TEST(eventually([&] { return is_ok(proxy.post("/echo", "{}")); })); // nothing wedges it
}

BOOST_AUTO_TEST_SUITE_END()
