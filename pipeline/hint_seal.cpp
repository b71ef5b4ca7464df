#include "pipeline/hint_seal.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/secret.hpp"

namespace talaria::pipeline {

HintSeal::HintSeal(const SealKey& key, const Sha256Digest& model_root)
    : key_(key), model_root_(model_root) {
  SealKey named = derive_key(key_, model_root_, std::string_view("talaria hint key id v1"));
  const Sha256Digest digest = sha256(named);
  wipe(named.data(), named.size());
  std::copy_n(digest.begin(), key_id_.size(), key_id_.begin());
}

HintSeal::~HintSeal() {
  wipe(key_.data(), key_.size());
}

Seal HintSeal::of_file(const Salt& salt) const {
  SealKey key = derive_key(key_, salt, std::string_view("talaria hint file v2"));
  Seal seal(key);
  wipe(key.data(), key.size());
  return seal;
}

namespace {

/// The chip's key belongs to the platform and not to a model; the owner's is made for one.
SealKey of_chip(const SealKey& chip, const Sha256Digest& model_root) {
  return derive_key(chip, model_root, std::string_view("talaria hint cache v1, chip"));
}

KeptHints sealed_by(SealKey key, const Sha256Digest& model_root, const char* whose) {
  KeptHints kept;
  kept.seal = std::make_shared<const HintSeal>(key, model_root);
  kept.line = std::string("hints on this disk are sealed with ") + whose;
  wipe(key.data(), key.size());
  return kept;
}

} // namespace

KeptHints kept_hints(HintSealing sealing, const std::optional<SealKey>& owner,
                     const std::function<std::optional<SealKey>()>& chip,
                     const Sha256Digest& model_root) {
  const bool any = sealing == HintSealing::automatic;
  if (sealing == HintSealing::plain) return {};
  if (owner && (any || sealing == HintSealing::owner))
    return sealed_by(*owner, model_root, "the key that the owner of the weights gave");
  if (sealing == HintSealing::owner)
    throw Error(Errc::config,
                "hints.seal is owner, and no worker has given a key (talaria-worker "
                "--require-attestation POLICY --seal-secret FILE); with auto the start would "
                "go on without keeping hints");
  if (any || sealing == HintSealing::chip) {
    const auto derived = chip ? chip() : std::nullopt;
    if (derived)
      return sealed_by(of_chip(*derived, model_root), model_root, "a key of this processor");
    if (!any)
      throw Error(Errc::config,
                  "hints.seal is chip, and this platform derives no key; only SEV-SNP does "
                  "(serve.attestation); with auto the start would go on without keeping hints");
  }
  KeptHints none;
  none.keep = false;
  if (any)
    none.line = "hints are not kept on this disk: there is no key to seal them with (hints.seal)";
  return none;
}

} // namespace talaria::pipeline
