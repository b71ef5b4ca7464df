#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "gateway/json_fields.hpp"
#include "gateway/request_fields.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

/// Of one request: what frameworks send at once, and what a receipt has room for.
constexpr std::size_t kMostTexts = 1024;

void accept_text(const std::string& field, const json& value, Draft&) {
  text_of(field, value);
}

/// Those that clients send with any request, and vLLM's for vectors with the values that are ours.
FieldReaders pooling_readers() {
  FieldReaders readers;
  readers["model"] = read_model;
  for (const char* label : {"user", "request_id", "cache_salt", "safety_identifier"})
    readers[label] = accept_text;
  readers["priority"] = only({0}, "requests have no priorities");
  readers["stream"] = only({false}, "a vector comes as a whole");
  readers["mm_processor_kwargs"] = only({json::object()}, "there is only text");
  const char* kCut = "texts are not cut here; send what fits into the context";
  readers["truncate_prompt_tokens"] = only({}, kCut);
  readers["max_tokens_per_doc"] = readers["max_chunks_per_doc"] = only({}, kCut);
  readers["softmax"] = readers["activation"] = readers["use_activation"] =
      only({true}, "scores are what the model's own function makes of them");
  readers["add_special_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.add_special_tokens = flag_of(field, value);
  };
  return readers;
}

FieldReaders embedding_readers() {
  FieldReaders readers = pooling_readers();
  readers["input"] = read_prompt;
  readers["messages"] = only({}, "give the text that is to become a vector as input");
  readers["normalize"] = only({true}, "a model's own settings say whether vectors have length 1");
  readers["embed_dtype"] = only({"float32"}, "numbers are fp32");
  readers["endianness"] = only({"native", "little"}, "bytes are in little-endian order");
  readers["dimensions"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.pooling.dimensions = whole_number_of(field, value, 1);
  };
  readers["encoding_format"] = [](const std::string& field, const json& value, Draft& draft) {
    const std::string format = text_of(field, value);
    if (format != "float" && format != "base64")
      throw bad_field(field, field + " must be float or base64");
    draft.request.pooling.base64 = format == "base64";
  };
  return readers;
}

/// A text, or an object that holds nothing else.
std::string compared_text(const std::string& field, const json& value) {
  const json& text = value.is_object() && value.size() == 1 ? value.value("text", json()) : value;
  std::string out = text_of(field, text);
  if (out.empty()) throw bad_field(field, field + " is empty");
  return out;
}

std::vector<std::string> compared_texts(const std::string& field, const json& value) {
  if (!value.is_array()) return {compared_text(field, value)};
  if (value.empty()) throw bad_field(field, field + " is an empty list");
  if (value.size() > kMostTexts)
    throw bad_field(field, fmt::format("{} has more than {} texts", field, kMostTexts));
  std::vector<std::string> out;
  for (std::size_t i = 0; i < value.size(); ++i)
    out.push_back(compared_text(fmt::format("{}[{}]", field, i), value[i]));
  return out;
}

FieldReader texts_into(std::vector<std::string> Draft::*member) {
  return [member](const std::string& field, const json& value, Draft& draft) {
    if (!(draft.*member).empty())
      throw bad_field(field, field + " stands beside a field that means the same");
    draft.*member = compared_texts(field, value);
  };
}

void add_instruction(FieldReaders& readers) {
  readers["instruction"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.pooling.instruction = text_of(field, value);
  };
}

FieldReaders score_readers() {
  FieldReaders readers = pooling_readers();
  add_instruction(readers);
  for (const char* name : {"text_1", "data_1", "queries"})
    readers[name] = texts_into(&Draft::first_texts);
  for (const char* name : {"text_2", "data_2", "documents", "items"})
    readers[name] = texts_into(&Draft::second_texts);
  return readers;
}

FieldReaders rerank_readers() {
  FieldReaders readers = pooling_readers();
  add_instruction(readers);
  readers["query"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.first_texts = {compared_text(field, value)};
  };
  readers["documents"] = texts_into(&Draft::second_texts);
  readers["top_n"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.pooling.best = whole_number_of(field, value, 0);
  };
  readers["return_documents"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.pooling.with_documents = flag_of(field, value);
  };
  return readers;
}

/// Both lists one behind the other. A single text is compared with each of the others.
void settle_pairs(Draft& draft, const char* first, const char* second) {
  if (draft.first_texts.empty()) throw bad_field(first, fmt::format("{} is missing", first));
  if (draft.second_texts.empty()) throw bad_field(second, fmt::format("{} is missing", second));
  if (draft.first_texts.size() != 1 && draft.first_texts.size() != draft.second_texts.size())
    throw bad_field(first,
                    fmt::format("{} must be one text, or as many as {}: they are {} and {}", first,
                                second, draft.first_texts.size(), draft.second_texts.size()));
  ApiRequest& request = draft.request;
  request.pooling.firsts = draft.first_texts.size();
  for (auto* texts : {&draft.first_texts, &draft.second_texts})
    for (std::string& text : *texts) request.prompts.emplace_back(std::move(text));
}

} // namespace

ApiRequest parse_pooling_request(Dialect dialect, std::string_view body,
                                 const ApiDefaults& defaults) {
  static const FieldReaders embeddings = embedding_readers();
  static const FieldReaders scores = score_readers();
  static const FieldReaders ranks = rerank_readers();
  ApiDefaults many = defaults; // a text takes a place when one is free
  many.prompts = kMostTexts;
  const FieldReaders& readers = dialect == Dialect::embeddings ? embeddings
                                : dialect == Dialect::score    ? scores
                                                               : ranks;
  Draft draft = read_draft(body, many, readers, 0);
  draft.request.dialect = dialect;
  if (dialect == Dialect::score) settle_pairs(draft, "text_1", "text_2");
  if (dialect == Dialect::rerank) settle_pairs(draft, "query", "documents");
  if (draft.request.prompts.empty()) throw bad_field("input", "input is missing");
  return std::move(draft.request);
}

} // namespace talaria::gateway
