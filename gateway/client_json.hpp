#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "gateway/byte_budget.hpp"

namespace talaria::gateway {

/// What a client's JSON may be, whatever it means.
struct JsonLimits {
  std::size_t depth = 64; ///< of lists and objects in each other; schemas of tools need some 20
  std::size_t key = 1024; ///< bytes of a name; names come back in messages
  /// Bytes of memory for each byte of the text. Ordinary requests need 2 to 12; `{},{},{},...`
  /// would need 30.
  std::size_t growth = 14;
  std::size_t least = std::size_t{64} << 10; ///< bytes of memory that any text may need
};

/// A value, and its memory's share of the budget for as long as it lives.
struct ClientJson {
  ByteBudget::Lease lease;
  nlohmann::json value;
};

/// The one door for JSON that a client wrote. Neither reading nor what comes out of it can exhaust
/// the stack or memory: nlohmann's values are copied and compared recursively, and need many times
/// the memory of their text.
/// @param budget  waits until it has room for the memory this text may need; null: no budget
/// @throws ApiError 400: not JSON in UTF-8, too deep, too costly for its length, a name twice in
/// one object (two readers would disagree which counts), a number out of range.
ClientJson parse_client_json(std::string_view text, ByteBudget* budget,
                             const JsonLimits& limits = {});

} // namespace talaria::gateway
