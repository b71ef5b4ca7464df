#pragma once

#include <memory>
#include <string>

#include "model/marked_text.hpp"
#include "model/tokenization/json_node.hpp"

namespace talaria::model {

/// Rewrites a stretch of text before it is cut: Unicode normal forms, replacements, a prefix.
class Normalizer {
public:
  virtual ~Normalizer() = default;
  virtual MarkedText apply(MarkedText text) const = 0;
  /// No text becomes shorter than its bytes divided by this; 0: there is no such bound.
  virtual std::size_t shrinks() const = 0;
};

/// The "normalizer" of a tokenizer.json; null pointer for null.
std::unique_ptr<Normalizer> parse_normalizer(const JsonNode& node);

} // namespace talaria::model
