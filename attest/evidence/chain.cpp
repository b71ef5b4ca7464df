#include "attest/evidence/chain.hpp"

#include <algorithm>

#include "core/digest.hpp"

namespace talaria::attest {

void Ledger::add(std::string what, const Certificate& certificate) {
  items_.push_back({std::move(what), certificate.issuer_name(), certificate.starts(),
                    certificate.ends(), certificate.fingerprint()});
}

void Ledger::add(std::string what, const RevocationList& list) {
  items_.push_back({std::move(what), list.issuer_name(), list.this_update(),
                    list.next_update().value_or(list.this_update()), sha256(list.der())});
}

TimePoint Ledger::valid_until() const {
  TimePoint earliest = TimePoint::max();
  for (const CollateralItem& item : items_) earliest = std::min(earliest, item.next_update);
  return earliest;
}

TimePoint Ledger::newest_date() const {
  TimePoint latest = TimePoint::min();
  for (const CollateralItem& item : items_) latest = std::max(latest, item.this_update);
  return latest;
}

void check_dates(const Certificate& certificate, Clock clock, Stage stage, std::string_view code,
                 Checks& checks) {
  const std::string name = certificate.common_name();
  checks.require(certificate.starts() <= clock.now + clock.skew, stage, code,
                 name + " is not valid before " + to_text(certificate.starts()));
  checks.require(clock.now <= certificate.ends(), stage, code,
                 name + " expired at " + to_text(certificate.ends()));
}

void check_revocation(const RevocationList& list, const Certificate& issuer, SignatureRule rule,
                      const std::vector<const Certificate*>& certificates, Clock clock, Stage stage,
                      const std::string& prefix, Checks& checks) {
  checks.require(list.is_signed_by(issuer, rule), stage, prefix + "-signature",
                 "the list is not signed by " + issuer.common_name());
  checks.require(!list.is_partial(), stage, prefix + "-scope",
                 "the list is a delta, limited in scope, or has an unknown critical extension");
  checks.require(list.this_update() <= clock.now + clock.skew, stage, prefix + "-not-yet-valid",
                 "the list is of " + to_text(list.this_update()));
  const auto next = list.next_update();
  checks.require(next && clock.now <= *next, stage, prefix + "-expired",
                 next ? "the list ended at " + to_text(*next) : "the list has no end");
  for (const Certificate* certificate : certificates)
    checks.require(!list.names(*certificate), stage, prefix + "-revoked",
                   certificate->common_name() + " is revoked");
}

} // namespace talaria::attest
