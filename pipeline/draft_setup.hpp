#pragma once

#include <cstddef>
#include <memory>

#include "core/progress.hpp"
#include "model/tokenizer.hpp"
#include "pipeline/draft_memory.hpp"
#include "pipeline/drafter.hpp"
#include "pipeline/engine.hpp"

namespace talaria::pipeline {

/// @throws Error{config} if tokens cannot be guessed for this model, or in this way
void check_drafts(const EngineOptions& options, const ModelLoader& target);

/// The model that guesses for `target`; null if there is to be none. Shares products among half of
/// `threads`: while it guesses for one sequence, stages have rows of others.
/// @param tokenizer  of the target; null for one in memory
/// @throws Error{config} if its vocabulary is another, or as DraftModel does; Error{model} as the
/// loader does.
std::shared_ptr<DraftModel> load_draft_model(const EngineOptions& options,
                                             const ModelLoader& target,
                                             const model::Tokenizer* tokenizer, std::size_t threads,
                                             Progress& progress);

/// Bytes for keys and values.
struct KvBudgets {
  std::size_t target = 0;
  std::size_t drafts = 0; ///< 0 without a model that guesses
};
/// The model that guesses gets what as many positions as the target's take there: beside `bytes`
/// if those were asked for, else out of them.
KvBudgets kv_budgets(const EngineOptions& options, std::size_t bytes, const arch::ModelPlan& plan,
                     const DraftModel* model);

/// Guesses for a target of `vocab` tokens.
std::shared_ptr<Drafter> make_drafter(const EngineOptions& options,
                                      std::shared_ptr<DraftModel> model,
                                      const arch::ModelPlan& target,
                                      const model::Tokenizer* tokenizer, std::size_t kv_bytes);

/// That every id means the same to both: the same bytes, and special or not. Rows of matrices
/// beyond the tokens are nobody's and may differ in number.
/// @throws Error{config} naming the first id that differs, and no text
void check_same_vocabulary(const model::Tokenizer& target, const model::Tokenizer& drafts);

} // namespace talaria::pipeline
