#include "attest/fetch/collateral_fetcher.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "attest/collateral/collateral_key.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

using From = FetchedItem::From;

constexpr int kOk = 200;
constexpr int kNotFound = 404;
constexpr int kTooMany = 429;
constexpr int kServerError = 500;

/// A number of seconds; dates are not waited for.
std::optional<std::chrono::seconds> retry_after(const HttpsReply& reply) {
  const std::string_view text = reply.field("retry-after");
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::chrono::seconds(seconds);
}

[[noreturn]] void fail_request(const VendorRequest& request, int status) {
  throw Error(Errc::io,
              status == kNotFound
                  ? fmt::format("{} does not know this chip, TCB or platform (404)", request.host)
                  : fmt::format("{} answers {}", request.host, status));
}

} // namespace

const char* to_string(From from) noexcept {
  switch (from) {
  case From::evidence:
    return "evidence";
  case From::folder:
    return "folder";
  case From::service:
    return "service";
  case From::nowhere:
    return "nowhere";
  }
  return "";
}

CollateralFetcher::CollateralFetcher(HttpsClient& client, CollateralFolder folder,
                                     FetchOptions options)
    : client_(client), folder_(std::move(folder)), options_(std::move(options)) {}

bool CollateralFetcher::is_in_force(const std::string& place, Bytes content) const {
  const auto validity = validity_of(place, content);
  return validity && options_.now() <= validity->end;
}

/// Beyond the time for which it is to be asked for ahead.
bool CollateralFetcher::lasts(const std::string& place, Bytes content) const {
  const auto validity = validity_of(place, content);
  return validity && options_.now() + options_.ahead <= validity->end;
}

std::optional<std::vector<u8>> CollateralFetcher::kept_in_force(const std::string& place) const {
  auto kept = folder_.read(place);
  if (!kept || !is_in_force(place, *kept)) return std::nullopt;
  return kept;
}

/// Statements change hands together with the chain of who signed them.
void CollateralFetcher::prefer_newer(const Places& places, EvidenceSet& set) const {
  const std::pair<const char*, const char*> dated[] = {{"crl", nullptr},
                                                       {"root_crl", nullptr},
                                                       {"pck_crl", nullptr},
                                                       {"tcb_info", "tcb_chain"},
                                                       {"qe_identity", "qe_chain"}};
  for (const auto& [item, chain] : dated) {
    const auto place = places.find(item);
    if (place == places.end()) continue;
    const auto came = validity_of(place->second, set.get(item));
    auto kept = kept_in_force(place->second);
    if (!came || !kept || validity_of(place->second, *kept)->begin <= came->begin) continue;
    if (chain != nullptr) {
      auto kept_chain = kept_in_force(places.at(chain));
      if (!kept_chain) continue;
      set.items[chain] = std::move(*kept_chain);
    }
    set.items[item] = std::move(*kept);
  }
}

std::vector<FetchedItem> CollateralFetcher::complete(EvidenceSet& set) {
  std::vector<FetchedItem> found;
  std::vector<std::string> missing;
  const Places places = collateral_places(set);
  const EvidenceSet as_it_came = set;
  prefer_newer(places, set);
  for (const auto& [item, place] : places) {
    const Bytes came = as_it_came.get(item);
    if (!is_in_force(place, set.get(item)))
      if (auto kept = kept_in_force(place)) set.items[item] = std::move(*kept);
    if (!lasts(place, set.get(item)))
      missing.push_back(item);
    else
      found.push_back(
          {item, std::ranges::equal(came, set.get(item)) ? From::evidence : From::folder, {}});
  }
  const auto is_missing = [&missing](const std::string& item) {
    return std::ranges::find(missing, item) != missing.end();
  };
  for (const VendorRequest& request : vendor_requests(set)) {
    if (std::ranges::none_of(request.items, is_missing)) continue;
    for (FetchedItem& each : ask(request, set)) {
      std::erase(missing, each.item);
      std::erase_if(found, [&](const FetchedItem& known) { return known.item == each.item; });
      found.push_back(std::move(each));
    }
  }
  for (const std::string& item : missing)
    found.push_back({item, From::nowhere, "no service gives it; it comes with the evidence"});
  return found;
}

std::vector<FetchedItem> CollateralFetcher::ask(const VendorRequest& request, EvidenceSet& set) {
  std::vector<FetchedItem> found;
  const auto nothing = [&](const std::string& why) {
    for (const std::string& item : request.items)
      found.push_back({item, set.get(item).empty() ? From::nowhere : From::evidence, why});
  };
  if (options_.offline) {
    nothing("it is not in the folder, and nobody is asked (--offline)");
    return found;
  }
  std::map<std::string, std::vector<u8>> items;
  try {
    items = items_in(ask_patiently(request), request, set);
  } catch (const Error& error) {
    nothing(error.what());
    return found;
  }
  auto places = collateral_places(set);
  for (auto& [item, bytes] : items)
    found.push_back(keep(item, places[item], std::move(bytes), set));
  return found;
}

/// Nothing if there was no answer and another attempt is left.
std::optional<HttpsReply> CollateralFetcher::try_once(const VendorRequest& request, bool is_last) {
  try {
    return client_.get(request.host, request.target);
  } catch (const Error&) {
    if (is_last) throw;
    return std::nullopt;
  }
}

HttpsReply CollateralFetcher::ask_patiently(const VendorRequest& request) {
  auto wait = options_.first_wait;
  for (unsigned attempt = 1;; ++attempt, wait *= 2) {
    const bool is_last = attempt >= options_.attempts;
    auto reply = try_once(request, is_last);
    if (reply && reply->status == kOk) return std::move(*reply);
    auto pause = wait;
    if (reply) {
      const bool may_pass = reply->status == kTooMany || reply->status >= kServerError;
      if (!may_pass || is_last) fail_request(request, reply->status);
      pause = retry_after(*reply).value_or(wait);
      if (pause > options_.longest_wait)
        throw Error(Errc::io, fmt::format("{} answers {} and asks for {} s of patience; try later",
                                          request.host, reply->status, pause.count()));
    }
    options_.pause(pause);
  }
}

/// Something older than what is here, though in force, could hide a revocation.
FetchedItem CollateralFetcher::keep(const std::string& item, const std::string& place,
                                    std::vector<u8> bytes, EvidenceSet& set) {
  const auto fresh = validity_of(place, bytes);
  const auto kept = folder_.read(place);
  const auto known = kept ? validity_of(place, *kept) : std::nullopt;
  if (fresh && known && fresh->begin < known->begin) {
    set.items[item] = *kept;
    return {item, From::folder, "the service sent an older one (rollback), which was not taken"};
  }
  if (!fresh || options_.now() > fresh->end)
    return {item, set.get(item).empty() ? From::nowhere : From::evidence,
            "the service sent one that has expired"};
  folder_.write(place, bytes);
  set.items[item] = std::move(bytes);
  return {item, From::service, {}};
}

} // namespace talaria::attest
