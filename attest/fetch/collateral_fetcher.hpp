#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "attest/collateral/collateral_folder.hpp"
#include "attest/fetch/https_client.hpp"
#include "attest/fetch/vendor_request.hpp"

namespace talaria::attest {

struct FetchOptions {
  bool offline = false; ///< the folder alone; nobody is asked
  /// What runs out within this time is asked for anew, and used as long as it is in force.
  std::chrono::seconds ahead{0};
  std::function<TimePoint()> now;
  std::function<void(std::chrono::seconds)> pause;
  unsigned attempts = 3;                 ///< of one question
  std::chrono::seconds first_wait{5};    ///< after a failure; doubles
  std::chrono::seconds longest_wait{60}; ///< what a server asks for beyond it is not waited for
};

/// Where a piece of collateral came from, or why there is none.
struct FetchedItem {
  enum class From : u8 { evidence, folder, service, nowhere };
  std::string item;
  From from = From::nowhere;
  std::string problem; ///< also beside something that is used in the place of what was wanted
};
const char* to_string(FetchedItem::From from) noexcept;

/// Completes the collateral of evidence: what came with it first, then what the folder has and is
/// in force, then the vendors' services. What a service sends is kept; it never replaces something
/// newer. Of a list or statement that came and one in the folder the newer is used: a verifier that
/// has relied on the newer would refuse the other. One thread.
class CollateralFetcher {
public:
  /// `client` must outlive this object.
  CollateralFetcher(HttpsClient& client, CollateralFolder folder, FetchOptions options);

  /// One entry for each item. Never throws for what a service does: an item that cannot be had is
  /// missing, which verdicts call undecided. @throws Error{io} if the folder cannot be written.
  std::vector<FetchedItem> complete(EvidenceSet& set);

private:
  using Places = std::map<std::string, std::string>;
  bool is_in_force(const std::string& place, Bytes content) const;
  bool lasts(const std::string& place, Bytes content) const;
  std::optional<std::vector<u8>> kept_in_force(const std::string& place) const;
  void prefer_newer(const Places& places, EvidenceSet& set) const;
  std::vector<FetchedItem> ask(const VendorRequest& request, EvidenceSet& set);
  std::optional<HttpsReply> try_once(const VendorRequest& request, bool is_last);
  HttpsReply ask_patiently(const VendorRequest& request);
  FetchedItem keep(const std::string& item, const std::string& place, std::vector<u8> bytes,
                   EvidenceSet& set);

  HttpsClient& client_;
  const CollateralFolder folder_;
  const FetchOptions options_;
};

} // namespace talaria::attest
