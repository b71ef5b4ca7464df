#include "remo/public/reply_switch.hpp"

#include <bit>

namespace talaria::remo {

AlignedBuffer<u8> switch_reply(const WordFormat& format, const u8* words, std::size_t count) {
  const kernels::Modulus q = format.modulus;
  const int shift = std::countr_zero(format.reply_modulus);
  const int bytes = format.reply_bytes();
  const double ratio = static_cast<double>(format.reply_modulus) / static_cast<double>(q.q);
  AlignedBuffer<u8> reply(count * static_cast<std::size_t>(bytes));
  u8* out = reply.data();
  for (std::size_t i = 0; i < count; ++i, words += q.word_bytes, out += bytes) {
    const u64 y = kernels::load_word(words, q.word_bytes);
    // The double quotient is off by less than 2 (q < 2^54); the wrapped remainder puts it right.
    u64 quotient = static_cast<u64>(static_cast<double>(y) * ratio);
    i64 rest = static_cast<i64>((y << shift) + q.q / 2 - quotient * q.q);
    for (; rest < 0; rest += static_cast<i64>(q.q)) --quotient;
    for (; rest >= static_cast<i64>(q.q); rest -= static_cast<i64>(q.q)) ++quotient;
    kernels::store_word(out, quotient & (format.reply_modulus - 1), bytes);
  }
  return reply;
}

void unswitch_reply(const WordFormat& format, const u8* reply, std::size_t count, u8* words) {
  const kernels::Modulus q = format.modulus;
  const int shift = std::countr_zero(format.reply_modulus);
  const int bytes = format.reply_bytes();
  for (std::size_t i = 0; i < count; ++i, reply += bytes, words += q.word_bytes) {
    const u128 product = u128{kernels::load_word(reply, bytes)} * q.q + format.reply_modulus / 2;
    const u64 y = static_cast<u64>(product >> shift);
    kernels::store_word(words, y >= q.q ? y - q.q : y, q.word_bytes);
  }
}

} // namespace talaria::remo
