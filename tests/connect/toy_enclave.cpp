#include "tests/connect/toy_enclave.hpp"

#include <algorithm>
#include <fstream>

#include "attest/endpoint/simulated_source.hpp"
#include "attest/simulated/platform_folder.hpp"
#include "gateway/attestation_routes.hpp"
#include "gateway/connection.hpp"
#include "telemetry/trace_id.hpp"
#include "transport/x509.hpp"

namespace talaria::tests {

using namespace std::chrono_literals;
using gateway::HttpResponse;

namespace {

std::array<u8, 48> measurement_of(u8 image) {
  std::array<u8, 48> measurement{};
  measurement.fill(image);
  return measurement;
}

void write_private(const std::filesystem::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary).write(text.data(), static_cast<long>(text.size()));
  std::filesystem::permissions(file, std::filesystem::perms(0600));
}

} // namespace

Site::Site() : platform(folder.path() / "platform") {
  const auto now = std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now());
  attest::simulated::create_platform(platform, now - 1h);
  for (const char* name : {"api", "other"}) {
    const auto made = transport::Credential::create(
        {"127.0.0.1", transport::CertificateUse::server, now - 1h, now + 24h}, nullptr);
    const auto key = made.key_pem();
    write_private(certificate(name), made.certificate_pem());
    write_private(folder.path() / (std::string(name) + ".key"), {key.data(), key.size()});
  }
}

std::filesystem::path Site::certificate(const std::string& name) const {
  return folder.path() / (name + ".pem");
}

std::shared_ptr<transport::ServerTls> Site::tls(const std::string& name) const {
  if (name.empty()) return nullptr;
  return std::make_shared<transport::ServerTls>(certificate(name), folder.path() / (name + ".key"));
}

const Site& site() {
  static const Site made;
  return made;
}

std::shared_ptr<attest::SimulatedSource> source(u8 image, attest::EvidenceKind kind) {
  attest::SimulatedGuest guest;
  guest.kind = kind;
  guest.measurement = measurement_of(image);
  return std::make_shared<attest::SimulatedSource>(site().platform, guest);
}

attest::Statement toy_statement() {
  attest::Statement statement;
  statement.service = "127.0.0.1";
  statement.software = "toy";
  statement.model = "toy";
  statement.weights = "int8";
  statement.scheme = "lattice";
  statement.parameters = "S48";
  statement.integrity = "freivalds";
  statement.padding = "none";
  return statement;
}

attest::Policy toy_policy(u8 image) {
  attest::Policy policy;
  policy.name = "toy";
  policy.simulated = true;
  policy.simulated_root = site().platform / "roots.pem";
  policy.service.names = {"127.0.0.1"};
  policy.service.ca = site().certificate("api");
  attest::Image accepted;
  accepted.name = "toy image";
  accepted.snp.emplace().measurement = {measurement_of(image)};
  accepted.tdx.emplace().mr_td = {measurement_of(image)};
  policy.images = {accepted};
  return policy;
}

std::shared_ptr<const connect::Trust> toy_trust(attest::Policy policy, std::chrono::hours later) {
  connect::TrustOptions options;
  options.allow_simulated = true;
  options.now = [later] {
    return std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now() + later);
  };
  return std::make_shared<const connect::Trust>(std::move(policy), std::move(options));
}

ToyEnclave::ToyEnclave() : ToyEnclave(Options{}) {}

ToyEnclave::ToyEnclave(Options options)
    : attester_(source(options.image, options.kind), toy_statement()), router_(8'000'000),
      httpd_({}, 16, router_, nullptr) {
  route(options);
  port_ = httpd_.bind("127.0.0.1", options.port, site().tls(options.certificate));
  thread_ = std::thread([this] { httpd_.serve(); });
}

ToyEnclave::~ToyEnclave() {
  httpd_.stop();
  thread_.join();
}

void ToyEnclave::route(const Options& options) {
  const std::string path(attest::kEvidencePath);
  if (options.evidence)
    router_.post(path, options.evidence);
  else
    gateway::add_attestation(router_, attester_);
  if (options.required)
    router_.guard([](const gateway::Exchange& exchange, HttpResponse&) {
      gateway::require_attested(exchange);
    });
  router_.post("/echo", [this](const std::string& body, HttpResponse& response) {
    take(body);
    response.set_content(body, "application/json");
    response.set_header("Set-Cookie", "a=b");
    response.set_header("Alt-Svc", "h3=\":443\"");
    response.set_header("Location", "https://elsewhere.example");
    response.set_header("x-ratelimit-reset-requests",
                        telemetry::to_hex(gateway::current_exchange().trace)); // to be seen
    response.set_header("x-ratelimit-limit-requests", "7");
  });
  router_.post("/stream", [this](const std::string& body, HttpResponse& response) {
    take(body);
    stream(response);
  });
  router_.post("/redirect", [this](const std::string& body, HttpResponse& response) {
    take(body);
    response.status = 307;
    response.set_header("Location", "http://elsewhere.example/echo");
  });
  router_.get("/page", [this](HttpResponse& response) {
    ++requests_;
    response.set_content(gateway::current_exchange().request.target, "text/plain");
  });
}

void ToyEnclave::take(const std::string& body) {
  ++requests_;
  body_bytes_ += body.size();
  {
    const std::lock_guard lock(mutex_);
    ++bodies_[body];
    authorization_ = gateway::current_exchange().request.field("Authorization");
  }
  if (on_body) on_body(body);
}

/// "data: 0", "data: 1"... one event at a time, the last one once it is released.
void ToyEnclave::stream(HttpResponse& response) {
  response.set_stream("text/event-stream", [this, n = 0](gateway::BodySink& sink) mutable {
    constexpr int kEvents = 3;
    gateway::Exchange& exchange = gateway::current_exchange();
    if (n == kEvents && released) {
      sink.done();
      return sink.write("data: [DONE]\n\n", 14);
    }
    if (n == kEvents) {
      std::this_thread::sleep_for(1ms);
      return !exchange.connection->peer_left();
    }
    const std::string event = "data: " + std::to_string(n++) + "\n\n";
    return sink.write(event.data(), event.size());
  });
}

connect::ServerAddress ToyEnclave::address() const {
  return connect::parse_server("https://127.0.0.1:" + std::to_string(port_));
}

std::size_t ToyEnclave::count_of(const std::string& body) const {
  const std::lock_guard lock(mutex_);
  const auto found = bodies_.find(body);
  return found == bodies_.end() ? 0 : found->second;
}

std::string ToyEnclave::last_authorization() const {
  const std::lock_guard lock(mutex_);
  return authorization_;
}

attest::BindingInput genuine_input(const std::string& body) {
  const auto* tls = gateway::current_exchange().connection->tls();
  attest::BindingInput input;
  input.nonce = *attest::parse_nonce_request(body);
  std::ranges::copy(tls->exporter(attest::kExporterLabel, {}, 32), input.channel.begin());
  input.key = tls->own_key();
  return input;
}

attest::EvidenceDocument document_for(const attest::BindingInput& given, u8 image) {
  attest::BindingInput input = given;
  attest::Statement statement = toy_statement();
  statement.tls_key = input.key;
  const std::string text = to_json(statement);
  attest::EvidenceDocument document;
  document.statement = attest::to_vector(attest::as_bytes(text));
  input.statement = sha256(document.statement);
  document.evidence = source(image)->evidence({attest::report_data(input), {}});
  return document;
}

} // namespace talaria::tests
