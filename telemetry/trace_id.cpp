#include "telemetry/trace_id.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <random>

namespace talaria::telemetry {

u64 new_trace_id() {
  static std::atomic<u64> next{std::random_device{}() * (u64{1} << 32) + std::random_device{}()};
  constexpr u64 kOdd = 0x9e3779b97f4a7c15; // consecutive ones look nothing alike
  return std::max<u64>(1, next.fetch_add(1) * kOdd);
}

std::string to_hex(u64 trace_id) {
  return fmt::format("{:016x}", trace_id);
}

std::optional<TraceContext> parse_traceparent(std::string_view header) noexcept {
  // 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01, later versions with more behind it.
  constexpr std::size_t kLength = 55;
  constexpr std::size_t kDashes[] = {2, 35, 52};
  if (header.size() < kLength || (header.size() > kLength && header[kLength] != '-'))
    return std::nullopt;
  for (std::size_t i = 0; i < kLength; ++i) {
    const bool dash = std::find(std::begin(kDashes), std::end(kDashes), i) != std::end(kDashes);
    const bool digit = (header[i] >= '0' && header[i] <= '9') ||
                       (header[i] >= 'a' && header[i] <= 'f'); // capitals are not allowed
    if (dash ? header[i] != '-' : !digit) return std::nullopt;
  }
  if (header.starts_with("ff") || (header.starts_with("00") && header.size() > kLength))
    return std::nullopt;
  const auto number = [&](std::size_t begin, std::size_t digits) {
    u64 value = 0;
    std::from_chars(header.data() + begin, header.data() + begin + digits, value, 16);
    return value;
  };
  const TraceContext context{number(3, 16), number(19, 16), number(36, 16),
                             (number(53, 2) & 1) != 0};
  if (context.low == 0) return std::nullopt;
  return context;
}

} // namespace talaria::telemetry
