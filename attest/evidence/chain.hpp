#pragma once

#include <string>
#include <vector>

#include "attest/evidence/certificate.hpp"
#include "attest/evidence/refusal.hpp"

namespace talaria::attest {

/// Something signed that a verdict rests on, and until when it does.
struct CollateralItem {
  std::string what; ///< "VCEK", "CRL"...
  std::string issuer;
  TimePoint this_update{};
  TimePoint next_update{};
  Sha256Digest digest{}; ///< of the bytes as they came
};

/// What both verifiers gather on their way.
class Ledger {
public:
  void add(std::string what, const Certificate& certificate);
  void add(std::string what, const RevocationList& list);
  void add(CollateralItem item) { items_.push_back(std::move(item)); }

  const std::vector<CollateralItem>& items() const { return items_; }
  /// The earliest end: when the verdict must be formed anew.
  TimePoint valid_until() const;
  /// The latest beginning: the clock was not before that.
  TimePoint newest_date() const;

private:
  std::vector<CollateralItem> items_;
};

/// Records under `code` whether `certificate` is in force at `clock`.
void check_dates(const Certificate& certificate, Clock clock, Stage stage, std::string_view code,
                 Checks& checks);

/// Records under PREFIX-signature, -scope, -not-yet-valid, -expired and -revoked whether `list` is
/// `issuer`'s, in force and complete, and names none of `certificates`.
void check_revocation(const RevocationList& list, const Certificate& issuer, SignatureRule rule,
                      const std::vector<const Certificate*>& certificates, Clock clock, Stage stage,
                      const std::string& prefix, Checks& checks);

} // namespace talaria::attest
