#pragma once

#include <memory>
#include <string>
#include <vector>

#include "audit/public_model.hpp"
#include "audit/transcript.hpp"
#include "core/progress.hpp"
#include "model/tokenizer.hpp"
#include "pipeline/engine.hpp"

namespace talaria::audit {

/// A request to be recorded.
struct PlannedRequest {
  std::vector<u32> prompt;
  u32 max_tokens = 0; ///< of the answer; 0: the prompt alone
  bool chosen = false;
};

/// How requests are cut out of a text.
struct PlanLimits {
  std::size_t unknown_rows = 20'000; ///< prompt rows to be recovered
  std::size_t chosen_rows = 1'024;   ///< prompt rows of the attacker's own requests
  std::size_t longest = 96;          ///< tokens of a prompt, BOS not counted
  std::size_t shortest = 16;
  u32 longest_answer = 8;
  u64 seed = 1;
};

/// Requests whose prompts are consecutive pieces of `text`, begun again at its end, among them the
/// attacker's: uniformly random tokens. Lengths are random; each prompt begins with what the
/// tokenizer puts in front. @throws Error{usage} if the text is too short for one prompt.
std::vector<PlannedRequest> plan_requests(const model::Tokenizer& tokenizer, u32 vocab,
                                          const std::string& text, const PlanLimits& limits);

/// How many rows of a matrix are kept.
struct KeepLimits {
  std::size_t first = 40'000; ///< of layers.0.qkv
  std::size_t others = 2'048; ///< of every other matrix
};

/// Sees which pages of an embedding table are touched, as the host of an enclave can. No program
/// but tests has one.
class PageWatch {
public:
  virtual ~PageWatch() = default;
  /// Watches this table from now on.
  virtual void attach(const model::EmbeddingTable& table) = 0;
  /// Pages touched since the last call, in order.
  virtual std::vector<u32> drain() = 0;
};

/// Runs the requests one after the other through an engine made of `options`, and keeps what its
/// embedded worker was handed. `tokenizer` tells which tokens are special and not to be scored.
/// @param scheme  name of the table row.
/// @param watch   what sees pages, if somebody does; prompts must then fit one micro-batch.
/// @throws Error as the engine does.
Recording record(pipeline::EngineOptions options, const std::string& scheme,
                 std::shared_ptr<const PublicModel> model, const model::Tokenizer& tokenizer,
                 const std::vector<PlannedRequest>& requests, const KeepLimits& keep,
                 Progress& progress, PageWatch* watch = nullptr);

} // namespace talaria::audit
