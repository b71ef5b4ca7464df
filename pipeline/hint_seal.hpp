#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/seal.hpp"

namespace talaria::pipeline {

/// What the hints on this disk are sealed with (`hints.seal`). Hints determine the weights.
enum class HintSealing : u8 {
  plain,     ///< nothing: whoever has the disk can read them
  none,      ///< none are kept
  owner,     ///< a key that the owner of the weights gives after his verdict
  chip,      ///< a key that this processor derives for this program
  automatic, ///< the first of owner, chip and none that can be had
};

/// A key with what it is for, shared by all files of one load.
class HintSeal {
public:
  using Salt = std::array<u8, 32>;
  /// @param model_root  files of another model do not open
  HintSeal(const SealKey& key, const Sha256Digest& model_root);
  ~HintSeal();
  HintSeal(const HintSeal&) = delete;
  HintSeal& operator=(const HintSeal&) = delete;

  /// Names the key, and tells nothing of it: the start of SHA-256 over what is derived of it.
  const std::array<u8, 8>& key_id() const noexcept { return key_id_; }
  /// The seal of one file.
  Seal of_file(const Salt& salt) const;
  const Sha256Digest& model_root() const noexcept { return model_root_; }

private:
  SealKey key_;
  const Sha256Digest model_root_;
  std::array<u8, 8> key_id_{};
};

/// How hints are kept in this run.
struct KeptHints {
  bool keep = true;
  std::shared_ptr<const HintSeal> seal; ///< null: as they are
  std::string line;                     ///< for the log; empty: nothing to say
};

/// @param owner  the key that a worker gave, if one did
/// @param chip   asked only if it matters; empty: there is no such platform
/// @throws Error{config} if the seal that was asked for cannot be had.
KeptHints kept_hints(HintSealing sealing, const std::optional<SealKey>& owner,
                     const std::function<std::optional<SealKey>()>& chip,
                     const Sha256Digest& model_root);

} // namespace talaria::pipeline
