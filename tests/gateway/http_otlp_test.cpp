// What an OpenTelemetry collector is told of requests: by its conventions, and nothing of their
// content.
#include <boost/test/unit_test.hpp>
#include <mutex>

#include "telemetry/trace_id.hpp"
#include "tests/gateway/served_engine.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/otlp_shape.hpp"

namespace talaria::tests {

BOOST_AUTO_TEST_SUITE(http_otlp)

namespace {

constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A collector, and a server that tells it all at its end.
class Observed {
public:
  explicit Observed(const std::function<void(gateway::ServerOptions&)>& change = {}) {
    telemetry::OtlpExporter::Options options;
    options.interval = std::chrono::hours(1);
    exporter_ = std::make_shared<telemetry::OtlpExporter>(options, std::make_unique<Wire>(*this));
    server_.emplace([&](gateway::ServerOptions& served) {
      served.otlp = exporter_;
      if (change) change(served);
    });
  }
  RunningServer& server() { return *server_; }
  void end() { server_->end(); }
  /// Of all that came, checked against the published definitions.
  std::vector<json> spans() const {
    std::vector<json> out;
    for (const auto& [signal, body] : bodies_) {
      if (signal != "traces") continue;
      check_otlp(body, "ExportTraceServiceRequest");
      for (const json& span : body["resourceSpans"][0]["scopeSpans"][0]["spans"])
        out.push_back(span);
    }
    return out;
  }
  json metrics() const {
    json out = json::object();
    for (const auto& [signal, body] : bodies_) {
      if (signal != "metrics") continue;
      check_otlp(body, "ExportMetricsServiceRequest");
      for (const json& metric : body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]) {
        BOOST_TEST(!out.contains(metric["name"])); // a metric is there once
        out[metric["name"].get<std::string>()] = metric;
      }
    }
    return out;
  }
  std::string everything() const {
    std::string out;
    for (const auto& [signal, body] : bodies_) out += body.dump();
    return out;
  }

private:
  class Wire final : public telemetry::OtlpTransport {
  public:
    explicit Wire(Observed& observed) : observed_(observed) {}
    Reply post(const std::string& signal, const std::string& body) override {
      observed_.bodies_.emplace_back(signal, json::parse(body));
      return {200, {}, 0};
    }
    void cancel() noexcept override {}

  private:
    Observed& observed_;
  };
  std::vector<std::pair<std::string, json>> bodies_; ///< looked at when the exporter has ended
  std::shared_ptr<telemetry::OtlpExporter> exporter_;
  std::optional<RunningServer> server_;
};

u64 number(const json& span, const char* field) {
  return std::stoull(span.at(field).get<std::string>());
}

} // namespace

BOOST_AUTO_TEST_CASE(a_request_is_a_span_with_its_stages_below) {
  Observed observed;
  json body = chat_of("A secret question", 5);
  body.update({{"temperature", 0.5},
               {"top_k", 7},
               {"n", 2},
               {"stop", {"a secret stop"}},
               {"user", "a secret user"},
               {"seed", 4}});
  const auto result = observed.server().client().Post(
      "/v1/chat/completions", {{"traceparent", kParent}, {"Authorization", "Bearer secretkey"}},
      body.dump(), "application/json");
  BOOST_TEST_REQUIRE(result->status == 200, result->body);
  const json answer = json::parse(result->body);
  observed.end();
  const std::vector<json> spans = observed.spans();
  BOOST_TEST_REQUIRE(spans.size() == 4u);
  const json& whole = spans[0];
  BOOST_TEST(whole["name"] == "chat talaria-tiny");
  BOOST_TEST(whole["kind"] == 2); // SERVER
  BOOST_TEST(whole["traceId"] == "0af7651916cd43dd8448eb211c80319c");
  BOOST_TEST(whole["parentSpanId"] == "b7ad6b7169203331");
  const std::pair<const char*, json> expected[] = {
      {"http.request.method", "POST"},
      {"http.route", "/v1/chat/completions"},
      {"http.response.status_code", "200"},
      {"gen_ai.operation.name", "chat"},
      {"gen_ai.provider.name", "talaria"},
      {"gen_ai.request.model", "talaria-tiny"},
      {"gen_ai.response.model", "talaria-tiny"},
      {"gen_ai.request.max_tokens", "5"},
      {"gen_ai.request.temperature", 0.5},
      {"gen_ai.request.top_k", 7.0},
      {"gen_ai.request.choice.count", "2"},
      {"gen_ai.usage.input_tokens", std::to_string(answer["usage"]["prompt_tokens"].get<int>())},
      {"gen_ai.usage.output_tokens",
       std::to_string(answer["usage"]["completion_tokens"].get<int>())},
      {"error.type", nullptr}};
  for (const auto& [key, value] : expected) BOOST_TEST(otlp_attribute(whole, key) == value, key);
  BOOST_TEST(otlp_attribute(whole, "gen_ai.response.finish_reasons")["values"][1]["stringValue"] ==
             "length");
  const char* const names[] = {"queue", "prefill", "decode"};
  u64 at = number(whole, "startTimeUnixNano");
  for (std::size_t i = 0; i < 3; ++i) {
    const json& stage = spans[i + 1];
    BOOST_TEST(stage["name"] == names[i]);
    BOOST_TEST(stage["parentSpanId"] == whole["spanId"]);
    BOOST_TEST(stage["traceId"] == whole["traceId"]);
    BOOST_TEST(number(stage, "startTimeUnixNano") == at); // each begins where the one before ends
    BOOST_TEST(number(stage, "endTimeUnixNano") >= at);
    at = number(stage, "endTimeUnixNano");
  }
  BOOST_TEST(number(whole, "endTimeUnixNano") >= at);
  const std::string text = answer["choices"][0]["message"]["content"];
  for (const std::string& secret : {std::string("secret"), text})
    BOOST_TEST((secret.empty() || observed.everything().find(secret) == std::string::npos), secret);
}

BOOST_AUTO_TEST_CASE(failures_are_marked_and_what_is_no_answer_is_no_span) {
  Observed observed;
  observed.server().get("/v1/models");
  observed.server().post("/v1/completions", {{"prompt", "a"}, {"temperature", -1}});
  {
    const WorkerThat lies(WorkerSwitch::Mode::lying);
    observed.server().post("/v1/completions", completion_of("Once", 2));
  }
  const auto unsampled = observed.server().client().Post(
      "/v1/completions", {{"traceparent", std::string(kParent).replace(53, 2, "00")}},
      completion_of("Once", 1).dump(), "application/json");
  BOOST_TEST(unsampled->status == 200);
  observed.end();
  const std::vector<json> spans = observed.spans();
  BOOST_TEST_REQUIRE(spans.size() == 1u);
  BOOST_TEST(spans[0]["name"] == "text_completion talaria-tiny");
  BOOST_TEST(spans[0]["status"]["code"] == 2);
  BOOST_TEST(otlp_attribute(spans[0], "error.type") == "verification");
  BOOST_TEST(!spans[0].contains("parentSpanId"));
}

BOOST_AUTO_TEST_CASE(figures_are_those_of_prometheus) {
  Observed observed;
  observed.server().answer("/v1/completions", completion_of("Once upon", 3));
  const double tokens =
      observed.server().metric(R"(vllm:generation_tokens_total{model_name="talaria-tiny"})");
  observed.end();
  const json metrics = observed.metrics();
  BOOST_TEST(tokens == 3);
  const json& generated = metrics.at("vllm.generation_tokens")["sum"]["dataPoints"][0];
  BOOST_TEST(generated["asDouble"] == tokens);
  BOOST_TEST(otlp_attribute(generated, "model_name") == "talaria-tiny");
  for (const char* name : {"gen_ai.server.request.duration", "gen_ai.server.time_to_first_token",
                           "gen_ai.server.time_per_output_token"}) {
    const json& point = metrics.at(name)["histogram"]["dataPoints"][0];
    BOOST_TEST(metrics[name]["unit"] == "s");
    BOOST_TEST(point["count"] == "1");
    BOOST_TEST(point["bucketCounts"].size() == point["explicitBounds"].size() + 1);
    u64 all = 0;
    for (const json& bucket : point["bucketCounts"]) all += std::stoull(bucket.get<std::string>());
    BOOST_TEST(all == 1u);
    BOOST_TEST(otlp_attribute(point, "gen_ai.request.model") == "talaria-tiny");
  }
  const json& usage = metrics.at("gen_ai.client.token.usage")["histogram"]["dataPoints"];
  BOOST_TEST_REQUIRE(usage.size() == 2u);
  BOOST_TEST(otlp_attribute(usage[0], "gen_ai.token.type") == "input");
  BOOST_TEST(otlp_attribute(usage[1], "gen_ai.token.type") == "output");
  BOOST_TEST(usage[1]["sum"] == 3.0);
}

// A span would tell the length of its answer.
BOOST_AUTO_TEST_CASE(of_a_padded_engine_there_are_no_spans) {
  Observed observed([](auto& options) { options.coarse_metrics = true; });
  observed.server().answer("/v1/completions", completion_of("Once upon", 3));
  observed.end();
  BOOST_TEST(observed.spans().empty());
  BOOST_TEST(observed.metrics().at("vllm.generation_tokens")["sum"]["dataPoints"][0]["asDouble"] ==
             256.0);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
