#include "attest/collateral/bundle.hpp"

#include <nlohmann/json.hpp>

#include "attest/collateral/collateral_key.hpp"
#include "core/digest.hpp"

namespace talaria::attest {
namespace {

constexpr const char* kManifest = "manifest.json";

} // namespace

void Bundle::add(const EvidenceSet& set) {
  for (const auto& [item, place] : collateral_places(set))
    if (const Bytes content = set.get(item); !content.empty()) files_[place] = to_vector(content);
}

std::vector<std::string> Bundle::complete(EvidenceSet& set) const {
  std::vector<std::string> added;
  for (const auto& [item, place] : collateral_places(set)) {
    const auto found = files_.find(place);
    if (!set.get(item).empty() || found == files_.end()) continue;
    set.items[item] = found->second;
    added.push_back(item);
  }
  return added;
}

std::vector<u8> Bundle::to_tar() const {
  nlohmann::ordered_json manifest{{"v", 1}, {"files", nlohmann::ordered_json::array()}};
  for (const auto& [name, content] : files_) {
    const auto validity = validity_of(name, content);
    manifest["files"].push_back({{"name", name},
                                 {"sha256", to_hex(sha256(content))},
                                 {"in_force_until", validity ? to_text(validity->end) : ""}});
  }
  ArchiveFiles all = files_;
  const std::string text = manifest.dump(1) + "\n";
  all[kManifest] = to_vector(as_bytes(text));
  return write_tar(all);
}

Parsed<Bundle> Bundle::from_tar(Bytes bytes) {
  auto files = read_tar(bytes);
  if (!files) return files.refusal();
  Bundle bundle;
  bundle.files_ = std::move(*files);
  bundle.files_.erase(kManifest);
  return bundle;
}

} // namespace talaria::attest
