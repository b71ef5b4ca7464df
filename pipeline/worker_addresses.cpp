#include "pipeline/worker_addresses.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "core/error.hpp"
#include "transport/resolve.hpp"

namespace talaria::pipeline {

namespace {

constexpr std::chrono::seconds kLookUp{5};
constexpr std::chrono::milliseconds kBetweenLooks{200};

std::vector<std::string> look_up(const ClusterOptions& options, const std::string& host) {
  std::vector<std::string> found =
      options.resolve ? options.resolve(host)
                      : transport::addresses_of(host, std::chrono::steady_clock::now() + kLookUp);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  if (found.empty()) throw Error(Errc::no_worker, host + ": the name has no address");
  return found;
}

} // namespace

bool any_each_address(const std::vector<ClusterNode>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const ClusterNode& node) { return node.each_address; });
}

std::vector<ClusterNode> with_addresses(const ClusterOptions& options,
                                        const std::vector<ClusterNode>& known) {
  std::vector<ClusterNode> all;
  for (std::size_t i = 0; i < options.nodes.size(); ++i) {
    const ClusterNode& entry = options.nodes[i];
    if (!entry.each_address) {
      all.push_back(entry);
      continue;
    }
    std::vector<std::string> addresses;
    try {
      addresses = look_up(options, entry.address.host);
    } catch (const Error&) {
      for (const ClusterNode& node : known)
        if (node.name == entry.name + "@" + node.address.host)
          addresses.push_back(node.address.host);
      if (addresses.empty()) throw;
    }
    for (const std::string& address : addresses) {
      ClusterNode& node = all.emplace_back(entry);
      node.name = entry.name + "@" + address;
      node.address.host = address;
      node.each_address = false;
      node.equals = static_cast<u32>(i) + 1;
    }
  }
  return all;
}

std::vector<ClusterNode> await_addresses(const ClusterOptions& options) {
  const auto limit = std::chrono::steady_clock::now() + options.ready;
  for (;;) {
    try {
      return with_addresses(options, {});
    } catch (const Error&) {
      if (std::chrono::steady_clock::now() >= limit) throw;
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

} // namespace talaria::pipeline
