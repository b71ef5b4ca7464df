#include "gateway/engine_requests.hpp"

namespace talaria::gateway {

pipeline::Request engine_request(const ApiRequest& request, const std::vector<u32>& prompt,
                                 u32 choice,
                                 const std::shared_ptr<model::grammar::TokenGrammar>& grammar) {
  pipeline::Request out;
  out.prompt = prompt;
  out.max_tokens = request.max_tokens;
  out.ignore_eos = request.ignore_eos;
  out.sampling = request.sampling;
  out.sampling.seed += choice;
  out.stops = request.stops;
  out.stop_tokens = request.stop_tokens;
  out.with_stop = request.with_stop;
  out.skip_special = request.skip_special;
  out.grammar = grammar;
  out.scores.answer = request.logprobs;
  if (request.best_of > request.choices && !out.scores.answer) out.scores.answer = 0;
  out.scores.prompt = request.prompt_logprobs;
  out.drafts = request.drafts;
  out.pooled = is_pooled(request.dialect);
  out.dimensions = request.pooling.dimensions;
  if (out.max_tokens == 0 && !out.pooled) out.logits = pipeline::LogitsWanted::last;
  return out;
}

} // namespace talaria::gateway
