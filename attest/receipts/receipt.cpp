#include "attest/receipts/receipt.hpp"

#include <algorithm>
#include <iterator>

#include "attest/evidence/strict_json.hpp"
#include "attest/receipts/claim_fields.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

using nlohmann::json;
using Ordered = nlohmann::ordered_json;

Ordered sampling_json(const ReceiptSampling& sampling) {
  const auto exact = [](float value) { return static_cast<double>(value); };
  return {{"temperature", exact(sampling.temperature)},
          {"top_p", exact(sampling.top_p)},
          {"top_k", sampling.top_k},
          {"min_p", exact(sampling.min_p)},
          {"repetition_penalty", exact(sampling.repetition_penalty)},
          {"presence_penalty", exact(sampling.presence_penalty)},
          {"frequency_penalty", exact(sampling.frequency_penalty)},
          {"max_tokens", sampling.max_tokens},
          {"min_tokens", sampling.min_tokens},
          {"ignore_eos", sampling.ignore_eos},
          {"more", sampling.more}};
}

Ordered answer_json(const ReceiptAnswer& answer) {
  return {{"prompt", answer.prompt},           {"seed", std::to_string(answer.seed)},
          {"tokens", answer.tokens},           {"ids", to_base64url(answer.ids)},
          {"text", to_base64url(answer.text)}, {"finish", answer.finish}};
}

ReceiptSampling read_sampling(const json& object) {
  ClaimFields fields(object, "sampling");
  ReceiptSampling sampling;
  sampling.temperature = fields.real("temperature");
  sampling.top_p = fields.real("top_p");
  sampling.top_k = fields.count("top_k");
  sampling.min_p = fields.real("min_p");
  sampling.repetition_penalty = fields.real("repetition_penalty");
  sampling.presence_penalty = fields.real("presence_penalty");
  sampling.frequency_penalty = fields.real("frequency_penalty");
  sampling.max_tokens = fields.count("max_tokens");
  sampling.min_tokens = fields.count("min_tokens");
  sampling.ignore_eos = fields.flag("ignore_eos");
  sampling.more = fields.flag("more");
  fields.finish();
  return sampling;
}

ReceiptPrompt read_prompt(const json& object) {
  ClaimFields fields(object, "a prompt");
  ReceiptPrompt prompt;
  prompt.tokens = fields.count("tokens");
  prompt.ids = fields.bytes<32>("ids");
  fields.finish();
  return prompt;
}

ReceiptAnswer read_answer(const json& object, std::size_t prompts) {
  ClaimFields fields(object, "an answer");
  ReceiptAnswer answer;
  answer.prompt = fields.count("prompt");
  if (answer.prompt >= prompts) refuse_receipt("an answer is to a prompt that is not there");
  answer.seed = fields.long_number("seed");
  answer.tokens = fields.count("tokens");
  answer.ids = fields.bytes<32>("ids");
  answer.text = fields.bytes<32>("text");
  answer.finish = fields.text("finish");
  fields.finish();
  return answer;
}

const json& list_of(ClaimFields& fields, const char* name) {
  const json& list = fields.take(name);
  if (!list.is_array()) refuse_receipt(std::string(name) + " is no list");
  return list;
}

void read_place(ClaimFields& fields, Receipt& receipt) {
  receipt.service = fields.text("iss");
  receipt.issued = TimePoint(Seconds(
      static_cast<std::int64_t>(fields.number("iat", u64{1} << 40)))); // far beyond any calendar
  receipt.id = fields.text("jti");
  receipt.chain = fields.bytes<16>("chain");
  receipt.number = fields.number("seq");
  if (receipt.number == 0) refuse_receipt("seq begins at 1");
  if (receipt.number > 1) receipt.previous = fields.bytes<32>("prev");
}

void read_exchange(ClaimFields& fields, Receipt& receipt) {
  receipt.endpoint = fields.text("endpoint");
  if (std::ranges::find(kReceiptEndpoints, receipt.endpoint) == std::end(kReceiptEndpoints))
    refuse_receipt("endpoint is none that gives receipts");
  receipt.stream = fields.flag("stream");
  receipt.cut = fields.flag("cut");
  receipt.request = fields.bytes<32>("req");
  receipt.response = fields.bytes<32>("res");
}

/// Name and root of the model, or of an adapter beside it.
void read_name_and_root(const json& object, const char* what, std::string& name,
                        Sha256Digest& digest) {
  ClaimFields fields(object, what);
  name = fields.text("name");
  const auto root = from_hex(fields.text("root"));
  if (!root || root->size() != digest.size())
    refuse_receipt(std::string(what) + ": root does not have 32 bytes");
  std::ranges::copy(*root, digest.begin());
  fields.finish();
}

void read_model(ClaimFields& fields, Receipt& receipt) {
  read_name_and_root(fields.take("model"), "model", receipt.model, receipt.model_root);
  if (fields.has("adapter")) {
    AdapterClaim& adapter = receipt.adapter.emplace();
    read_name_and_root(fields.take("adapter"), "adapter", adapter.name, adapter.root);
  }
  receipt.weights = fields.text("weights");
  receipt.scheme = fields.text("scheme");
  receipt.parameters = fields.text("parameters");
  receipt.integrity = fields.text("integrity");
  receipt.kv = fields.text("kv");
  receipt.software = fields.text("software");
  receipt.fingerprint = fields.text("fingerprint");
}

Receipt read_receipt(std::string_view text) {
  const json object = strict_json(text, kMaxClaimsBytes, Stage::format, "receipt");
  ClaimFields fields(object, "the receipt");
  if (fields.take("v") != 1) refuse_receipt("its version is not 1");
  Receipt receipt;
  read_place(fields, receipt);
  read_exchange(fields, receipt);
  read_model(fields, receipt);
  receipt.sampling = read_sampling(fields.take("sampling"));
  for (const json& each : list_of(fields, "prompts")) receipt.prompts.push_back(read_prompt(each));
  for (const json& each : list_of(fields, "answers"))
    receipt.answers.push_back(read_answer(each, receipt.prompts.size()));
  if (fields.has("sim")) {
    receipt.simulated = fields.flag("sim");
    if (!receipt.simulated) refuse_receipt("sim stands there only if it is true");
  }
  fields.finish();
  return receipt;
}

void require_lines(const Receipt& receipt) {
  for (const std::string* text : {&receipt.service, &receipt.id, &receipt.model, &receipt.weights,
                                  &receipt.scheme, &receipt.parameters, &receipt.integrity,
                                  &receipt.kv, &receipt.software, &receipt.fingerprint})
    if (!is_claim_line(*text))
      throw Error(Errc::usage, "a text of the receipt is no line of 256 printable characters");
}

} // namespace

Sha256Digest salted(const Salt& salt, const Sha256Digest& of_bytes) {
  Sha256 hash;
  hash.update(salt);
  hash.update(of_bytes);
  return hash.finish();
}

Sha256Digest salted_ids(const Salt& salt, std::span<const u32> ids) {
  Sha256 hash;
  for (const u32 id : ids) {
    const std::array<u8, 4> bytes{static_cast<u8>(id), static_cast<u8>(id >> 8),
                                  static_cast<u8>(id >> 16), static_cast<u8>(id >> 24)};
    hash.update(bytes);
  }
  return salted(salt, hash.finish());
}

Sha256Digest salted_text(const Salt& salt, std::string_view text) {
  return salted(salt, sha256(as_bytes(text)));
}

std::string to_json(const Receipt& receipt) {
  require_lines(receipt);
  Ordered object{{"v", 1},
                 {"iss", receipt.service},
                 {"iat", receipt.issued.time_since_epoch().count()},
                 {"jti", receipt.id},
                 {"chain", to_base64url(receipt.chain)},
                 {"seq", receipt.number}};
  if (receipt.previous) object["prev"] = to_base64url(*receipt.previous);
  if (receipt.adapter && !is_claim_line(receipt.adapter->name))
    throw Error(Errc::usage, "the adapter's name is no line of 256 printable characters");
  object.update(Ordered{{"endpoint", receipt.endpoint},
                        {"stream", receipt.stream},
                        {"cut", receipt.cut},
                        {"req", to_base64url(receipt.request)},
                        {"res", to_base64url(receipt.response)},
                        {"model", {{"name", receipt.model}, {"root", to_hex(receipt.model_root)}}},
                        {"weights", receipt.weights},
                        {"scheme", receipt.scheme},
                        {"parameters", receipt.parameters},
                        {"integrity", receipt.integrity},
                        {"kv", receipt.kv},
                        {"software", receipt.software},
                        {"fingerprint", receipt.fingerprint},
                        {"sampling", sampling_json(receipt.sampling)},
                        {"prompts", Ordered::array()},
                        {"answers", Ordered::array()}});
  for (const ReceiptPrompt& prompt : receipt.prompts)
    object["prompts"].push_back({{"tokens", prompt.tokens}, {"ids", to_base64url(prompt.ids)}});
  for (const ReceiptAnswer& answer : receipt.answers)
    object["answers"].push_back(answer_json(answer));
  if (receipt.adapter)
    object["adapter"] = {{"name", receipt.adapter->name}, {"root", to_hex(receipt.adapter->root)}};
  if (receipt.simulated) object["sim"] = true;
  return object.dump();
}

Parsed<Receipt> parse_receipt(std::string_view text) {
  return guarded([text] { return read_receipt(text); });
}

} // namespace talaria::attest
