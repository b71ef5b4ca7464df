#include "gateway/access.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <cctype>
#include <cstring>

#include "core/digest.hpp"
#include "gateway/api_error.hpp"

namespace talaria::gateway {

namespace {

/// What stands behind "Bearer", or nothing.
std::optional<std::string_view> bearer_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(authorization[i])) != kScheme[i])
      return std::nullopt;
  const std::size_t begin = authorization.find_first_not_of(' ', kScheme.size());
  if (begin == std::string_view::npos) return std::nullopt;
  const std::size_t end = authorization.find_last_not_of(" \t");
  return authorization.substr(begin, end - begin + 1);
}

u32 own_or_default(u32 own, u32 otherwise) {
  return own != 0 ? own : otherwise;
}

} // namespace

std::string network_of(const std::string& address) {
  constexpr std::size_t kPrefixBytes = 8;
  in6_addr parsed{};
  if (::inet_pton(AF_INET6, address.c_str(), &parsed) != 1) return address;
  if (IN6_IS_ADDR_V4MAPPED(&parsed)) return address.substr(address.rfind(':') + 1);
  std::memset(parsed.s6_addr + kPrefixBytes, 0, sizeof parsed.s6_addr - kPrefixBytes);
  char text[INET6_ADDRSTRLEN];
  return fmt::format("{}/64", ::inet_ntop(AF_INET6, &parsed, text, sizeof text));
}

Access::Access(const AccessOptions& options, std::function<void(const std::string&)> log)
    : options_(options) {
  if (options_.keys) keys_.emplace(*options_.keys, std::move(log));
}

Client Access::identify(std::string_view authorization, const std::string& address,
                        std::string_view api_key) {
  const auto key = bearer_of(authorization);
  if (keys_ && key) return by_key(*key);
  if (keys_ && authorization.empty() && !api_key.empty()) return by_key(api_key);
  if (keys_ && (!options_.key_optional || !authorization.empty()))
    throw invalid_api_key("this server needs a key: send Authorization: Bearer KEY");
  return {address.empty() ? "socket" : "address " + network_of(address), options_.limits, {}};
}

Client Access::by_key(std::string_view key) {
  const auto found = keys_->find(key);
  if (!found) throw invalid_api_key("this API key is not known here");
  return {"key " + found->name,
          {own_or_default(found->limits.requests, options_.limits.requests),
           own_or_default(found->limits.tokens_per_minute, options_.limits.tokens_per_minute)},
          "key " + to_hex(found->hash)}; // not the name, which the next holder may get
}

} // namespace talaria::gateway
