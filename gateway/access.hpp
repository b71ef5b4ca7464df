#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/keys.hpp"
#include "gateway/limits.hpp"

namespace talaria::gateway {

struct AccessOptions {
  /// The file of keys; nothing: everybody who can connect is served.
  std::optional<std::filesystem::path> keys;
  /// Requests without a key are served as well: whoever opens a socket in the file system has the
  /// permission to. A wrong key is refused all the same.
  bool key_optional = false;
  /// Of keys that have none of their own, and of addresses.
  ClientLimits limits;
};

/// Says who asks, or that he may not. Thread-safe.
class Access {
public:
  /// @param log  told what is wrong with a changed file of keys
  /// @throws Error as read_keys()
  Access(const AccessOptions& options, std::function<void(const std::string&)> log);

  /// @param authorization  the header of that name, may be empty
  /// @param address        the other end's IP address; empty: a socket in the file system
  /// @param api_key        the header X-Api-Key, as Anthropic's clients send it; counts only
  /// without an `authorization`
  /// @throws ApiError 401
  Client identify(std::string_view authorization, const std::string& address,
                  std::string_view api_key = {});

private:
  Client by_key(std::string_view key);

  const AccessOptions options_;
  std::optional<KeyRing> keys_;
};

/// What stands for one customer of the Internet: an IPv4 address, or the /64 of an IPv6 address.
std::string network_of(const std::string& address);

} // namespace talaria::gateway
