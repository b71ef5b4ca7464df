// What operators see: vLLM's metrics, the live page, and that the shipped dashboard and rules ask
// for what there is.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "gateway/live_feed.hpp"
#include "tests/gateway/served_engine.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/process.hpp"

namespace talaria::tests {

namespace {

const std::string kModel = R"({model_name="talaria-tiny"})";

std::string metrics_text(const RunningServer& server) {
  const auto result = httplib::Client("127.0.0.1", server.metrics_port()).Get("/metrics");
  BOOST_TEST_REQUIRE(result->status == 200);
  return result->body;
}

std::string shipped(const std::string& name) {
  std::ifstream in(TALARIA_SOURCE_DIR "/cli/dashboards/" + name);
  BOOST_TEST_REQUIRE(in.good(), name);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

using LabelsByMetric = std::map<std::string, std::set<std::string>>;

/// Names of the samples of an exposition, with the names of their labels.
LabelsByMetric samples_of(const std::string& exposition) {
  LabelsByMetric out;
  std::istringstream lines(exposition);
  const std::regex label(R"re(([A-Za-z_]\w*)=")re");
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    auto& labels = out[line.substr(0, line.find_first_of("{ "))];
    const std::size_t brace = line.find('{');
    if (brace == std::string::npos) continue;
    for (std::sregex_iterator
             it(line.begin() + static_cast<std::ptrdiff_t>(brace), line.end(), label),
         end;
         it != end; ++it)
      labels.insert((*it)[1]);
  }
  return out;
}

/// Reads as much of PromQL as finds the metrics of a query and the labels they are asked for.
class Promql {
public:
  explicit Promql(std::string text) : text_(std::move(text)) { read(); }
  LabelsByMetric metrics;
  std::set<std::string> grouped; ///< labels of by (...)

private:
  static bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':';
  }
  void read() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"')
        pass_string();
      else if (c == '[')
        at_ = text_.find(']', at_) + 1;
      else if (std::isdigit(static_cast<unsigned char>(c)) != 0)
        pass_while([](char d) { return is_name(d) || d == '.'; });
      else if (is_name(c))
        name();
      else
        ++at_;
    }
  }
  template <class Test>
  std::string pass_while(Test test) {
    const std::size_t from = at_;
    while (at_ < text_.size() && test(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }
  void pass_string() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    ++at_;
  }
  void name() {
    const std::string word = pass_while(is_name);
    static const std::set<std::string> groupings{"by",       "without",    "on",
                                                 "ignoring", "group_left", "group_right"};
    static const std::set<std::string> operators{"and", "or",  "unless", "bool", "offset",
                                                 "sum", "max", "min",    "avg",  "count"};
    pass_while([](char c) { return c == ' '; });
    const char next = at_ < text_.size() ? text_[at_] : '\0';
    if (groupings.contains(word)) return labels(')', grouped);
    if (operators.contains(word) || next == '(') return;
    auto& asked = metrics[word];
    if (next == '{') labels('}', asked);
  }
  /// "(a, b)" or {a="x",b=~"y"}
  void labels(char end, std::set<std::string>& into) {
    for (++at_; at_ < text_.size() && text_[at_] != end;) {
      if (text_[at_] == '"')
        pass_string();
      else if (is_name(text_[at_]))
        into.insert(pass_while(is_name));
      else
        ++at_;
    }
    ++at_;
  }

  std::string text_;
  std::size_t at_ = 0;
};

/// Every "expr" in the dashboard, however deep.
void collect_queries(const json& value, std::vector<std::string>& out) {
  if (value.is_object() && value.contains("expr")) out.push_back(value["expr"]);
  if (value.is_structured())
    for (const json& each : value) collect_queries(each, out);
}

struct Rules {
  std::vector<std::string> queries;
  std::set<std::string> recorded;
};

Rules shipped_rules() {
  Rules out;
  std::istringstream lines(shipped("prometheus-rules.yaml"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t key = line.find_first_not_of(" -");
    if (key == std::string::npos) continue;
    const std::string text = line.substr(key);
    if (text.starts_with("expr: ")) out.queries.push_back(text.substr(6));
    if (text.starts_with("record: ")) out.recorded.insert(text.substr(8));
  }
  return out;
}

/// Checks that the gateway has what `query` asks for.
void check_query(const std::string& query, const LabelsByMetric& samples,
                 const std::set<std::string>& recorded) {
  // Prometheus' own, and one of gateways that give evidence.
  const std::set<std::string> elsewhere{"up", "talaria_attestation_simulated"};
  const std::set<std::string> of_prometheus{"job", "instance"};
  const Promql asked(query);
  BOOST_TEST(!asked.metrics.empty(), query);
  for (const auto& [metric, labels] : asked.metrics) {
    if (recorded.contains(metric) || elsewhere.contains(metric)) continue;
    const auto found = samples.find(metric);
    BOOST_TEST((found != samples.end()), metric << " of " << query);
    if (found == samples.end()) continue;
    std::set<std::string> all = labels;
    all.insert(asked.grouped.begin(), asked.grouped.end());
    for (const std::string& label : all)
      BOOST_TEST((found->second.contains(label) || of_prometheus.contains(label)),
                 label << " of " << metric << " in " << query);
  }
}

/// The data of the first event of a stream.
json first_event(const RunningServer& server) {
  std::string body;
  httplib::Client client("127.0.0.1", server.metrics_port());
  client.Get("/dashboard/events", [&](const char* data, std::size_t size) {
    body.append(data, size);
    return body.find("\n\n") == std::string::npos;
  });
  BOOST_TEST_REQUIRE(body.starts_with("data: "), body);
  return json::parse(body.substr(6, body.find("\n\n") - 6));
}

} // namespace

BOOST_AUTO_TEST_CASE(the_test_reads_promql) {
  const Promql query(
      R"(histogram_quantile(0.95, sum by (le, worker) (rate(a:b_bucket{x=~"y{",z!="w\""}[5m]))) / on (q) c > 1e3 and up offset 5m)");
  BOOST_TEST(query.metrics.size() == 3U);
  BOOST_TEST((query.metrics.at("a:b_bucket") == std::set<std::string>{"x", "z"}));
  BOOST_TEST(query.metrics.contains("c"));
  BOOST_TEST(query.metrics.contains("up"));
  BOOST_TEST((query.grouped == std::set<std::string>{"le", "q", "worker"}));
}

BOOST_AUTO_TEST_CASE(dashboard_and_rules_ask_for_what_a_gateway_has) {
  const RunningServer server;
  server.answer("/v1/completions", completion_of("Hello", 3));
  BOOST_TEST_REQUIRE(
      server.becomes(R"(talaria_http_responses_total{path="/v1/completions",status="200"})", 1));
  const LabelsByMetric samples = samples_of(metrics_text(server));
  std::vector<std::string> queries;
  collect_queries(json::parse(shipped("grafana-dashboard.json")), queries);
  BOOST_TEST(queries.size() > 40U);
  for (const auto& query : queries) check_query(query, samples, {});
  const Rules rules = shipped_rules();
  BOOST_TEST(rules.queries.size() == 17U);
  for (const auto& query : rules.queries) check_query(query, samples, rules.recorded);
}

BOOST_AUTO_TEST_CASE(promtool_accepts_the_rules_where_it_is_installed) {
  const std::string promtool = "/usr/bin/promtool";
  if (!std::filesystem::exists(promtool)) return;
  const std::string folder = TALARIA_SOURCE_DIR "/cli/dashboards/";
  const auto rules = run_program({promtool, "check", "rules", folder + "prometheus-rules.yaml"});
  BOOST_TEST(rules.status == 0, rules.out << rules.err);
  const auto config = run_program({promtool, "check", "config", folder + "prometheus.yaml"});
  BOOST_TEST(config.status == 0, config.out << config.err);
}

BOOST_AUTO_TEST_CASE(requests_are_measured_as_vllm_measures_them) {
  const RunningServer server;
  json body = completion_of("Hello", 12);
  body["n"] = 2;
  const json usage = server.answer("/v1/completions", body)["usage"];
  const auto value = [&](const std::string& name) {
    return server.metric("vllm:" + name + kModel);
  };
  for (const char* name :
       {"request_queue_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds",
        "request_inference_time_seconds", "request_time_per_output_token_seconds",
        "request_prompt_tokens", "request_generation_tokens", "request_params_n",
        "request_params_max_tokens", "time_to_first_token_seconds", "e2e_request_latency_seconds"})
    BOOST_TEST(value(std::string(name) + "_count") == 2, name);
  BOOST_TEST(value("inter_token_latency_seconds_count") == 22);
  BOOST_TEST(value("request_generation_tokens_sum") == 24);
  BOOST_TEST(value("request_prompt_tokens_sum") == 2 * usage["prompt_tokens"].get<double>());
  BOOST_TEST(value("request_params_n_sum") == 4);
  BOOST_TEST(value("request_params_max_tokens_sum") == 24);
  // The parts of a request's life are no longer than the whole, and add up.
  const double prefill = value("request_prefill_time_seconds_sum");
  const double decode = value("request_decode_time_seconds_sum");
  BOOST_TEST(prefill > 0);
  BOOST_TEST(decode > 0);
  BOOST_TEST(value("request_inference_time_seconds_sum") == prefill + decode,
             boost::test_tools::tolerance(1e-9));
  BOOST_TEST(value("request_queue_time_seconds_sum") + prefill <=
             value("time_to_first_token_seconds_sum") + 1e-6);
  BOOST_TEST(value("inter_token_latency_seconds_sum") == decode,
             boost::test_tools::tolerance(0.2)); // of other clocks, at almost the same moments
  BOOST_TEST(value("num_preemptions_total") == 0);
  BOOST_TEST(server.metric("process_resident_memory_bytes") > 1e6);
  BOOST_TEST(server.metric("process_start_time_seconds") > 1.7e9);
}

BOOST_AUTO_TEST_CASE(padding_leaves_out_what_would_undo_it) {
  const RunningServer server([](gateway::ServerOptions& o) { o.coarse_metrics = true; });
  server.answer("/v1/completions", completion_of("Hello", 12));
  const std::string text = metrics_text(server);
  for (const char* name : {"vllm:request_prefill_time_seconds", "vllm:request_decode_time_seconds",
                           "vllm:request_inference_time_seconds", "vllm:request_params_max_tokens",
                           "vllm:kv_cache_usage_perc", "vllm:num_preemptions_total",
                           "talaria_stage_seconds_total", "talaria_rows_total"})
    BOOST_TEST(text.find(name) == std::string::npos, name);
  BOOST_TEST(server.metric("vllm:request_generation_tokens_sum" + kModel) == 256);
  BOOST_TEST(server.metric("vllm:request_prompt_tokens_sum" + kModel) == 256);
  BOOST_TEST(server.metric("vllm:inter_token_latency_seconds_count" + kModel) == 1);
  const json feed = first_event(server);
  BOOST_TEST(feed["padded"] == true);
  for (const char* name : {"requests", "stages", "kv"}) BOOST_TEST(!feed.contains(name), name);
  BOOST_TEST(feed["totals"]["generation_tokens"] == 256);
}

BOOST_AUTO_TEST_CASE(a_page_asks_nothing_of_other_servers) {
  const RunningServer server;
  httplib::Client client("127.0.0.1", server.metrics_port());
  const auto page = client.Get("/dashboard");
  BOOST_TEST_REQUIRE(page->status == 200);
  BOOST_TEST(page->get_header_value("Content-Type") == "text/html; charset=utf-8");
  const std::string policy = page->get_header_value("Content-Security-Policy");
  BOOST_TEST(policy.starts_with("default-src 'none'; script-src 'sha256-"), policy);
  BOOST_TEST(policy.find("unsafe") == std::string::npos);
  for (const char* trace : {"http:", "https:", "src=", "href=", "@import", "url("}) {
    const std::size_t at = page->body.find(trace);
    const bool is_name_of_svg =
        at != std::string::npos && page->body.substr(at).starts_with("http://www.w3.org/2000/svg");
    BOOST_TEST((at == std::string::npos || is_name_of_svg), trace);
  }
  BOOST_TEST(page->body.find("{{") == std::string::npos);
  BOOST_TEST(server.get("/dashboard")->status == 404); // not at the API's address
  const auto head = client.Head("/dashboard/events");  // ends, and takes no viewer's place
  BOOST_TEST(head->status == 200);
  BOOST_TEST(head->get_header_value("Content-Type") == "text/event-stream");
  const auto foreign = client.Get("/dashboard/events", {{"Origin", "https://evil.example"}});
  BOOST_TEST(foreign->status == 403);
}

BOOST_AUTO_TEST_CASE(the_feed_tells_times_and_counts_and_no_content) {
  const RunningServer server([](gateway::ServerOptions& o) { o.version = "1.2.3"; });
  const json usage = server.answer("/v1/completions", completion_of("Hello secret", 5))["usage"];
  BOOST_TEST_REQUIRE(server.becomes(
      "vllm:request_success_total{finished_reason=\"length\",model_name=\"talaria-tiny\"}", 1));
  const json feed = first_event(server);
  BOOST_TEST(feed["version"] == 1);
  BOOST_TEST(feed["program"] == "1.2.3");
  BOOST_TEST(feed["model"] == "talaria-tiny");
  BOOST_TEST_REQUIRE(feed["requests"].size() == 1U);
  const json& request = feed["requests"][0];
  BOOST_TEST(request["state"] == "length");
  BOOST_TEST(request["route"] == "/v1/completions");
  BOOST_TEST(request["prompt_tokens"] == usage["prompt_tokens"]);
  BOOST_TEST(request["tokens"] == 5);
  const double life = request["queue_ms"].get<double>() + request["prefill_ms"].get<double>() +
                      request["decode_ms"].get<double>();
  BOOST_TEST(life > 0);
  BOOST_TEST(life <= request["ago_ms"].get<double>() + 1e-6);
  BOOST_TEST(feed["links"].size() == 1U);
  BOOST_TEST(feed["kv"]["budget"].get<double>() > 0);
  BOOST_TEST(feed.dump().find("secret") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(requests_under_way_are_in_the_feed) {
  const RunningServer server;
  std::optional<WorkerThat> waits(WorkerSwitch::Mode::waiting);
  std::thread client([&] { server.post("/v1/completions", completion_of("Hello", 2)); });
  BOOST_TEST(server.becomes(kRunning, 1));
  const json running = first_event(server);
  waits.reset();
  client.join();
  BOOST_TEST_REQUIRE(running["requests"].size() == 1U);
  BOOST_TEST(running["requests"][0]["state"] == "prefill");
  BOOST_TEST(running["requests"][0]["tokens"] == 0);
  BOOST_TEST(running["load"]["running"] == 1);
}

BOOST_AUTO_TEST_CASE(viewers_are_bounded_and_leave_with_the_server) {
  auto server = std::make_unique<RunningServer>();
  std::vector<std::thread> viewers;
  std::atomic<int> seen{0};
  std::atomic<int> ended{0};
  for (std::size_t i = 0; i < gateway::LiveFeed::kMostViewers; ++i)
    viewers.emplace_back([&, port = server->metrics_port()] {
      bool first = true;
      httplib::Client client("127.0.0.1", port);
      client.Get("/dashboard/events", [&](const char*, std::size_t) {
        if (std::exchange(first, false)) ++seen;
        return true;
      });
      ++ended;
    });
  BOOST_TEST(eventually([&] { return seen == int{gateway::LiveFeed::kMostViewers}; }));
  httplib::Client one_more("127.0.0.1", server->metrics_port());
  BOOST_TEST(one_more.Get("/dashboard/events")->status == 503);
  BOOST_TEST(one_more.Get("/metrics")->status == 200); // nobody else waits for them
  server.reset();
  for (auto& viewer : viewers) viewer.join();
  BOOST_TEST(ended == int{gateway::LiveFeed::kMostViewers});
}

} // namespace talaria::tests
