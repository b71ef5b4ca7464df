#include "gateway/logprobs_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/tokenizer.hpp"

namespace talaria::gateway {

using json = nlohmann::ordered_json;

namespace {

/// JSON has no infinity; this is what OpenAI and vLLM say in its place.
double finite(float logprob) {
  return std::isfinite(logprob) ? double{logprob} : -9999.0;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<u8>(c) & 0xC0) != 0x80; }));
}

} // namespace

std::string LogprobsJson::text_of(u32 token) const {
  if (as_ids_) return fmt::format("token_id:{}", token);
  return model::replace_invalid_utf8(bytes_(token));
}

json LogprobsJson::entry(const model::TokenScore& score) const {
  json bytes = json::array();
  for (const char byte : bytes_(score.token)) bytes.push_back(static_cast<u8>(byte));
  return {{"token", text_of(score.token)},
          {"logprob", finite(score.logprob)},
          {"bytes", std::move(bytes)}};
}

json LogprobsJson::chat(std::span<const model::TokenScores> scores) const {
  json content = json::array();
  for (const auto& each : scores) {
    json token = entry(each.chosen);
    json& top = token["top_logprobs"] = json::array();
    for (const auto& other : each.top) top.push_back(entry(other));
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

json LogprobsJson::completion(std::span<const u32> unscored,
                              std::span<const model::TokenScores> scores,
                              std::size_t& offset) const {
  json offsets = json::array();
  json logprobs = json::array();
  json tokens = json::array();
  json tops = json::array();
  const auto add = [&](u32 token, json logprob, json top) {
    offsets.push_back(offset);
    offset += characters(model::replace_invalid_utf8(bytes_(token)));
    logprobs.push_back(std::move(logprob));
    tokens.push_back(text_of(token));
    tops.push_back(std::move(top));
  };
  for (const u32 token : unscored) add(token, nullptr, nullptr);
  for (const auto& each : scores) {
    json top = json::object();
    // The chosen one too, as OpenAI and vLLM have it. Two tokens may have one text: the likelier.
    for (const auto& other : each.top) top.emplace(text_of(other.token), finite(other.logprob));
    if (!each.top.empty()) top.emplace(text_of(each.chosen.token), finite(each.chosen.logprob));
    add(each.chosen.token, finite(each.chosen.logprob),
        each.top.empty() ? json(nullptr) : std::move(top));
  }
  return {{"text_offset", std::move(offsets)},
          {"token_logprobs", std::move(logprobs)},
          {"tokens", std::move(tokens)},
          {"top_logprobs", std::move(tops)}};
}

json LogprobsJson::prompt(std::span<const model::TokenScores> scores) const {
  json out = json::array({nullptr});
  const auto add = [this](json& place, const model::TokenScore& score) {
    place.emplace(std::to_string(score.token),
                  json{{"logprob", finite(score.logprob)},
                       {"rank", score.rank},
                       {"decoded_token", model::replace_invalid_utf8(bytes_(score.token))}});
  };
  for (const auto& each : scores) {
    json place = json::object();
    add(place, each.chosen);
    for (const auto& other : each.top) add(place, other);
    out.push_back(std::move(place));
  }
  return out;
}

} // namespace talaria::gateway
