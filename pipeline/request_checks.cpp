#include "pipeline/request_checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/constant_time.hpp"
#include "core/declassify.hpp"
#include "core/error.hpp"
#include "pipeline/adapters.hpp"

namespace talaria::pipeline {

namespace {

/// Looks at all of them: that there is one may be seen, which it is may not.
bool any_outside(std::span<const u32> tokens, u32 vocab) {
  u32 outside = 0;
  for (const u32 token : tokens) outside |= ~constant_time::less(token, vocab);
  return declassified(outside) != 0;
}

/// @throws Error{usage} for an id outside the vocabulary
void check_ids(const Request& request, u32 vocab) {
  const model::SamplingParameters& sampling = request.sampling;
  std::vector<u32> named;
  for (const auto& [id, bias] : sampling.logit_bias) named.push_back(id);
  for (const auto& word : sampling.banned) named.insert(named.end(), word.begin(), word.end());
  for (const auto* ids : {&sampling.allowed, &sampling.ends, &request.stop_tokens})
    named.insert(named.end(), ids->begin(), ids->end());
  if (any_outside(request.prompt, vocab))
    throw Error(Errc::usage, fmt::format("a prompt token is outside the vocabulary of {}", vocab));
  if (any_outside(named, vocab))
    throw Error(Errc::usage, fmt::format("a token that a parameter names (logit_bias, allowed, "
                                         "banned or stop tokens) is outside the vocabulary of {}",
                                         vocab));
}

[[noreturn]] void wrong_task(const std::string& why) {
  throw Error(Errc::usage, why);
}

/// @throws Error{usage} for what the model is not served for
void check_task(const Request& request, const std::optional<model::Pooling>& pooling, u32 hidden) {
  if (!pooling && request.pooled)
    wrong_task(
        "this model is served to generate text; for embeddings or scores it has to be served "
        "with task: embed or task: score");
  if (!pooling) return;
  if (!request.pooled || request.max_tokens != 0)
    wrong_task(fmt::format("this model is served with task: {}, and generates no text",
                           model::to_string(pooling->task)));
  if (request.logits != LogitsWanted::none || request.scores.any() || request.grammar)
    wrong_task("a text that becomes a vector has neither logits nor a grammar");
  check_length(request.dimensions, *pooling, hidden);
}

/// Lists of likely tokens are made by looking where they are.
void check_oblivious(const Request& request) {
  if (request.scores.any())
    throw Error(Errc::usage, "logprobs cannot be had with enclave.oblivious: on, since what is "
                             "done for them shows the tokens");
  if (!request.skip_special)
    throw Error(Errc::usage, "special tokens cannot be shown with enclave.oblivious: on, which has "
                             "no table for them");
}

/// @throws Error{usage} for a prompt that finds no place
void check_prompt(const Request& request, const RequestLimits& limits) {
  const std::size_t length = request.prompt.size();
  if (length > limits.longest_prompt)
    throw Error(Errc::usage, fmt::format("the prompt has {} tokens; the model's context holds {}",
                                         length, limits.longest_prompt));
  if (request.max_tokens > 0 && length == limits.plan.max_position)
    throw Error(Errc::usage, fmt::format("the prompt fills the context of {} tokens; nothing can "
                                         "be generated behind it",
                                         length));
  if (length + std::min(request.max_tokens, 1U) > limits.kv_tokens)
    throw Error(
        Errc::usage,
        fmt::format("the prompt has {} tokens; the memory for keys and values (pipeline.kv, "
                    "{} bytes) holds {} tokens of one request",
                    length, limits.kv_bytes, limits.kv_tokens));
}

/// What may not be sampled before min_tokens are there.
void name_ends(Request& request, const std::vector<u32>& eos) {
  if (request.sampling.min_tokens == 0) return;
  auto& ends = request.sampling.ends;
  ends.insert(ends.end(), request.stop_tokens.begin(), request.stop_tokens.end());
  if (!request.ignore_eos) ends.insert(ends.end(), eos.begin(), eos.end());
}

void settle_drafts(Request& request, u32 most) {
  request.drafts = request.drafts.value_or(most);
  if (*request.drafts > most)
    throw Error(Errc::usage, fmt::format("{} drafts in each round are asked for; expected at most "
                                         "{} (pipeline.speculate)",
                                         *request.drafts, most));
}

} // namespace

void check_length(u32 dimensions, const model::Pooling& pooling, u32 hidden) {
  if (dimensions == 0 || dimensions == hidden) return;
  const auto& trained = pooling.dimensions;
  if (pooling.task != model::Task::embed || dimensions > hidden ||
      !(pooling.any_dimensions ||
        std::find(trained.begin(), trained.end(), dimensions) != trained.end()))
    wrong_task(fmt::format(
        "dimensions: {} cannot be had of this model, whose embeddings have {}; {}", dimensions,
        hidden,
        trained.empty() ? pooling.any_dimensions
                              ? "ask for as many or fewer"
                              : "its config.json has neither is_matryoshka nor "
                                "matryoshka_dimensions, which say that it may be cut"
                        : fmt::format("it may be cut to {}", fmt::join(trained, ", "))));
}

void settle(Request& request, const RequestLimits& limits) {
  const std::size_t length = request.prompt.size();
  if (length == 0) throw Error(Errc::usage, "the prompt is empty; give at least one token");
  check_task(request, limits.pooling, limits.plan.hidden);
  check_prompt(request, limits);
  if (request.max_tokens == 0 && !request.pooled && request.logits == LogitsWanted::none &&
      !request.scores.prompt)
    throw Error(Errc::usage, "max_tokens is 0: nothing to generate; ask for at least one token");
  request.sampling.validate();
  name_ends(request, limits.eos);
  check_ids(request, limits.plan.vocab);
  if (request.adapter) take_adapter(limits.adapters, request);
  if (limits.oblivious) check_oblivious(request);
  settle_drafts(request, limits.drafts);
  const u32 most = std::min(limits.plan.max_position, limits.kv_tokens);
  request.max_tokens = std::min(request.max_tokens, most - static_cast<u32>(length));
}

} // namespace talaria::pipeline
