#include "config/scalars.hpp"
#include "core/cores.hpp"
#include "remo/public/parameters.hpp"
#include "settings/forms.hpp"
#include "settings/table.hpp"
#include "settings/table_parts.hpp"

namespace talaria::settings {

namespace {

using namespace std::chrono_literals;
using config::Enclave;
using config::Kv;
using config::Masking;
using config::Padding;
using config::Pipeline;
using config::PipelineConfig;
using config::Session;

std::vector<std::string_view> parameter_names() {
  std::vector<std::string_view> names;
  for (const auto& set : remo::kAcceptedParameters) names.push_back(set.name);
  return names;
}

void add_model(std::vector<Setting>& rows) {
  rows.push_back(row("model", path(), member(&PipelineConfig::model),
                     "the model: a folder (config.json, *.safetensors, tokenizer.json), a prepared "
                     "folder or a GGUF file")
                     .from_variable("TALARIA_MODEL")
                     .from_flag("--model", FlagGroup::model)
                     .required()
                     .by_default("the shipped model, without a file"));
  rows.push_back(row("model_sha256", digest(), member(&PipelineConfig::model_sha256),
                     "end unless the model is the one with this digest, whatever names the model "
                     "(talaria inspect and prepare print it)")
                     .from_flag("--model-sha256", FlagGroup::pin)
                     .by_default("any model"));
  rows.push_back(row("task", choice({"auto", "generate", "embed", "score"}),
                     member(&PipelineConfig::task),
                     "what the model is served for: text, embeddings, or scores of pairs of texts; "
                     "auto: what its files say")
                     .from_flag("--task", FlagGroup::pin));
}

void add_masking(std::vector<Setting>& rows) {
  constexpr auto masking = &PipelineConfig::masking;
  rows.push_back(row("masking.scheme", choice(scheme_names()), member(masking, &Masking::scheme),
                     "how activations are hidden from workers: lattice; hybrid leaks (research); "
                     "clear hides nothing")
                     .from_variable("TALARIA_SCHEME")
                     .from_flag("--scheme", FlagGroup::scheme));
  rows.push_back(row("masking.parameters", choice(parameter_names()),
                     member(masking, &Masking::parameters), "lattice parameters")
                     .from_variable("TALARIA_PARAMETERS")
                     .from_flag("--parameters", FlagGroup::engine));
  rows.push_back(row("masking.weights", choice({"int8", "int16"}),
                     member(masking, &Masking::weights), "how weights are rounded")
                     .from_variable("TALARIA_WEIGHTS")
                     .from_flag("--weights", FlagGroup::engine));
  rows.push_back(row("masking.reply", choice({"full", "switched"}),
                     member(masking, &Masking::reply),
                     "format of workers' replies; switched: fewer bytes, stricter rules")
                     .from_flag("--reply", FlagGroup::engine));
  rows.push_back(row("masking.integrity", choice({"freivalds", "none"}),
                     member(masking, &Masking::integrity),
                     "whether workers' answers are checked; none: they may be wrong"));
}

void add_masks(std::vector<Setting>& rows) {
  constexpr auto masking = &PipelineConfig::masking;
  rows.push_back(row("masking.pool.rows_ahead", whole<std::size_t>(0, u64{1} << 20),
                     member(masking, &Masking::rows_ahead),
                     "mask rows of each matrix made ahead of time"));
  rows.push_back(row("masking.pool.memory", bytes_or_auto(), member(masking, &Masking::memory),
                     "memory of all masks made ahead; auto: a quarter of the machine's or of its "
                     "control group's"));
  rows.push_back(row("masking.pool.threads", whole<std::size_t>(0, 64),
                     member(masking, &Masking::pool_threads),
                     "threads that make masks; 0: made when they are needed"));
  rows.push_back(row("masking.hybrid.rank_ratio", ratio(), member(masking, &Masking::hybrid_rank),
                     "rank of the hybrid mask over the width of the input")
                     .from_flag("--hybrid-rank", FlagGroup::engine));
}

void add_padding(std::vector<Setting>& rows) {
  constexpr auto masking = &PipelineConfig::masking;
  rows.push_back(row("masking.padding.buckets", buckets(),
                     member(masking, &Masking::padding, &Padding::buckets),
                     "fill the rows of every tensor up to one of these; the largest is at most "
                     "pipeline.max_rows")
                     .from_flag("--padding", FlagGroup::engine)
                     .by_default("off"));
  rows.push_back(row("masking.padding.rounds", whole<u32>(1, 4096),
                     member(masking, &Masking::padding, &Padding::rounds),
                     "fill the rounds of an answer up to a multiple of this; 1: off")
                     .from_flag("--pad-rounds", FlagGroup::engine));
  rows.push_back(row("masking.padding.pace", duration_or_none(1ms, 1min),
                     member(masking, &Masking::padding, &Padding::pace),
                     "start micro-batches at multiples of this time only; 0s: off")
                     .from_flag("--pace", FlagGroup::engine));
}

void add_pipeline(std::vector<Setting>& rows) {
  constexpr auto pipeline = &PipelineConfig::pipeline;
  rows.push_back(row("enclave.oblivious", choice({"off", "on"}),
                     member(&PipelineConfig::enclave, &Enclave::oblivious),
                     "hide from the enclave's host which tokens are looked up and sampled")
                     .from_switch("--oblivious", FlagGroup::engine, "on"));
  rows.push_back(row("pipeline.micro_batches", whole<u32>(1, 64),
                     member(pipeline, &Pipeline::micro_batches), "micro-batches in flight")
                     .from_flag("--micro-batches", FlagGroup::engine));
  rows.push_back(row("pipeline.max_rows", whole<u32>(1, 65536),
                     member(pipeline, &Pipeline::max_rows),
                     "rows of one micro-batch, and answers made at once")
                     .from_flag("--max-rows", FlagGroup::engine));
  rows.push_back(row("pipeline.prefill_chunk", whole<u32>(1, 65536),
                     member(pipeline, &Pipeline::prefill_chunk),
                     "prompt tokens of one sequence in one micro-batch")
                     .from_flag("--prefill-chunk", FlagGroup::engine));
  rows.push_back(row("pipeline.threads", whole<std::size_t>(0, kMaxThreads),
                     member(pipeline, &Pipeline::threads),
                     "threads of enclave and embedded worker; 0: all cores")
                     .from_variable("TALARIA_THREADS")
                     .from_flag("--threads", FlagGroup::engine));
  rows.push_back(row("pipeline.cores", text(config::is_core_list, config::kCoreList),
                     member(pipeline, &Pipeline::cores),
                     "processors to keep to: pins threads, and memory to their NUMA node")
                     .from_flag("--cores", FlagGroup::engine)
                     .by_default("any"));
  rows.push_back(row("pipeline.speculate", drafts(), member(pipeline, &Pipeline::speculate),
                     "drafts of each round of an answer, taken from its context or made by a model "
                     "inside the enclave: further tokens that are there at once where they are "
                     "right")
                     .from_flag("--speculate", FlagGroup::engine));
  rows.push_back(row("pipeline.speculate_always", yes_or_no(),
                     member(pipeline, &Pipeline::speculate_always),
                     "drafts in every round, also of answers in which they are hardly ever right; "
                     "so it is with masking.padding"));
  rows.push_back(row("pipeline.kv.memory", bytes_or_auto(),
                     member(pipeline, &Pipeline::kv, &Kv::memory),
                     "memory for keys and values; auto: half of what the machine has to spare once "
                     "the model is loaded")
                     .from_flag("--kv-memory", FlagGroup::engine));
  rows.push_back(row("pipeline.kv.format", choice({"fp32", "bf16", "int8"}),
                     member(pipeline, &Pipeline::kv, &Kv::format),
                     "how they are stored; bf16 and int8 change answers a little")
                     .from_flag("--kv-format", FlagGroup::engine));
  rows.push_back(row("pipeline.kv.prefix_cache", yes_or_no(),
                     member(pipeline, &Pipeline::kv, &Kv::prefix_cache),
                     "computed prompts stay for later requests of the same key"));
  rows.push_back(row("pipeline.kv.public_prefix", optional_path(),
                     member(pipeline, &Pipeline::kv, &Kv::public_prefix),
                     "file of the text, or the JSON list of token ids, with which prompts of all "
                     "keys begin: computed once for everybody")
                     .by_default("none: nothing is shared between keys"));
}

} // namespace

std::vector<std::string_view> scheme_names() {
  return {"lattice", "hybrid", "clear"};
}

std::vector<Setting> engine_settings() {
  std::vector<Setting> rows;
  add_model(rows);
  add_masking(rows);
  add_masks(rows);
  add_padding(rows);
  add_pipeline(rows);
  return rows;
}

std::vector<Setting> session_settings() {
  std::vector<Setting> rows;
  rows.push_back(row("session.trace", path(), member(&PipelineConfig::session, &Session::trace),
                     "write a Chrome trace into this file (open it in Perfetto)")
                     .from_flag("--trace", FlagGroup::scheme)
                     .not_in_file());
  rows.push_back(row("session.isa", choice({"avx512", "avx2", "reference"}),
                     member(&PipelineConfig::session, &Session::isa), "force a SIMD target")
                     .from_variable("TALARIA_ISA")
                     .from_flag("--isa", FlagGroup::engine)
                     .not_in_file()
                     .by_default("the best that this processor has"));
  return rows;
}

} // namespace talaria::settings
