#include "gateway/served_adapters.hpp"

#include <algorithm>

namespace talaria::gateway {

const ServedAdapter* ServedAdapters::find(std::string_view name) const {
  const auto found = std::find_if(all_.begin(), all_.end(),
                                  [name](const ServedAdapter& each) { return each.name == name; });
  return found == all_.end() ? nullptr : &*found;
}

ServedAdapters ServedAdapters::open_to(std::string_view client) const {
  constexpr std::string_view kKey = "key "; // Client::name of whoever has sent one
  const std::string_view key = client.starts_with(kKey) ? client.substr(kKey.size()) : "";
  std::vector<ServedAdapter> open;
  for (const ServedAdapter& each : all_)
    if (each.keys.empty() || std::find(each.keys.begin(), each.keys.end(), key) != each.keys.end())
      open.push_back(each);
  return ServedAdapters(std::move(open));
}

std::string fingerprint_with(const std::string& fingerprint, const ServedAdapter& adapter) {
  if (fingerprint.empty()) return {};
  const std::string text = fingerprint + "\nadapter " + to_hex(adapter.digest) + "\n";
  return "fp_" +
         to_hex(sha256({reinterpret_cast<const u8*>(text.data()), text.size()})).substr(0, 16);
}

} // namespace talaria::gateway
