#include "gateway/receipt_draft.hpp"

#include "core/kernel_random.hpp"

namespace talaria::gateway {

namespace {

constexpr std::size_t kLongestField = 7 << 10; // common clients take heads of 8 or 16 KiB

/// Whether something in the request matters to its answers that the receipt does not say.
bool asks_for_more(const ApiRequest& request) {
  const model::SamplingParameters& sampling = request.sampling;
  return is_pooled(request.dialect) || !request.stops.empty() || !request.stop_tokens.empty() ||
         request.with_stop || !request.skip_special || request.form.kind != AnswerForm::Kind::any ||
         request.tools.expected || !sampling.logit_bias.empty() || !sampling.allowed.empty() ||
         !sampling.banned.empty();
}

attest::ReceiptSampling sampling_of(const ApiRequest& request) {
  const model::SamplingParameters& given = request.sampling;
  attest::ReceiptSampling out;
  out.temperature = given.temperature;
  out.top_p = given.top_p;
  out.top_k = given.top_k;
  out.min_p = given.min_p;
  out.repetition_penalty = given.repetition_penalty;
  out.presence_penalty = given.presence_penalty;
  out.frequency_penalty = given.frequency_penalty;
  out.max_tokens = request.max_tokens;
  out.min_tokens = given.min_tokens;
  out.ignore_eos = request.ignore_eos;
  out.more = asks_for_more(request);
  return out;
}

} // namespace

ReceiptDraft::ReceiptDraft(ReceiptBook& book, Dialect dialect, std::string client,
                           std::string_view body)
    : book_(book), client_(std::move(client)), receipt_(book.terms()) {
  kernel_random(salts_.request);
  kernel_random(salts_.response);
  receipt_.endpoint = endpoint_of(dialect);
  receipt_.request = attest::salted_text(salts_.request, body);
}

void ReceiptDraft::asked(const ApiRequest& request, const std::vector<std::vector<u32>>& prompts) {
  receipt_.stream = request.stream;
  receipt_.sampling = sampling_of(request);
  for (const std::vector<u32>& prompt : prompts)
    receipt_.prompts.push_back(
        {static_cast<u32>(prompt.size()), attest::salted_ids(salts_.request, prompt)});
}

void ReceiptDraft::adapted(const ServedAdapter& adapter) {
  receipt_.adapter = attest::AdapterClaim{adapter.name, adapter.digest};
  receipt_.fingerprint = fingerprint_with(receipt_.fingerprint, adapter);
}

void ReceiptDraft::answered(std::size_t prompt, u64 seed, const pipeline::Completion& completion) {
  attest::ReceiptAnswer answer;
  answer.prompt = static_cast<u32>(prompt);
  answer.seed = seed;
  answer.tokens = static_cast<u32>(completion.tokens.size());
  answer.ids = attest::salted_ids(salts_.response, completion.tokens);
  answer.text = attest::salted_text(salts_.response, completion.text);
  answer.finish = to_string(completion.reason);
  receipt_.answers.push_back(std::move(answer));
}

attest::ReceiptRecord ReceiptDraft::sign(const std::string& id, bool cut) {
  receipt_.id = id;
  receipt_.cut = cut;
  receipt_.response = attest::salted(salts_.response, body_.finish());
  return book_.issue(client_, std::move(receipt_), salts_);
}

void set_receipt(const attest::ReceiptRecord& record, const std::string& id,
                 HttpResponse& response) {
  if (record.jws.size() > kLongestField)
    return response.set_header(kReceiptHeader, "/v1/receipts/" + id);
  response.set_header(kReceiptHeader, record.jws);
  response.set_header(kReceiptSaltsHeader, attest::to_text(record.salts));
}

std::string receipt_comment(const attest::ReceiptRecord& record) {
  return ": talaria-receipt " + record.jws + " " + attest::to_text(record.salts) + "\n\n";
}

} // namespace talaria::gateway
