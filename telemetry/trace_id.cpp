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

std::optional<u64> parse_traceparent(std::string_view header) noexcept {
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
  u64 id = 0;
  const char* last = header.data() + 35; // behind the trace-id
  std::from_chars(last - 16, last, id, 16);
  if (id == 0) return std::nullopt;
  return id;
}

} // namespace talaria::telemetry
