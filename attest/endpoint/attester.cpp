#include "attest/endpoint/attester.hpp"

#include <algorithm>

#include "core/kernel_random.hpp"

namespace talaria::attest {
namespace {

constexpr unsigned kMostWaiting = 32;
constexpr std::chrono::minutes kKept{10};

/// Counts who waits for the platform.
class Turn {
public:
  explicit Turn(std::atomic<unsigned>& waiting) : waiting_(waiting), number_(++waiting) {}
  ~Turn() { --waiting_; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool is_granted() const { return number_ <= kMostWaiting; }

private:
  std::atomic<unsigned>& waiting_;
  const unsigned number_;
};

} // namespace

Attester::Attester(std::shared_ptr<EvidenceSource> source, Statement about)
    : source_(std::move(source)), about_(std::move(about)) {
  kernel_random(about_.instance);
  statement_about({});
  source_->evidence({});
}

std::string Attester::statement_about(const Sha256Digest& key) const {
  Statement statement = about_;
  statement.tls_key = key;
  statement.issued = std::chrono::floor<Seconds>(std::chrono::system_clock::now());
  return to_json(statement);
}

std::optional<std::string> Attester::document(BindingInput input) {
  const std::string statement = statement_about(input.key);
  EvidenceDocument document;
  document.statement = to_vector(as_bytes(statement));
  input.statement = sha256(document.statement);
  const Turn turn(waiting_);
  if (!turn.is_granted()) return std::nullopt;
  {
    const std::lock_guard lock(platform_);
    document.evidence = source_->evidence({report_data(input), qualifying_data(input)});
  }
  return to_json(document);
}

std::optional<std::string> Attester::for_session(const Nonce& nonce,
                                                 const std::array<u8, 32>& channel,
                                                 const Sha256Digest& key) {
  BindingInput input;
  input.role = Role::server;
  input.nonce = nonce;
  input.channel = channel;
  input.key = key;
  return document(input);
}

std::optional<std::string> Attester::for_link(const Nonce& nonce, const std::array<u8, 32>& channel,
                                              const Sha256Digest& key) {
  BindingInput input;
  input.role = Role::client;
  input.nonce = nonce;
  input.channel = channel;
  input.key = key;
  return document(input);
}

std::optional<SealKey> Attester::derived_key() {
  const std::lock_guard lock(platform_);
  return source_->derived_key();
}

std::optional<std::string> Attester::for_archive(const Sha256Digest& key) {
  const std::lock_guard lock(mutex_);
  if (!kept_.empty() && kept_key_ == key && Steady::now() < kept_until_) return kept_;
  BindingInput input;
  input.role = Role::archive;
  input.key = key;
  auto made = document(input);
  if (!made) return made;
  kept_ = *made;
  kept_key_ = key;
  kept_until_ = Steady::now() + kKept;
  return kept_;
}

} // namespace talaria::attest
