#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "attest/binding/binding.hpp"
#include "attest/binding/nonce_request.hpp"
#include "attest/binding/statement.hpp"
#include "attest/endpoint/evidence_source.hpp"

namespace talaria::attest {

/// Makes evidence documents for whoever asks. Callers give a nonce and what they know of the
/// connection it came by; nobody chooses what a report is bound to. Thread-safe.
class Attester {
public:
  /// @param about  what the statement says; `instance`, `tls_key` and `issued` are set here
  /// @throws Error{usage} if it makes no statement, and what `source` throws: it is asked for a
  /// report at once, so that a platform that gives none shows before anybody connects.
  Attester(std::shared_ptr<EvidenceSource> source, Statement about);

  /// For a client, over the TLS connection whose exporter is `channel` (kExporterLabel) and whose
  /// server shows `key`. Nothing if too many wait for the platform already: ask again.
  /// @throws Error{io} if the platform gives none.
  std::optional<std::string> for_session(const Nonce& nonce, const std::array<u8, 32>& channel,
                                         const Sha256Digest& key);

  /// For a worker, over the link of which `channel` is channel_of_link() and in which the enclave
  /// shows `key`. As for_session().
  std::optional<std::string> for_link(const Nonce& nonce, const std::array<u8, 32>& channel,
                                      const Sha256Digest& key);

  /// Role 3, about a key and no connection: for archives and dashboards. Kept for ten minutes.
  std::optional<std::string> for_archive(const Sha256Digest& key);

  /// EvidenceSource::derived_key().
  std::optional<SealKey> derived_key();
  bool is_simulated() const noexcept { return source_->is_simulated(); }
  /// What the statements say, but for the key of a connection and the time.
  const Statement& about() const noexcept { return about_; }

private:
  using Steady = std::chrono::steady_clock;
  std::optional<std::string> document(BindingInput input);
  std::string statement_about(const Sha256Digest& key) const;

  const std::shared_ptr<EvidenceSource> source_;
  Statement about_;
  std::atomic<unsigned> waiting_{0};
  std::mutex platform_; ///< one report at a time
  std::mutex mutex_;    ///< of what is kept
  std::string kept_;
  Sha256Digest kept_key_{};
  Steady::time_point kept_until_;
};

} // namespace talaria::attest
