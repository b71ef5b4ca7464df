#include "cli/receipt_replay.hpp"

#include <chrono>
#include <memory>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attest/command/files.hpp"
#include "attest/command/receipt_command.hpp"
#include "cli/engine_flags.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "gateway/engine_requests.hpp"
#include "gateway/prompt_reader.hpp"
#include "model/chat_encoder.hpp"
#include "pipeline/adapters.hpp"
#include "pipeline/engine.hpp"
#include "pipeline/model_loader.hpp"

namespace talaria::cli {

namespace {

using Json = nlohmann::ordered_json;
using attest::Receipt;
using attest::ReceiptAnswer;

enum Status { kSame = 0, kNoReceipt = 7, kOtherModel = 8, kDifferent = 9 };

constexpr std::size_t kMostBodyBytes = std::size_t{256} << 20;
constexpr std::size_t kManyPrompts = std::size_t{1} << 20;

/// What was found about one answer.
struct Compared {
  std::size_t tokens = 0;
  bool has_same_ids = false;
  bool has_same_text = false;
  bool is_same() const { return has_same_ids && has_same_text; }
};

kv::Format kv_format_of(const std::string& name) {
  if (name == "fp32") return kv::Format::fp32;
  if (name == "bf16") return kv::Format::bf16;
  if (name == "int8") return kv::Format::int8;
  throw Error(Errc::usage, "the receipt's format of keys and values, " + name +
                               ", is not known to this program");
}

/// Masks change no bit of an answer, and here there is nobody to hide it from: the clear scheme
/// gives the same, faster.
pipeline::EngineOptions engine_options_for(const Receipt& receipt, const ReplayOptions& options) {
  pipeline::EngineOptions out;
  out.model_dir = options.model;
  out.weights = model::parse_weight_format(receipt.weights);
  out.scheme.kind = remo::SchemeKind::clear;
  out.scheme.parameters = &remo::lattice_parameters(receipt.parameters);
  out.kv.format = kv_format_of(receipt.kv);
  out.threads = options.threads;
  return out;
}

bool is_conversation(const Receipt& receipt) {
  return receipt.endpoint != gateway::endpoint_of(gateway::Dialect::completions);
}

/// In which dialect the body of the request is that is computed again: a kept one as it was sent;
/// one that is made of a prompt says the same in OpenAI's older words.
gateway::Dialect dialect_of(const Receipt& receipt, bool is_made) {
  using gateway::Dialect;
  if (!is_conversation(receipt)) return Dialect::completions;
  for (const Dialect dialect : {Dialect::responses, Dialect::messages})
    if (!is_made && receipt.endpoint == gateway::endpoint_of(dialect)) return dialect;
  return Dialect::chat;
}

/// Of embeddings and scores the receipt has the digest of the whole body alone.
void require_text(const Receipt& receipt) {
  using gateway::Dialect;
  for (const Dialect dialect : {Dialect::embeddings, Dialect::score, Dialect::rerank})
    if (receipt.endpoint == gateway::endpoint_of(dialect))
      throw Error(Errc::usage, receipt.endpoint +
                                   ": only answers that are text can be computed again; of this "
                                   "one the receipt has the digest of the whole body");
}

std::string made_body(const Receipt& receipt, const ReplayOptions& options) {
  if (receipt.sampling.more)
    throw Error(Errc::usage, "the request asked for more than a prompt says (stop strings, biases, "
                             "a grammar, tools); give its body by --request");
  Json body = Json::object();
  if (!options.prompt_tokens.empty()) {
    const auto ids = parse_token_list(options.prompt_tokens, "--prompt-tokens");
    body[is_conversation(receipt) ? "prompt_token_ids" : "prompt"] = ids;
  } else if (is_conversation(receipt)) {
    body["messages"] = Json::array();
    if (options.system)
      body["messages"].push_back({{"role", "system"}, {"content", *options.system}});
    body["messages"].push_back({{"role", "user"}, {"content", *options.prompt}});
  } else {
    body["prompt"] = *options.prompt;
  }
  return body.dump();
}

/// The request's body, as it was or as a prompt makes it.
std::string body_of(const attest::ReceiptFile& file, const ReplayOptions& options) {
  if (options.prompt || !options.prompt_tokens.empty())
    return made_body(file.receipt.receipt, options);
  if (!options.request.empty())
    return std::string(attest::as_text(attest::read_small_file(options.request, kMostBodyBytes)));
  if (file.record.request) return *file.record.request;
  throw Error(Errc::usage, "give what was asked: --request FILE, --prompt TEXT or --prompt-tokens "
                           "IDS (talaria connect --receipt-bodies keeps it with the receipt)");
}

std::optional<model::ChatEncoder> chat_of(const pipeline::Engine& engine, const Receipt& receipt,
                                          const ReplayOptions& options) {
  auto chat = model::ChatTemplate::load(engine.model_files().texts());
  if (!chat) return std::nullopt;
  const std::string day =
      options.chat_date.empty() ? attest::to_text(receipt.issued).substr(0, 10) : options.chat_date;
  chat->set_clock(model::ChatClock::parse(day, "--chat-date"));
  return model::ChatEncoder(std::move(*chat), engine.tokenizer(), options.allow_special);
}

void set_sampling(const attest::ReceiptSampling& signed_values, gateway::ApiRequest& request) {
  model::SamplingParameters& sampling = request.sampling;
  sampling.temperature = signed_values.temperature;
  sampling.top_p = signed_values.top_p;
  sampling.top_k = signed_values.top_k;
  sampling.min_p = signed_values.min_p;
  sampling.repetition_penalty = signed_values.repetition_penalty;
  sampling.presence_penalty = signed_values.presence_penalty;
  sampling.frequency_penalty = signed_values.frequency_penalty;
  sampling.min_tokens = signed_values.min_tokens;
  request.max_tokens = signed_values.max_tokens;
  request.ignore_eos = signed_values.ignore_eos;
}

gateway::Prepared prepare(pipeline::Engine& engine, const Receipt& receipt, std::string body,
                          const ReplayOptions& options) {
  gateway::ApiDefaults defaults;
  defaults.model = receipt.model;
  if (receipt.adapter)
    defaults.adapters =
        gateway::ServedAdapters({{receipt.adapter->name, receipt.adapter->root, {}}});
  defaults.generation = engine.generation_config();
  defaults.prompts = kManyPrompts;
  defaults.drafts = pipeline::kMostDrafts; // how many there were changes no answer
  const auto chat = chat_of(engine, receipt, options);
  gateway::PromptReader reader(engine, defaults, chat);
  try {
    gateway::Prepared prepared =
        reader.read(dialect_of(receipt, options.prompt || !options.prompt_tokens.empty()),
                    std::move(body), "replay", [] {});
    set_sampling(receipt.sampling, prepared.request);
    return prepared;
  } catch (const gateway::ApiError& error) {
    throw Error(Errc::usage, fmt::format("the request cannot be read: {}", error.what()));
  }
}

bool has_same_prompts(const attest::ReceiptFile& file, const gateway::Prepared& prepared) {
  const auto& prompts = file.receipt.receipt.prompts;
  if (prompts.size() != prepared.prompts.size()) return false;
  for (std::size_t i = 0; i < prompts.size(); ++i)
    if (prompts[i].ids != attest::salted_ids(file.record.salts.request, prepared.prompts[i]))
      return false;
  return true;
}

Compared recompute(pipeline::Engine& engine, const attest::ReceiptSalts& salts,
                   const ReceiptAnswer& answer, const gateway::Prepared& prepared) {
  if (answer.tokens == 0 && answer.finish == "cancelled") return {0, true, true};
  pipeline::Request request = gateway::engine_request(
      prepared.request, prepared.prompts[answer.prompt], 0, prepared.grammar);
  request.sampling.seed = answer.seed;
  request.scores = {};
  if (!engine.adapters().empty()) request.adapter = engine.adapters().front();
  request.drafts.reset();
  // Where it ended for want of room or of a client, that server's memory decided, not the model.
  if (answer.finish != "stop") request.max_tokens = answer.tokens;
  const pipeline::Completion made = run_to_end(engine, std::move(request));
  Compared compared;
  compared.tokens = made.tokens.size();
  compared.has_same_ids = attest::salted_ids(salts.response, made.tokens) == answer.ids;
  // Text of an answer that was cut is what had become certain until then.
  compared.has_same_text =
      answer.finish == "cancelled" || attest::salted_text(salts.response, made.text) == answer.text;
  return compared;
}

const char* word(bool same) {
  return same ? "equal" : "DIFFERENT";
}

int report(const ReplayOptions& options, const Receipt& receipt, bool has_prompts,
           const std::vector<Compared>& answers) {
  bool same = has_prompts;
  Json list = Json::array();
  std::string text = fmt::format("model        {} {}: equal\nprompt       {}\n", receipt.model,
                                 to_hex(receipt.model_root), word(has_prompts));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Compared& each = answers[i];
    same = same && each.is_same();
    text +=
        fmt::format("answer {}     seed {}, {} tokens {}, text {}\n", i, receipt.answers[i].seed,
                    each.tokens, word(each.has_same_ids), word(each.has_same_text));
    list.push_back({{"tokens", each.tokens},
                    {"ids_equal", each.has_same_ids},
                    {"text_equal", each.has_same_text}});
  }
  text += !has_prompts ? "the prompt is not the one that the receipt is about; nothing was "
                         "computed (--chat-date and --allow-special have to be as they were)\n"
          : same       ? "the answer was computed again, and is the same bit for bit\n"
                       : "the answer is not the one that this model gives to this request\n";
  if (options.json)
    print_out("{}\n",
              Json{{"equal", same}, {"prompt_equal", has_prompts}, {"answers", list}}.dump());
  else
    print_out("{}", text);
  return same ? kSame : kDifferent;
}

/// Whether it is a receipt of the key; says why not.
bool is_genuine(const attest::ReceiptFile& file, const ReplayOptions& options) {
  const auto key =
      options.key.empty() ? file.record.key : std::optional(attest::receipt_key_from(options.key));
  if (!key) {
    print_log("talaria: warning: no key was given, so that anybody may have written this receipt; "
              "talaria receipt verify checks whose it is");
    return true;
  }
  if (file.receipt.is_signed_by(*key)) return true;
  print_log("talaria: {}: not signed by this key, or changed afterwards", options.file.string());
  return false;
}

bool is_model_of(const Receipt& receipt, const pipeline::ModelLoader& model,
                 const ReplayOptions& options) {
  const Sha256Digest root = model.files()->root();
  if (root == receipt.model_root) return true;
  print_log("talaria: the receipt is about {} with model_sha256 {}, and {} holds a model with {}: "
            "another model gives other answers, which would prove nothing",
            receipt.model, to_hex(receipt.model_root), options.model.string(), to_hex(root));
  return false;
}

/// Reads the adapter that the answers were made with.
bool has_adapter_of(const Receipt& receipt, const ReplayOptions& options,
                    pipeline::EngineOptions& engine_options) {
  if (!receipt.adapter && !options.lora.empty())
    throw Error(Errc::usage, "--lora: the answers of this receipt were made without an adapter");
  if (!receipt.adapter) return true;
  const attest::AdapterClaim& claim = *receipt.adapter;
  if (options.lora.empty())
    throw Error(Errc::usage,
                fmt::format("the answers of this receipt were made with the adapter {} ({}); give "
                            "its PEFT folder by --lora DIR",
                            claim.name, to_hex(claim.root)));
  pipeline::load_adapters({{claim.name, options.lora}}, engine_options);
  const Sha256Digest digest = engine_options.adapters.front()->digest();
  if (digest == claim.root) return true;
  print_log("talaria: the answers were made with the adapter {} with SHA-256 {}, and {} holds one "
            "with {}: another adapter gives other answers, which would prove nothing",
            claim.name, to_hex(claim.root), options.lora.string(), to_hex(digest));
  return false;
}

} // namespace

int replay_receipt(const ReplayOptions& options, InterruptWatch& interrupts) {
  const auto file = attest::read_receipt_file(options.file);
  if (!file) {
    print_log("talaria: {}: {}", options.file.string(), file.refusal().reason);
    return kNoReceipt;
  }
  if (!file->has_salts)
    throw Error(Errc::usage, options.file.string() + ": a bare receipt without salts, by which "
                                                     "alone an answer can be compared");
  if (!is_genuine(*file, options)) return kNoReceipt;
  const Receipt& receipt = file->receipt.receipt;
  require_text(receipt);
  std::string body = body_of(*file, options);
  pipeline::EngineOptions engine_options = engine_options_for(receipt, options);
  engine_options.model =
      std::make_shared<const pipeline::ModelLoader>(options.model, engine_options.weights);
  if (!is_model_of(receipt, *engine_options.model, options)) return kOtherModel;
  if (!has_adapter_of(receipt, options, engine_options)) return kOtherModel;
  if (receipt.software != "talaria " TALARIA_VERSION)
    print_log("talaria: warning: the answer is of {}, and this is talaria " TALARIA_VERSION,
              receipt.software);
  TerminalProgress progress;
  pipeline::Engine engine(engine_options, progress);
  const OnInterrupt cancel(interrupts, [&engine] { engine.cancel_all(); });
  const gateway::Prepared prepared = prepare(engine, receipt, std::move(body), options);
  const bool has_prompts = has_same_prompts(*file, prepared);
  std::vector<Compared> answers;
  if (has_prompts)
    for (const ReceiptAnswer& answer : receipt.answers)
      answers.push_back(recompute(engine, file->record.salts, answer, prepared));
  return report(options, receipt, has_prompts, answers);
}

} // namespace talaria::cli
