#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"
#include "model/tokenizer.hpp"

namespace talaria::pipeline {

/// What an answer's text holds beside its ordinary tokens.
struct TextOptions {
  bool with_stop = false;   ///< the stop string that ends it
  bool skip_special = true; ///< no special tokens
};

/// Text of one answer as it grows: whole characters only, nothing of a stop string, and nothing
/// that could still become one is shown before it is certain.
class TextStream {
public:
  TextStream() = default; ///< of a model without a tokenizer: no text ever
  /// `table`: see model::StreamDecoder.
  TextStream(const model::Tokenizer& tokenizer, std::vector<std::string> stops,
             std::shared_ptr<const model::TokenTable> table = nullptr, TextOptions options = {});

  /// The text that became certain with this token; empty while nothing did.
  std::string push(u32 token);
  /// True once a stop string has appeared; later tokens add nothing.
  bool stopped() const noexcept { return !stopped_by_.empty(); }
  const std::string& stopped_by() const noexcept { return stopped_by_; }
  /// What was held back, at the end of the answer.
  std::string finish();

private:
  std::string release(bool everything);

  std::optional<model::StreamDecoder> decoder_;
  std::vector<std::string> stops_;
  std::string held_;
  std::string stopped_by_;
  bool with_stop_ = false;
};

} // namespace talaria::pipeline
