#include "transport/resolve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <thread>

#include "core/error.hpp"

namespace talaria::transport {

Resolution resolve(const Address& address, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const int error = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &list);
  if (error != 0) return {error, nullptr};
  return {0, std::shared_ptr<addrinfo>(list, ::freeaddrinfo)};
}

Resolution resolve_until(const Address& address, TimePoint deadline) {
  if (is_ip_address(address.host)) return resolve(address, AI_NUMERICHOST);
  auto promise = std::make_shared<std::promise<Resolution>>();
  std::future<Resolution> answer = promise->get_future();
  std::thread([promise, address] { promise->set_value(resolve(address, AI_ADDRCONFIG)); }).detach();
  if (answer.wait_until(deadline) != std::future_status::ready)
    throw Error(Errc::no_worker,
                fmt::format("{}: the name could not be resolved in time", to_string(address)));
  return answer.get();
}

std::vector<std::string> addresses_of(const std::string& host, TimePoint deadline) {
  const Resolution found = resolve_until({host, 0}, deadline);
  if (found.error != 0)
    throw Error(Errc::no_worker, fmt::format("{}: {}", host, ::gai_strerror(found.error)));
  std::vector<std::string> of_family[2];
  for (const addrinfo* a = found.addresses.get(); a != nullptr; a = a->ai_next) {
    char text[NI_MAXHOST] = {};
    if (::getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
        0)
      of_family[a->ai_family == AF_INET6 ? 1 : 0].emplace_back(text);
  }
  auto& all = of_family[0].empty() ? of_family[1] : of_family[0];
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (all.empty()) throw Error(Errc::no_worker, host + ": the name has no address");
  return all;
}

} // namespace talaria::transport
