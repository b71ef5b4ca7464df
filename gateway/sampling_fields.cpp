#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "gateway/json_fields.hpp"
#include "gateway/request_fields.hpp"
#include "model/sampling_parameters.hpp"

namespace talaria::gateway {

using nlohmann::json;

std::string stop_string_of(const std::string& field, const json& value) {
  constexpr std::size_t kLongestStop = 1024; // bytes; the end of an answer is searched for each
  if (!value.is_string() || value.get_ref<const std::string&>().empty() ||
      value.get_ref<const std::string&>().size() > kLongestStop)
    throw bad_field(field, fmt::format("{} must be a string of 1 to {} bytes, or a list of them",
                                       field, kLongestStop));
  return value.get<std::string>();
}

namespace {

using P = model::SamplingParameters;

constexpr std::size_t kMaxStops = 16;
constexpr std::size_t kMaxIds = 1024; // each is looked for in the vocabulary
constexpr std::size_t kMaxBadWords = 64;

/// Into a member of the sampling parameters, whose own rules decide about the range.
FieldReader sampling_number(float P::*member) {
  return [member](const std::string& field, const json& value, Draft& draft) {
    P alone;
    alone.*member = draft.request.sampling.*member = number_of(field, value);
    try {
      alone.validate();
    } catch (const Error& error) {
      throw bad_field(field, error.what());
    }
  };
}

void read_top_k(const std::string& field, const json& value, Draft& draft) {
  const bool all = value.is_number_integer() && value == -1; // as vLLM's clients write it
  draft.request.sampling.top_k = all ? 0 : whole_number_of(field, value, 0);
}

void read_seed(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_number_integer()) throw bad_field(field, field + " must be a whole number");
  draft.seed = value.is_number_unsigned() ? value.get<u64>() : static_cast<u64>(value.get<i64>());
}

FieldReader strings(std::vector<std::string> ApiRequest::*member, std::size_t most) {
  return [member, most](const std::string& field, const json& value, Draft& draft) {
    auto& out = draft.request.*member;
    if (!value.is_array()) {
      out.push_back(stop_string_of(field, value));
      return;
    }
    if (value.size() > most)
      throw bad_field(field, fmt::format("{} has more than {} strings", field, most));
    for (const json& each : value) out.push_back(stop_string_of(field, each));
  };
}

std::vector<u32> ids_of(const std::string& field, const json& value) {
  if (!value.is_array() || value.size() > kMaxIds)
    throw bad_field(field,
                    fmt::format("{} must be a list of at most {} token ids", field, kMaxIds));
  std::vector<u32> ids;
  for (const json& id : value) ids.push_back(whole_number_of(field, id, 0));
  return ids;
}

void read_allowed(const std::string& field, const json& value, Draft& draft) {
  draft.request.sampling.allowed = ids_of(field, value);
  if (draft.request.sampling.allowed.empty())
    throw bad_field(field, field + " is empty: no token could be chosen; leave it out");
}

void read_logit_bias(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_object() || value.size() > kMaxIds)
    throw bad_field(field, fmt::format("{} must be an object of at most {} token ids with a number "
                                       "each",
                                       field, kMaxIds));
  P alone;
  for (const auto& [name, bias] : value.items()) {
    u32 id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error != std::errc() || end != name.data() + name.size() ||
        id > u32{std::numeric_limits<i32>::max()})
      throw bad_field(field, field + " must name tokens by their ids");
    alone.logit_bias.emplace_back(id, number_of(field, bias));
  }
  try {
    alone.validate();
  } catch (const Error& error) {
    throw bad_field(field, error.what());
  }
  draft.request.sampling.logit_bias = std::move(alone.logit_bias);
}

void read_drafts(const std::string& field, const json& value, Draft& draft) {
  const u32 drafts = whole_number_of(field, value, 0);
  if (drafts > draft.defaults.drafts)
    throw bad_field(field, fmt::format("{} must be at most {}, the drafts of this server "
                                       "(pipeline.speculate)",
                                       field, draft.defaults.drafts));
  draft.request.drafts = drafts;
}

} // namespace

void add_sampling_fields(FieldReaders& readers) {
  readers["temperature"] = sampling_number(&P::temperature);
  readers["top_p"] = sampling_number(&P::top_p);
  readers["min_p"] = sampling_number(&P::min_p);
  readers["repetition_penalty"] = sampling_number(&P::repetition_penalty);
  readers["presence_penalty"] = sampling_number(&P::presence_penalty);
  readers["frequency_penalty"] = sampling_number(&P::frequency_penalty);
  readers["top_k"] = read_top_k;
  readers["seed"] = read_seed;
  readers["logit_bias"] = read_logit_bias;
  readers["allowed_token_ids"] = read_allowed;
  readers["bad_words"] = strings(&ApiRequest::bad_words, kMaxBadWords);
  readers["stop"] = strings(&ApiRequest::stops, kMaxStops);
  readers["stop_token_ids"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.stop_tokens = ids_of(field, value);
  };
  readers["num_speculative_tokens"] = read_drafts;
  readers["min_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.sampling.min_tokens = whole_number_of(field, value, 0);
  };
  readers["ignore_eos"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.ignore_eos = flag_of(field, value);
  };
  readers["include_stop_str_in_output"] = [](const std::string& field, const json& value,
                                             Draft& draft) {
    draft.request.with_stop = flag_of(field, value);
  };
}

} // namespace talaria::gateway
