#include "gateway/pooling_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "gateway/event_frame.hpp"
#include "model/pooling.hpp"

namespace talaria::gateway {

namespace {

/// Nine digits tell one fp32 from every other. A blank in the place of a sign, and always two
/// digits of exponent.
void write_number(fmt::memory_buffer& out, float x) {
  fmt::format_to(std::back_inserter(out), "{: .8e}", x);
}

/// RFC 4648, of the numbers in little-endian order.
void write_base64(fmt::memory_buffer& out, std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* bytes = reinterpret_cast<const u8*>(values.data());
  const std::size_t size = values.size_bytes();
  for (std::size_t at = 0; at < size; at += 3) {
    const std::size_t count = std::min<std::size_t>(3, size - at);
    u32 group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? bytes[at + i] : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      out.push_back(i <= count ? kDigits[group >> (18 - 6 * i) & 63] : '=');
  }
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

/// What the documents that are told fall short of the longest ones that they might have been: which
/// are the best must not show by a length.
std::size_t spare_bytes(const std::vector<std::string>& documents,
                        const std::vector<std::size_t>& told) {
  std::vector<std::size_t> sizes;
  for (const std::string& document : documents) sizes.push_back(quoted(document).size());
  std::size_t spare = 0;
  for (const std::size_t i : told) spare -= sizes[i]; // modulo 2^64, as the sum is
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  for (std::size_t i = 0; i < told.size(); ++i) spare += sizes[i];
  return spare;
}

std::string text_of(const fmt::memory_buffer& buffer) {
  return {buffer.data(), buffer.size()};
}

} // namespace

PooledWriter::PooledWriter(ResponseShape shape, std::string_view id_prefix)
    : AnswerWriter(std::move(shape)), id_(random_id(id_prefix)), created_(seconds_since_1970()) {}

std::string PooledWriter::body(const std::string& list, Usage usage) const {
  std::string head = fmt::format(R"({{"id":"{}","object":"list","created":{},"model":{},)", id_,
                                 created_, nlohmann::json(shape().model).dump());
  if (!shape().fingerprint.empty())
    head += fmt::format(R"("system_fingerprint":"{}",)", shape().fingerprint);
  return whole_body(
      fmt::format(R"({}{},"usage":{{"prompt_tokens":{:10},"total_tokens":{:10},)"
                  R"("completion_tokens":0,"prompt_tokens_details":{{"cached_tokens":{:10}}}}}}})",
                  head, list, usage.prompt_tokens, usage.prompt_tokens, usage.cached_tokens),
      shape().room > 0);
}

std::string EmbeddingsWriter::whole(std::span<const WholeAnswer> answers, Usage usage) {
  fmt::memory_buffer out;
  const auto add = [&out](std::string_view text) {
    out.append(text.data(), text.data() + text.size());
  };
  add(R"("data":[)");
  for (std::size_t i = 0; i < answers.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}{{"object":"embedding","index":{},"embedding":)",
                   i == 0 ? "" : ",", i);
    add(base64_ ? "\"" : "[");
    if (base64_) write_base64(out, answers[i].pooled);
    for (std::size_t k = 0; !base64_ && k < answers[i].pooled.size(); ++k) {
      if (k > 0) add(",");
      write_number(out, answers[i].pooled[k]);
    }
    add(base64_ ? "\"}" : "]}");
  }
  add("]");
  return body(text_of(out), usage);
}

ScoresWriter::ScoresWriter(ResponseShape shape, Dialect dialect, const PoolingUse& use,
                           std::vector<std::string> documents)
    : PooledWriter(std::move(shape), dialect == Dialect::score ? "score-" : "rerank-"),
      dialect_(dialect), use_(use), documents_(std::move(documents)) {}

/// A model that scores has one number for each pair; others have a vector for each text.
std::vector<float> ScoresWriter::scores_of(std::span<const WholeAnswer> answers) const {
  std::vector<float> scores;
  if (answers.front().pooled.size() == 1) {
    for (const WholeAnswer& answer : answers) scores.push_back(answer.pooled.front());
    return scores;
  }
  const std::size_t firsts = use_.firsts;
  for (std::size_t i = firsts; i < answers.size(); ++i)
    scores.push_back(
        model::cosine(answers[firsts == 1 ? 0 : i - firsts].pooled, answers[i].pooled));
  return scores;
}

std::string ScoresWriter::whole(std::span<const WholeAnswer> answers, Usage usage) {
  const std::vector<float> scores = scores_of(answers);
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const bool ranks = dialect_ == Dialect::rerank;
  if (ranks)
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  if (use_.best != 0 && use_.best < order.size()) order.resize(use_.best);
  const bool with_texts = ranks && use_.with_documents;
  fmt::memory_buffer out;
  const auto to = std::back_inserter(out);
  fmt::format_to(to, R"("{}":[)", ranks ? "results" : "data");
  for (std::size_t i = 0; i < order.size(); ++i) {
    fmt::format_to(to, R"({}{{"index":{:4},)", i == 0 ? "" : ",", order[i]);
    if (with_texts)
      fmt::format_to(to, R"("document":{{"text":{}}},)", quoted(documents_[order[i]]));
    fmt::format_to(to, "{}", ranks ? "\"relevance_score\":" : "\"object\":\"score\",\"score\":");
    write_number(out, scores[order[i]]);
    out.push_back('}');
  }
  out.push_back(']');
  const std::size_t blanks = with_texts ? spare_bytes(documents_, order) : 0;
  return body(text_of(out) + std::string(blanks, ' '), usage);
}

} // namespace talaria::gateway
