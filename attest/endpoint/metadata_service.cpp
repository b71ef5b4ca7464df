#include "attest/endpoint/metadata_service.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <chrono>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attest/evidence/certificate.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/fetch/https_client.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::attest {
namespace {

constexpr const char* kAddress = "169.254.169.254";
constexpr u16 kPort = 80;
constexpr int kSilenceSeconds = 10;
constexpr std::chrono::seconds kWhole{30}; // however slowly the answer comes
constexpr std::size_t kMostBytes = std::size_t{128} << 10;
constexpr int kOk = 200;

[[noreturn]] void fail_metadata(const std::string& what) {
  throw Error(Errc::io, "Azure's metadata service (169.254.169.254): " + what);
}

std::string exchange(const std::string& request) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  ::inet_pton(AF_INET, kAddress, &address.sin_addr);
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{kSilenceSeconds, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail_metadata("nobody answers; this is no machine of Azure, or its network is not up");
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    fail_metadata("the connection broke");
  std::string bytes;
  std::array<char, 16384> part{};
  const auto deadline = std::chrono::steady_clock::now() + kWhole;
  while (std::chrono::steady_clock::now() < deadline) {
    const ssize_t got = ::recv(socket.get(), part.data(), part.size(), 0);
    if (got == 0) return bytes;
    if (got < 0) fail_metadata("no answer in time");
    bytes.append(part.data(), static_cast<std::size_t>(got));
    if (bytes.size() > kMostBytes) fail_metadata("the answer is too long");
  }
  fail_metadata("the answer takes too long");
}

/// The object that a request is answered with.
nlohmann::json object_of(const MetadataCall& call, const std::string& request) {
  const HttpsReply reply = parse_https_reply(call(request), kMostBytes);
  if (reply.status != kOk) fail_metadata(fmt::format("answers {}", reply.status));
  auto object = nlohmann::json::parse(reply.body, nullptr, false);
  if (!object.is_object()) fail_metadata("the answer is no JSON object");
  return object;
}

std::string text_in(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string())
    fail_metadata(fmt::format("the answer has no text {}", name));
  return found->get<std::string>();
}

} // namespace

MetadataCall azure_metadata_call() {
  return exchange;
}

std::vector<u8> azure_quote(const MetadataCall& call, Bytes td_report) {
  const std::string body = nlohmann::json{{"report", to_base64url(td_report)}}.dump();
  const auto object = object_of(
      call, fmt::format("POST /acc/tdquote HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json"
                        "\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
                        kAddress, body.size(), body));
  std::string text = text_in(object, "quote");
  while (text.ends_with('=')) text.pop_back();
  auto quote = from_base64url(text);
  if (!quote) fail_metadata("the quote is not base64url");
  return std::move(*quote);
}

std::map<std::string, std::vector<u8>> azure_certificates(const MetadataCall& call) {
  const auto object = object_of(
      call, fmt::format("GET /metadata/THIM/amd/certification HTTP/1.1\r\nHost: {}\r\nMetadata: "
                        "true\r\nConnection: close\r\n\r\n",
                        kAddress));
  const auto first_of = [&](const char* name) {
    const auto chain = Certificate::bundle(as_bytes(text_in(object, name)));
    if (!chain || chain->empty()) fail_metadata(fmt::format("{} holds no certificate", name));
    return to_vector(chain->front().der());
  };
  return {{"leaf", first_of("vcekCert")}, {"authority", first_of("certificateChain")}};
}

} // namespace talaria::attest
