#pragma once

#include <vector>

#include "core/integers.hpp"
#include "model/tokenization/json_node.hpp"

namespace talaria::model {

/// The ids that a tokenizer puts around a text, e.g. BOS.
struct PostProcessor {
  std::vector<u32> before, after;
};

/// The "post_processor" of a tokenizer.json.
PostProcessor parse_post_processor(const JsonNode& node);

} // namespace talaria::model
