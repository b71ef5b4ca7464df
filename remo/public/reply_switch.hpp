#pragma once

#include <cstddef>

#include "core/matrix.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::remo {

/// The worker's last step for ProductKind::switched (docs/protocol.md, Switched replies): `count`
/// words mod q, the modulus of `format`, to values of reply_bytes() bytes, round(y q_d / q) mod
/// q_d. Exact; a tie cannot occur, q being odd. Words must be below q.
AlignedBuffer<u8> switch_reply(const WordFormat& format, const u8* words, std::size_t count);

/// The enclave's inverse: round(y q / q_d) mod q, halves upward, as words mod q. Off by at most
/// q / (2 q_d) + 1 from the word that was switched. Every reply word must be below q_d.
void unswitch_reply(const WordFormat& format, const u8* reply, std::size_t count, u8* words);

} // namespace talaria::remo
