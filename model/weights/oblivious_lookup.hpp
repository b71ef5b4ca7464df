#pragma once

#include <span>

#include "core/integers.hpp"
#include "core/matrix.hpp"
#include "core/thread_team.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

/// Rows `tokens` of the table as fp32, as EmbeddingTable::lookup gives them, by one pass over the
/// whole table for all of them: no address, branch or count of instructions depends on a token.
/// A pass reads the table from memory once (0.5 GB for a vocabulary of 128,256 and 2,048 values of
/// bf16), so that the rows of several sequences cost hardly more than one.
///   out  [tokens.size(), hidden]
/// @throws Error{internal} for a token outside the table; that there is one may be seen.
void lookup_obliviously(const EmbeddingTable& table, std::span<const u32> tokens,
                        MatrixView<float> out, ThreadTeam& team);

} // namespace talaria::model
