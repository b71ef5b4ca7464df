#pragma once

#include <cctype>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "attest/evidence/evidence_set.hpp"
#include "attest/fetch/https_client.hpp"
#include "attest/simulated/certificates.hpp"

namespace talaria::tests {

inline std::string text_of(attest::Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

inline attest::HttpsReply reply_of(int status, std::string body = {},
                                   std::map<std::string, std::string, std::less<>> fields = {}) {
  return {status, std::move(fields), std::move(body)};
}

/// Every character that is not a letter, as Intel's service encodes chains.
inline std::string percent_encoded(const std::string& text) {
  std::string out;
  constexpr const char* kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0)
      out += c;
    else
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return out;
}

/// AMD's and Intel's: answers by path, or as a test wants it first.
class FakeServices : public attest::HttpsClient {
public:
  attest::HttpsReply get(const std::string& host, const std::string& target) override {
    asked.push_back(host + target);
    if (!first.empty()) {
      const auto next = first.front();
      first.pop_front();
      return next();
    }
    for (const auto& [part, reply] : replies)
      if (asked.back().find(part) != std::string::npos) return reply;
    return reply_of(404);
  }
  std::vector<std::string> asked;
  std::deque<std::function<attest::HttpsReply()>> first;
  std::map<std::string, attest::HttpsReply> replies;
};

/// From now on they know the machine of this evidence, which is complete.
inline void answer_for(FakeServices& services, const attest::EvidenceSet& set) {
  const auto item = [&set](const char* name) { return text_of(set.get(name)); };
  if (set.kind == attest::EvidenceKind::snp) {
    services.replies["/cert_chain"] =
        reply_of(200, attest::simulated::pem_of(set.get("authority")) +
                          attest::simulated::pem_of(set.get("root")));
    services.replies["/crl"] = reply_of(200, item("crl"));
    services.replies["blSPL="] = reply_of(200, item("leaf"));
    return;
  }
  const std::string chain = percent_encoded(item("tcb_chain"));
  services.replies["/tdx/certification/v4/tcb?fmspc="] =
      reply_of(200, item("tcb_info"), {{"tcb-info-issuer-chain", chain}});
  services.replies["/qe/identity"] =
      reply_of(200, item("qe_identity"), {{"sgx-enclave-identity-issuer-chain", chain}});
  services.replies["/pckcrl?ca=platform"] = reply_of(200, item("pck_crl"));
  services.replies["/IntelSGXRootCA.der"] = reply_of(200, item("root_crl"));
}

inline attest::EvidenceSet without_collateral(attest::EvidenceSet set) {
  for (const std::string_view name : attest::EvidenceSet::collateral(set.kind))
    set.items.erase(std::string(name));
  return set;
}

} // namespace talaria::tests
