#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"

namespace talaria::gateway {

/// An adapter as clients may name it in the place of the model.
struct ServedAdapter {
  std::string name;
  Sha256Digest digest{}; ///< model::Adapter::digest()
  /// Names of the keys whose holders may use it; empty: everybody may.
  std::vector<std::string> keys{};
};

/// Which adapters there are, and for whom.
class ServedAdapters {
public:
  ServedAdapters() = default;
  explicit ServedAdapters(std::vector<ServedAdapter> all) : all_(std::move(all)) {}

  const std::vector<ServedAdapter>& all() const noexcept { return all_; }
  /// nullptr if there is none of this name.
  const ServedAdapter* find(std::string_view name) const;
  /// Those that `client` (Client::name) may use; to it the others are as if they were not there.
  ServedAdapters open_to(std::string_view client) const;

private:
  std::vector<ServedAdapter> all_;
};

/// `system_fingerprint` of answers with an adapter, by that of answers without; empty if that is.
std::string fingerprint_with(const std::string& fingerprint, const ServedAdapter& adapter);

} // namespace talaria::gateway
