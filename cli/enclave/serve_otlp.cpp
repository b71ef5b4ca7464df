#include "cli/enclave/serve_otlp.hpp"

#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/web/web_client.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::cli {

namespace {

using namespace std::chrono_literals;
using Reply = telemetry::OtlpTransport::Reply;

constexpr auto kSilence = 10s; // of a collector, before it counts as one that cannot be reached
constexpr std::size_t kLongestHeaders = 64 << 10;

/// Seconds, or the date until which to wait (RFC 9110, section 10.2.3).
std::optional<std::chrono::milliseconds> retry_after(std::string_view field) {
  u32 seconds = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), seconds);
  if (error == std::errc() && end == field.data() + field.size())
    return std::chrono::seconds(seconds);
  std::tm date{};
  if (::strptime(std::string(field).c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr)
    return std::nullopt;
  return std::chrono::seconds(std::max<std::time_t>(0, ::timegm(&date) - std::time(nullptr)));
}

/// {"partialSuccess": {"rejectedSpans": "3", ...}}, where 64-bit numbers may be text.
u64 rejected(const std::string& body) {
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  const auto partial =
      answer.is_object() ? answer.value("partialSuccess", nlohmann::json()) : answer;
  if (!partial.is_object()) return 0;
  const auto count = partial.value("rejectedSpans", nlohmann::json());
  if (count.is_number_unsigned()) return count.get<u64>();
  u64 out = 0;
  if (count.is_string()) {
    const auto& text = count.get_ref<const std::string&>();
    std::from_chars(text.data(), text.data() + text.size(), out);
  }
  return out;
}

class WebTransport final : public telemetry::OtlpTransport {
public:
  WebTransport(WebClient::Options options) : client_(std::move(options)) {}

  Reply post(const std::string& signal, const std::string& body) override {
    try {
      const auto answer = client_.request(client_.url().path + "/v1/" + signal, body);
      const bool taken = answer.status >= 200 && answer.status < 300;
      return {answer.status, retry_after(answer.field("Retry-After")),
              taken ? rejected(answer.body) : 0};
    } catch (const Error&) { // nobody there, cut, or cancelled: the exporter says so once
      return {};
    }
  }
  void cancel() noexcept override { client_.cancel(); }

private:
  WebClient client_;
};

/// "NAME: VALUE" by line; empty lines and those that begin with # say nothing.
gateway::HttpFields read_headers(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(kLongestHeaders, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.eof())
    throw Error(Errc::config, fmt::format("{}: cannot be read, or is longer than {} bytes",
                                          file.string(), kLongestHeaders));
  text.resize(static_cast<std::size_t>(in.gcount()));
  gateway::HttpFields out;
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view rest = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (rest.ends_with('\r')) rest.remove_suffix(1);
    if (rest.empty() || rest.starts_with('#')) continue;
    const auto colon = rest.find(':');
    if (colon == 0 || colon == std::string_view::npos)
      throw Error(Errc::config,
                  fmt::format("{}:{}: expected NAME: VALUE", file.string(), line + 1));
    std::string_view value = rest.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    out.emplace_back(rest.substr(0, colon), value);
  }
  return out;
}

} // namespace

std::shared_ptr<telemetry::OtlpExporter> otlp_exporter(const config::PipelineConfig& settings) {
  const auto& otlp = settings.telemetry.otlp;
  if (!otlp.endpoint) return nullptr;
  WebClient::Options web;
  web.url = parse_url(*otlp.endpoint, "telemetry.otlp.endpoint");
  web.ca = otlp.ca;
  if (otlp.headers) web.headers = read_headers(*otlp.headers);
  web.silence = kSilence;
  telemetry::OtlpExporter::Options options;
  options.resource = {{"service.name", std::string("talaria")},
                      {"service.version", std::string(TALARIA_VERSION)},
                      {"service.instance.id", telemetry::to_hex(telemetry::new_trace_id())}};
  options.interval = otlp.interval;
  options.log = [](const std::string& line) { print_log("talaria: {}", line); };
  return std::make_shared<telemetry::OtlpExporter>(std::move(options),
                                                   std::make_unique<WebTransport>(std::move(web)));
}

} // namespace talaria::cli
