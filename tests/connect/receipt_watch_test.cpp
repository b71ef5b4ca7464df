// Receipts as the client's proxy hears them beside an answer.
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/stat.h>

#include "attest/receipts/receipt_signer.hpp"
#include "connect/receipt_watch.hpp"
#include "core/error.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;

namespace {

const std::string kRequest = R"({"prompt":"Once"})";

/// A server that signs, and the folder of a client.
class Exchange {
public:
  explicit Exchange(bool with_bodies = false)
      : store_({folder_.path() / "receipts", with_bodies},
               [this](const std::string& line) { log.push_back(line); }) {
    salts_.request.fill(1);
    salts_.response.fill(2);
    statement_.receipt_key = signer_.public_key();
  }
  /// JWS and salts for an answer of this body.
  std::pair<std::string, std::string> receipt(const std::string& body,
                                              const std::string& request = kRequest) {
    attest::Receipt made;
    made.id = "cmpl-1";
    made.request = attest::salted_text(salts_.request, request);
    made.response = attest::salted_text(salts_.response, body);
    return {signer_.sign("client", made), attest::to_text(salts_)};
  }
  connect::ReceiptWatch watch() { return {store_, statement_, kRequest}; }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "receipts"))
      names.push_back(entry.path().filename());
    return names;
  }
  attest::ReceiptRecord only_record() const {
    BOOST_TEST_REQUIRE(files().size() == 1U);
    std::ifstream in(folder_.path() / "receipts" / files().front());
    auto record = attest::parse_record(std::string(std::istreambuf_iterator<char>(in), {}));
    BOOST_TEST_REQUIRE(bool(record));
    return *record;
  }
  std::filesystem::path folder() const { return folder_.path() / "receipts"; }
  connect::ReceiptStore& store() { return store_; }
  attest::Statement& statement() { return statement_; }

  std::vector<std::string> log;

private:
  tests::TemporaryFolder folder_;
  attest::ReceiptSalts salts_;
  attest::ReceiptSigner signer_{attest::ReceiptKey::create()};
  attest::Statement statement_;
  connect::ReceiptStore store_;
};

connect::ResponseHead head(const std::string& type, gateway::HttpFields more = {}) {
  connect::ResponseHead made;
  made.status = 200;
  made.fields = std::move(more);
  made.fields.emplace_back("Content-Type", type);
  return made;
}

connect::ResponseHead whole_head(const std::pair<std::string, std::string>& receipt) {
  return head("application/json",
              {{"Talaria-Receipt", receipt.first}, {"Talaria-Receipt-Salts", receipt.second}});
}

} // namespace

BOOST_AUTO_TEST_SUITE(receipt_watch)

BOOST_AUTO_TEST_CASE(a_receipt_that_holds_is_kept_for_its_owner_alone) {
  Exchange exchange;
  auto watch = exchange.watch();
  const auto receipt = exchange.receipt("{\"a\":1}");
  watch.take_head(whole_head(receipt));
  watch.take("{\"a\"");
  watch.take(":1}");
  BOOST_TEST(!watch.finish().empty()); // evidence for the key is wanted, once
  BOOST_TEST(exchange.log.empty());
  BOOST_TEST(exchange.only_record().jws == receipt.first);
  BOOST_TEST(exchange.only_record().key.has_value());
  BOOST_TEST(!exchange.only_record().request.has_value());
  BOOST_TEST(exchange.files().front().ends_with("-0000000001.json"));
  struct stat found {};
  BOOST_TEST(::stat((exchange.folder() / exchange.files().front()).c_str(), &found) == 0);
  BOOST_TEST((found.st_mode & 0777) == 0600U);
  BOOST_TEST(::stat(exchange.folder().c_str(), &found) == 0);
  BOOST_TEST((found.st_mode & 0777) == 0700U);
}

BOOST_AUTO_TEST_CASE(the_receipt_of_a_stream_is_its_last_comment) {
  const std::string events = "data: 1\n\ndata: {\"x\": \": no comment\"}\n\ndata: [DONE]\n\n";
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}}) {
    Exchange exchange(/*with_bodies=*/true);
    auto watch = exchange.watch();
    const auto receipt = exchange.receipt(events);
    const std::string body = ": waiting\n\n" + events.substr(0, 9) + ":\n\n" + events.substr(9) +
                             ": talaria-receipt " + receipt.first + " " + receipt.second + "\n\n";
    watch.take_head(head("text/event-stream"));
    for (std::size_t i = 0; i < body.size(); i += step) watch.take(body.substr(i, step));
    watch.finish();
    BOOST_TEST(exchange.log.empty());
    BOOST_TEST(exchange.only_record().response.value() == events);
    BOOST_TEST(exchange.only_record().request.value() == kRequest);
  }
}

BOOST_AUTO_TEST_CASE(a_receipt_too_long_for_a_head_is_taken_from_its_place) {
  const auto answered = [](Exchange& exchange, const std::string& place) {
    connect::ReceiptWatch watch(exchange.store(), exchange.statement(), kRequest,
                                {{"Authorization", "Bearer key"}});
    watch.take_head(head("application/json", {{"Talaria-Receipt", place}}));
    watch.take("{}");
    return watch;
  };
  Exchange exchange;
  auto watch = answered(exchange, "/v1/receipts/cmpl-1");
  BOOST_TEST(watch.elsewhere() == "/v1/receipts/cmpl-1");
  BOOST_TEST(watch.credentials().front().second == "Bearer key");
  const auto [jws, salts] = exchange.receipt("{}");
  attest::ReceiptRecord record;
  record.jws = jws;
  record.salts = *attest::parse_salts(salts);
  watch.take_record(attest::to_json(record));
  BOOST_TEST(watch.elsewhere().empty());
  BOOST_TEST(!watch.finish().empty());
  BOOST_TEST(exchange.log.empty());
  BOOST_TEST(exchange.only_record().jws == jws);

  Exchange spoilt;
  auto other = answered(spoilt, "/v1/receipts/cmpl-1");
  other.take_record("{}");
  other.finish(); // says where it still is
  BOOST_TEST_REQUIRE(spoilt.log.size() == 2U);
  BOOST_TEST(spoilt.log.back().find("GET /v1/receipts/cmpl-1") != std::string::npos);
  BOOST_TEST(spoilt.files().empty());

  Exchange led_away; // nothing else of a server is asked for with a key
  BOOST_TEST(answered(led_away, "/v1/elsewhere").elsewhere().empty());
}

BOOST_AUTO_TEST_CASE(a_receipt_of_something_else_is_refused_and_kept_apart) {
  const auto outcome = [](auto&& spoil) {
    Exchange exchange;
    auto receipt = exchange.receipt("{}");
    std::string body = "{}";
    spoil(exchange, receipt, body);
    auto watch = exchange.watch();
    watch.take_head(whole_head(receipt));
    watch.take(body);
    BOOST_TEST(watch.finish().empty());
    BOOST_TEST_REQUIRE(exchange.log.size() == 1U);
    BOOST_TEST(exchange.files().front().starts_with("refused-"));
    return exchange.log.front();
  };
  const auto says = [](const std::string& line, const char* what) {
    return line.find(what) != std::string::npos;
  };
  BOOST_TEST(
      says(outcome([](auto&, auto&, std::string& body) { body = "{ }"; }), "another answer"));
  BOOST_TEST(says(
      outcome([](auto& exchange, auto& receipt, auto&) { receipt = exchange.receipt("{}", "{}"); }),
      "another request"));
  BOOST_TEST(says(outcome([](auto& exchange, auto&, auto&) {
                    exchange.statement().receipt_key = attest::ReceiptKey::create().public_key();
                  }),
                  "not signed by the key"));
  BOOST_TEST(
      says(outcome([](auto&, auto& receipt, auto&) { receipt.first = "a.b.c"; }), "base64url"));
  BOOST_TEST(says(outcome([](auto&, auto& receipt, auto&) { receipt.second = ""; }),
                  "another request")); // no salts, no comparison
}

BOOST_AUTO_TEST_CASE(an_answer_without_a_receipt_is_told) {
  Exchange exchange;
  auto watch = exchange.watch();
  watch.take_head(head("application/json"));
  watch.take("{}");
  watch.finish();
  BOOST_TEST(exchange.log.size() == 1U);
  BOOST_TEST(exchange.files().empty());
  auto refused = exchange.watch();
  connect::ResponseHead error = head("application/json");
  error.status = 429;
  refused.take_head(error);
  refused.finish();
  BOOST_TEST(exchange.log.size() == 1U); // errors have none
}

BOOST_AUTO_TEST_CASE(evidence_is_asked_for_once_a_key) {
  Exchange exchange;
  BOOST_TEST(exchange.store().wants_evidence("a"));
  BOOST_TEST(!exchange.store().wants_evidence("a"));
  exchange.store().keep_evidence("b", "{}");
  BOOST_TEST(!exchange.store().wants_evidence("b"));
}

BOOST_AUTO_TEST_CASE(a_folder_that_others_write_is_no_place_for_receipts) {
  const tests::TemporaryFolder folder;
  const auto open = folder.path() / "open";
  std::filesystem::create_directory(open);
  std::filesystem::permissions(open, std::filesystem::perms(0777));
  BOOST_CHECK_THROW(connect::ReceiptStore({open, false}, nullptr), Error);
  std::ofstream(folder.path() / "file") << "x";
  BOOST_CHECK_THROW(connect::ReceiptStore({folder.path() / "file", false}, nullptr), Error);
}

BOOST_AUTO_TEST_SUITE_END()
