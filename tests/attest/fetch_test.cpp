// AMD's and Intel's services as they behave: busy, away, slow, old, of another chip, endless.
#include <boost/test/unit_test.hpp>

#include "attest/collateral/collateral_key.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/fetch/collateral_fetcher.hpp"
#include "core/error.hpp"
#include "tests/attest/fake_services.hpp"
#include "tests/attest/simulation.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;
using attest::FetchedItem;
using attest::HttpsReply;
using tests::FakeServices;
using tests::reply_of;
using tests::text_of;

namespace {

using From = FetchedItem::From;
using Waits = std::vector<std::chrono::seconds>;

/// Both services, as they answer about the simulated machines.
FakeServices genuine_services() {
  FakeServices services;
  tests::answer_for(services, tests::snp_set());
  tests::answer_for(services, tests::tdx_set());
  return services;
}

/// Evidence without collateral, and a client with a folder, a clock and patience that costs
/// nothing.
struct Client {
  tests::TemporaryFolder folder;
  FakeServices services = genuine_services();
  attest::EvidenceSet set = bare(tests::snp_set());
  attest::TimePoint now = tests::kJudged;
  bool offline = false;
  std::chrono::seconds ahead{0};
  Waits waits;

  static attest::EvidenceSet bare(attest::EvidenceSet set) {
    return tests::without_collateral(std::move(set));
  }
  std::map<std::string, FetchedItem> complete() {
    attest::FetchOptions options;
    options.now = [this] { return now; };
    options.pause = [this](std::chrono::seconds time) { waits.push_back(time); };
    options.offline = offline;
    options.ahead = ahead;
    attest::CollateralFetcher fetcher(services, attest::CollateralFolder(folder.path() / "kept"),
                                      options);
    std::map<std::string, FetchedItem> found;
    for (auto& each : fetcher.complete(set)) found[each.item] = each;
    return found;
  }
  /// The first question is answered like this, the others as usual.
  void first_answers(std::vector<HttpsReply> replies) {
    for (auto& reply : replies) services.first.push_back([reply] { return reply; });
  }
};

bool mentions(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(fetching)

BOOST_AUTO_TEST_CASE(what_is_fetched_completes_evidence_of_both_vendors_and_is_kept) {
  Client client;
  for (const auto& [item, found] : client.complete())
    BOOST_TEST((found.from == From::service), item + ": " + found.problem);
  BOOST_TEST(tests::simulated_outcome(client.set) == "accept");
  BOOST_TEST(client.services.asked.size() == 3U);
  client.set = Client::bare(client.set);
  client.offline = true;
  for (const auto& [item, found] : client.complete())
    BOOST_TEST((found.from == From::folder), item);
  BOOST_TEST(tests::simulated_outcome(client.set) == "accept");
  BOOST_TEST(client.services.asked.size() == 3U); // nobody was asked again

  Client intel;
  intel.set = Client::bare(tests::tdx_set());
  for (const auto& [item, found] : intel.complete())
    BOOST_TEST((found.from == From::service), item + ": " + found.problem);
  BOOST_TEST(tests::simulated_outcome(intel.set) == "accept");
}

BOOST_AUTO_TEST_CASE(services_are_asked_at_the_addresses_of_their_papers) {
  Client client;
  client.complete();
  const auto key = attest::amd_key(client.set).value();
  BOOST_TEST(client.services.asked[2].starts_with("kdsintf.amd.com/vcek/v1/Genoa/" +
                                                  to_hex(key.chip) + "?blSPL="));
  BOOST_TEST(client.services.asked[2].find("fmcSPL") == std::string::npos);
  BOOST_TEST(client.services.asked[0] == "kdsintf.amd.com/vcek/v1/Genoa/cert_chain");
  BOOST_TEST(client.services.asked[1] == "kdsintf.amd.com/vcek/v1/Genoa/crl");
}

BOOST_AUTO_TEST_CASE(what_came_with_the_evidence_is_used_first_unless_it_has_expired) {
  Client client;
  client.set = tests::snp_set();
  for (const auto& [item, found] : client.complete())
    BOOST_TEST((found.from == From::evidence), item);
  BOOST_TEST(client.services.asked.empty());
  client.now += std::chrono::days(3650); // and the service has nothing newer
  const auto found = client.complete();
  BOOST_TEST((found.at("crl").from == From::evidence));
  BOOST_TEST(mentions(found.at("crl").problem, "has expired"));
}

BOOST_AUTO_TEST_CASE(a_busy_service_is_asked_again_when_it_says) {
  Client client;
  client.first_answers({reply_of(429, {}, {{"retry-after", "7"}}), reply_of(503)});
  BOOST_TEST((client.complete().at("authority").from == From::service));
  BOOST_TEST((client.waits == Waits{std::chrono::seconds(7), std::chrono::seconds(10)}));
  Client later;
  later.first_answers({reply_of(429, {}, {{"retry-after", "3600"}})});
  const auto found = later.complete();
  BOOST_TEST((found.at("authority").from == From::nowhere));
  BOOST_TEST(mentions(found.at("authority").problem, "asks for 3600 s of patience"));
  BOOST_TEST(later.waits.empty());
  BOOST_TEST((found.at("leaf").from == From::service)); // the others are not its hostages
}

BOOST_AUTO_TEST_CASE(an_outage_leaves_what_is_there) {
  Client client;
  client.complete();
  client.set = Client::bare(client.set);
  client.services.replies.clear();
  BOOST_TEST((client.complete().at("leaf").from == From::folder));
  Client nowhere;
  for (int i = 0; i < 9; ++i)
    nowhere.services.first.push_back(
        []() -> HttpsReply { throw Error(Errc::io, "no answer in time"); });
  for (const auto& [item, found] : nowhere.complete()) {
    BOOST_TEST((found.from == From::nowhere), item);
    BOOST_TEST(mentions(found.problem, "no answer in time"));
  }
  BOOST_TEST(nowhere.waits.size() == 6U);
  BOOST_TEST(tests::simulated_outcome(nowhere.set) == "collateral-missing");
}

BOOST_AUTO_TEST_CASE(an_older_list_than_the_one_at_hand_is_not_taken) {
  Client client;
  client.set = Client::bare(tests::tdx_set());
  client.complete();
  // The list in the folder has expired, and the service still has one of before it.
  auto newer = tests::info_spec();
  newer.issued = tests::kMade + std::chrono::hours(12);
  newer.next_update = tests::kMade + std::chrono::hours(13);
  const std::string body = tests::sim::make_tcb_info(newer, tests::tdx_authority().tcb_signer);
  const std::string place = attest::collateral_places(client.set).at("tcb_info");
  attest::CollateralFolder(client.folder.path() / "kept").write(place, attest::as_bytes(body));
  client.set = Client::bare(client.set);
  const auto found = client.complete();
  BOOST_TEST((found.at("tcb_info").from == From::folder));
  BOOST_TEST(mentions(found.at("tcb_info").problem, "rollback"));
}

BOOST_AUTO_TEST_CASE(of_what_came_and_what_is_kept_the_newer_is_used) {
  Client client;
  client.set = tests::tdx_set();
  client.set.items["qe_chain"] = client.set.items["tcb_chain"];
  auto newer = tests::info_spec();
  newer.issued = tests::kMade + std::chrono::hours(12);
  const std::string body = tests::sim::make_tcb_info(newer, tests::tdx_authority().tcb_signer);
  const attest::CollateralFolder kept(client.folder.path() / "kept");
  const auto places = attest::collateral_places(client.set);
  kept.write(places.at("tcb_info"), attest::as_bytes(body));
  // Alone it is nothing: its signer's chain may have changed with it.
  BOOST_TEST((client.complete().at("tcb_info").from == From::evidence));
  kept.write(places.at("tcb_chain"), client.set.get("tcb_chain"));
  BOOST_TEST((client.complete().at("tcb_info").from == From::folder));
  BOOST_TEST(text_of(client.set.get("tcb_info")) == body);
  BOOST_TEST(tests::simulated_outcome(client.set) == "accept");
  BOOST_TEST(client.services.asked.empty());
}

BOOST_AUTO_TEST_CASE(what_runs_out_soon_is_asked_for_ahead_and_used_until_then) {
  Client client;
  client.set = tests::snp_set();
  client.ahead = std::chrono::days(40); // its list is good for 30
  client.services.replies.clear();
  const auto away = client.complete();
  BOOST_TEST((away.at("crl").from == From::evidence));
  BOOST_TEST(mentions(away.at("crl").problem, "404"));
  BOOST_TEST(tests::simulated_outcome(client.set) == "accept");
  client.services = genuine_services();
  BOOST_TEST((client.complete().at("crl").from == From::service));
}

BOOST_AUTO_TEST_CASE(what_is_of_another_chip_or_nothing_at_all_is_not_kept) {
  const auto outcome = [](const char* part, const std::string& body) {
    Client client;
    client.services.replies[part] = reply_of(200, body);
    const auto found = client.complete();
    client.set = Client::bare(client.set);
    client.services.replies = genuine_services().replies;
    const auto again = client.complete(); // nothing wrong was kept
    for (const auto& [item, each] : again) BOOST_TEST((each.from != From::nowhere), item);
    for (const auto& [item, each] : found)
      if (each.from == From::nowhere) return each.problem;
    return std::string("nothing is missing");
  };
  const auto other = tests::sim::make_snp_authority(tests::kMade);
  BOOST_TEST(outcome("blSPL=", text_of(tests::snp_authority().ask_certificate)) !=
             "nothing is missing");
  BOOST_TEST(mentions(outcome("blSPL=", "<html>"), "no VCEK"));
  BOOST_TEST(mentions(outcome("/cert_chain", "<html>"), "no chain of two"));
  BOOST_TEST(mentions(outcome("/crl", text_of(other.ask_certificate)), "something else"));
  Client turned;
  turned.services.replies["blSPL="] = reply_of(404);
  BOOST_TEST(mentions(turned.complete().at("leaf").problem, "does not know this chip"));
}

BOOST_AUTO_TEST_CASE(replies_are_read_as_the_standard_has_them) {
  const auto read = [](const std::string& text) { return attest::parse_https_reply(text, 10); };
  const auto whole = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A:  b \r\n\r\nabcd");
  BOOST_TEST(whole.body == "abc");
  BOOST_TEST(whole.field("x-a") == "b");
  BOOST_TEST(read("HTTP/1.1 429 \r\nRetry-After: 9\r\n\r\n").status == 429);
  BOOST_TEST(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n"
                  "0\r\n\r\n")
                 .body == "abcde");
  BOOST_TEST(read("HTTP/1.0 200 OK\r\n\r\nto the end").body == "to the end");
  for (const char* bad :
       {"", "HTTP/1.1 200 OK", "HTTP/2 200\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
        "HTTP/1.1 200 OK\r\n\r\n01234567890",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"})
    BOOST_CHECK_THROW(read(bad), Error);
}

BOOST_AUTO_TEST_SUITE_END()
