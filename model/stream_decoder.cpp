#include "model/token_table.hpp"
#include "model/tokenizer.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

/// How much of `bytes` later bytes cannot change: all but an unfinished character at the end.
std::size_t settled(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const utf8::Step next = utf8::step(bytes, at);
    if (next.truncated) return at;
    at += next.length;
  }
  return bytes.size();
}

} // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special,
                             std::shared_ptr<const TokenTable> table)
    : tokenizer_(&tokenizer), skip_special_(skip_special), table_(std::move(table)) {}

std::string StreamDecoder::push(u32 id) {
  if (table_ == nullptr)
    tokenizer_->append_bytes(id, skip_special_, state_, pending_);
  else if (const auto bytes = table_->find(id, state_.first))
    tokenizer_->join(*bytes, state_, pending_);
  const std::size_t ready = settled(pending_);
  std::string out = replace_invalid_utf8(std::string_view(pending_).substr(0, ready));
  pending_.erase(0, ready);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = replace_invalid_utf8(pending_);
  pending_.clear();
  return out;
}

} // namespace talaria::model
