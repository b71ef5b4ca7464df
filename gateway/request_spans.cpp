#include "gateway/request_spans.hpp"

#include <algorithm>
#include <utility>

namespace talaria::gateway {

namespace {

using telemetry::OtlpAttribute;
using telemetry::OtlpSpan;

std::vector<OtlpAttribute> attributes_of(const Exchange& exchange, const AnswerReport& facts,
                                         const std::string& model) {
  const auto whole = [](u64 number) { return static_cast<i64>(number); };
  std::vector<OtlpAttribute> out{
      {"http.request.method", exchange.method},
      {"http.route", exchange.route},
      {"http.response.status_code", i64{exchange.outcome()}},
      {"gen_ai.operation.name", std::string(facts.chat ? "chat" : "text_completion")},
      {"gen_ai.provider.name", std::string("talaria")},
      {"gen_ai.request.model", model},
      {"gen_ai.response.model", model},
      {"gen_ai.request.max_tokens", whole(facts.max_tokens)},
      {"gen_ai.request.temperature", double{facts.temperature}},
      {"gen_ai.request.top_p", double{facts.top_p}},
      {"gen_ai.request.frequency_penalty", double{facts.frequency_penalty}},
      {"gen_ai.request.presence_penalty", double{facts.presence_penalty}},
      {"gen_ai.usage.input_tokens", whole(exchange.prompt_tokens)},
      {"gen_ai.usage.output_tokens", whole(exchange.completion_tokens)},
      {"gen_ai.usage.cache_read.input_tokens", whole(facts.cached_tokens)},
      {"gen_ai.usage.reasoning.output_tokens", whole(facts.reasoning_tokens)},
      {"gen_ai.response.finish_reasons", facts.reasons}};
  if (facts.top_k != 0) out.push_back({"gen_ai.request.top_k", double(facts.top_k)});
  if (facts.choices != 1) out.push_back({"gen_ai.request.choice.count", whole(facts.choices)});
  if (!facts.error.empty())
    out.push_back({"error.type", facts.error});
  else if (exchange.outcome() >= 400)
    out.push_back({"error.type", std::to_string(exchange.outcome())});
  return out;
}

} // namespace

std::vector<OtlpSpan> request_spans(const Exchange& exchange, const std::string& model) {
  std::vector<OtlpSpan> out;
  if (!exchange.answer || !exchange.context.sampled) return out;
  const AnswerReport& facts = *exchange.answer;
  const auto wall = [&](AnswerReport::Time time) {
    return exchange.arrived +
           std::chrono::duration_cast<OtlpSpan::Time::duration>(time - exchange.began);
  };
  OtlpSpan& whole = out.emplace_back();
  whole.context = exchange.context;
  whole.id = telemetry::new_trace_id();
  whole.name = (facts.chat ? "chat " : "text_completion ") + model;
  whole.kind = OtlpSpan::Kind::server;
  whole.start = exchange.arrived;
  whole.end = wall(std::chrono::steady_clock::now());
  whole.attributes = attributes_of(exchange, facts, model);
  whole.failed = !facts.error.empty() || exchange.outcome() >= 500;
  const u64 above = whole.id;
  const auto add = [&](const char* name, std::optional<AnswerReport::Time> start,
                       std::optional<AnswerReport::Time> end) {
    if (!start || !end) return;
    OtlpSpan span;
    span.context = exchange.context;
    span.context.parent = above;
    span.id = telemetry::new_trace_id();
    span.name = name;
    span.start = wall(*start);
    span.end = wall(std::max(*start, *end));
    out.push_back(std::move(span));
  };
  add("queue", exchange.began, facts.started);
  add("prefill", facts.started, facts.first_token);
  add("decode", facts.first_token, facts.last_token);
  return out;
}

} // namespace talaria::gateway
