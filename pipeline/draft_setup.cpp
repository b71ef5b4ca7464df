#include "pipeline/draft_setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "pipeline/model_loader.hpp"

namespace talaria::pipeline {

namespace {

[[noreturn]] void refuse_speculation(const std::string& why) {
  throw Error(Errc::config, "pipeline.speculate: " + why);
}

std::shared_ptr<const ModelLoader> open_draft_model(const DraftModelOptions& options) {
  if (options.opened) return options.opened;
  return std::make_shared<const ModelLoader>(options.folder, model::WeightFormat::int8);
}

/// Of models in memory, which have no tokens but ids.
void check_same_size(const arch::ModelPlan& target, const arch::ModelPlan& drafts) {
  if (target.vocab != drafts.vocab)
    refuse_speculation(fmt::format("the model for drafts has {} tokens, this model {}",
                                   drafts.vocab, target.vocab));
}

} // namespace

void check_drafts(const EngineOptions& options, const ModelLoader& target) {
  validate(options.batch, options.padding);
  if (options.batch.drafts == 0) return;
  if (options.oblivious)
    throw Error(Errc::config, "speculation cannot be had with enclave.oblivious: on, since where "
                              "keys are stored shows how many drafts were right");
  for (const arch::Layer& layer : target.plan().layers)
    if (layer.delta_net)
      throw Error(Errc::config, "speculation: this model has layers of Gated DeltaNet, whose state "
                                "cannot go back behind a wrong draft; set pipeline.speculate: off");
  if (options.draft_model.is_set() && target.pooling())
    refuse_speculation("this model is served for embeddings or scores and generates no tokens that "
                       "a model could guess; set pipeline.speculate: off");
}

std::shared_ptr<DraftModel> load_draft_model(const EngineOptions& options,
                                             const ModelLoader& target,
                                             const model::Tokenizer* tokenizer, std::size_t threads,
                                             Progress& progress) {
  if (options.batch.drafts == 0 || !options.draft_model.is_set()) return nullptr;
  auto loader = open_draft_model(options.draft_model);
  if ((tokenizer == nullptr) != (loader->files() == nullptr))
    refuse_speculation("a model in memory has no tokenizer that another's could be compared with");
  if (tokenizer == nullptr)
    check_same_size(target.plan(), loader->plan());
  else
    check_same_vocabulary(*tokenizer, model::Tokenizer::load(loader->files()->texts()));
  return std::make_shared<DraftModel>(std::move(loader), std::max<std::size_t>(1, threads / 2),
                                      options.kv.format, progress);
}

DraftMemory draft_memory(const EngineOptions& options) {
  const auto loader = open_draft_model(options.draft_model);
  check_draft_model(*loader);
  const arch::ModelPlan& plan = loader->plan();
  DraftMemory memory;
  memory.weight_bytes = loader->embeddings()->bytes().size();
  if (const auto table = loader->per_layer_embeddings())
    memory.weight_bytes += table->bytes().size();
  for (const arch::Linear& linear : plan.linears)
    memory.weight_bytes += model::weight_bytes(linear, model::WeightFormat::int8);
  memory.bytes_per_position = kv::Layout(plan, options.kv.format).bytes_per_position();
  memory.max_position = plan.max_position;
  return memory;
}

KvBudgets kv_budgets(const EngineOptions& options, std::size_t bytes, const arch::ModelPlan& plan,
                     const DraftModel* model) {
  if (model == nullptr) return {bytes, 0};
  const kv::Layout layout(plan, options.kv.format);
  const auto own = static_cast<double>(layout.bytes_per_position());
  const auto beside = static_cast<double>(model->layout()->bytes_per_position());
  const auto share = [bytes](double of_all) {
    return static_cast<std::size_t>(static_cast<double>(bytes) * of_all);
  };
  KvBudgets budgets{bytes, share(beside / own)};
  if (options.kv.memory_bytes == 0)
    budgets = {share(own / (own + beside)), share(beside / (own + beside))};
  if (options.draft_model.kv_bytes != 0) budgets.drafts = options.draft_model.kv_bytes;
  return budgets;
}

std::shared_ptr<Drafter> make_drafter(const EngineOptions& options,
                                      std::shared_ptr<DraftModel> model,
                                      const arch::ModelPlan& target,
                                      const model::Tokenizer* tokenizer, std::size_t kv_bytes) {
  DrafterOptions own;
  own.kv_bytes = kv_bytes;
  own.vocab = std::min(target.vocab, model->plan().vocab);
  if (tokenizer != nullptr) own.vocab = std::min(own.vocab, tokenizer->vocab_size());
  own.drafts = options.batch.drafts;
  own.prefixes = options.kv.prefix_cache;
  own.even = options.padding.is_on();
  return std::make_shared<Drafter>(std::move(model), own);
}

void check_same_vocabulary(const model::Tokenizer& target, const model::Tokenizer& drafts) {
  const u32 ids = std::max(target.vocab_size(), drafts.vocab_size());
  for (u32 id = 0; id < ids; ++id)
    if (target.token(id).empty() != drafts.token(id).empty() ||
        target.token_bytes(id) != drafts.token_bytes(id) ||
        target.is_special(id) != drafts.is_special(id))
      refuse_speculation(fmt::format("the model for drafts has another vocabulary: token {} is not "
                                     "the same there (it has {} tokens, this model {}); name a "
                                     "model of the same family",
                                     id, drafts.vocab_size(), target.vocab_size()));
}

} // namespace talaria::pipeline
