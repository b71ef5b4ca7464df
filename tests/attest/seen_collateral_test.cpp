// Older collateral than was seen before is refused, also after a new start.
#include "attest/collateral/seen_collateral.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "core/error.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;
using attest::Ledger;
using attest::Seconds;
using attest::SeenCollateral;
using attest::TimePoint;

namespace {

constexpr TimePoint kEarly{Seconds(1'700'000'000)};
constexpr TimePoint kLate = kEarly + Seconds(1);

Ledger ledger_of(const std::string& what, TimePoint date, const std::string& issuer = "ARK") {
  Ledger ledger;
  ledger.add({what, issuer, date, date + Seconds(86400), {}});
  return ledger;
}

/// "accept", or the code of the refusal.
std::string outcome(SeenCollateral& seen, const Ledger& ledger, const std::string& platform = "") {
  const auto refusal = seen.note(ledger, platform);
  return refusal ? refusal->code : "accept";
}

Errc code_of_reading(const std::filesystem::path& file) {
  try {
    const SeenCollateral seen(file);
  } catch (const Error& error) {
    BOOST_TEST(std::string(error.what()).find(file.string()) != std::string::npos);
    return error.code();
  }
  return Errc::internal;
}

} // namespace

BOOST_AUTO_TEST_SUITE(seen_collateral)

BOOST_AUTO_TEST_CASE(an_older_list_is_refused_and_an_equal_or_newer_one_is_not) {
  SeenCollateral seen;
  for (const char* what : {"CRL", "root CRL", "TCB info", "QE identity"}) {
    const std::string issuer = what;
    BOOST_TEST(outcome(seen, ledger_of(what, kLate, issuer)) == "accept");
    BOOST_TEST(outcome(seen, ledger_of(what, kLate, issuer)) == "accept");
    BOOST_TEST(outcome(seen, ledger_of(what, kEarly, issuer)) == "rollback");
    BOOST_TEST(outcome(seen, ledger_of(what, kLate + Seconds(1), issuer)) == "accept");
    BOOST_TEST(outcome(seen, ledger_of(what, kLate, issuer)) == "rollback");
  }
}

BOOST_AUTO_TEST_CASE(what_belongs_to_others_is_not_compared) {
  SeenCollateral seen;
  BOOST_TEST(outcome(seen, ledger_of("CRL", kLate, "ARK-Genoa")) == "accept");
  BOOST_TEST(outcome(seen, ledger_of("CRL", kEarly, "ARK-Turin")) == "accept");
  BOOST_TEST(outcome(seen, ledger_of("TCB info", kLate), "00906ed50000") == "accept");
  BOOST_TEST(outcome(seen, ledger_of("TCB info", kEarly), "00806f050000") == "accept");
  BOOST_TEST(outcome(seen, ledger_of("SEV-VCEK", kLate)) == "accept"); // a certificate of a chip
  BOOST_TEST(outcome(seen, ledger_of("SEV-VCEK", kEarly)) == "accept");
}

BOOST_AUTO_TEST_CASE(what_is_refused_is_not_noted) {
  SeenCollateral seen;
  BOOST_TEST(outcome(seen, ledger_of("QE identity", kLate)) == "accept");
  Ledger mixed = ledger_of("CRL", kLate);
  mixed.add({"QE identity", "x", kEarly, kLate, {}});
  BOOST_TEST(outcome(seen, mixed) == "rollback");
  BOOST_TEST(outcome(seen, ledger_of("CRL", kEarly)) == "accept");
}

BOOST_AUTO_TEST_CASE(a_file_outlives_the_process_and_is_private) {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "seen.json";
  {
    SeenCollateral seen(file);
    BOOST_TEST(!std::filesystem::exists(file));
    BOOST_TEST(outcome(seen, ledger_of("CRL", kLate)) == "accept");
  }
  struct stat status {};
  BOOST_TEST_REQUIRE(::stat(file.c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 07777) == 0600u);
  SeenCollateral again(file);
  BOOST_TEST(outcome(again, ledger_of("CRL", kEarly)) == "rollback");
  BOOST_TEST(outcome(again, ledger_of("CRL", kLate + Seconds(1))) == "accept");
  SeenCollateral third(file);
  BOOST_TEST(outcome(third, ledger_of("CRL", kLate)) == "rollback");
  const auto count = std::distance(std::filesystem::directory_iterator(folder.path()), {});
  BOOST_TEST(count == 1); // nothing half written is left
}

BOOST_AUTO_TEST_CASE(a_file_that_says_something_else_is_refused) {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "seen.json";
  for (const char* text :
       {"", "[]", "{\"v\":2,\"seen\":{}}", "{\"v\":1}", "{\"v\":1,\"seen\":[]}",
        "{\"v\":1,\"seen\":{\"CRL x\":-1}}", "{\"v\":1,\"seen\":{\"CRL x\":\"late\"}}",
        "{\"v\":1,\"seen\":{\"CRL x\":253402300800}}", "{\"v\":\"1\"}"}) {
    std::ofstream(file) << text;
    BOOST_TEST((code_of_reading(file) == Errc::config), text);
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_an_error) {
  SeenCollateral seen("/nowhere/seen.json");
  BOOST_CHECK_THROW(outcome(seen, ledger_of("CRL", kLate)), Error);
}

BOOST_AUTO_TEST_SUITE_END()
