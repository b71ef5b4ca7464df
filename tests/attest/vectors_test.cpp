#include <boost/test/unit_test.hpp>

#include <fstream>

#include "attest/evidence/roots.hpp"
#include "attest/vectors/vector_run.hpp"
#include "core/digest.hpp"
#include "core/error.hpp"
#include "tests/attest/vector_files.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;

BOOST_AUTO_TEST_SUITE(attest_vectors)

BOOST_AUTO_TEST_CASE(every_vector_gives_its_verdict_and_facts) {
  const auto results = attest::run_vectors(tests::vector_folder());
  BOOST_TEST(results.size() == 171u);
  for (const auto& result : results)
    BOOST_TEST(result.passed, result.name << ": " << result.actual << ", expected "
                                          << result.expected << " (" << result.reason << ")");
}

BOOST_AUTO_TEST_CASE(a_case_with_another_verdict_or_fact_fails) {
  const tests::TemporaryFolder folder;
  std::filesystem::copy(tests::vector_folder() / "snp", folder.path() / "snp");
  std::ofstream(folder.path() / "manifest.json") << R"({"cases": [
    {"name": "a", "kind": "snp-format", "report": "snp/turin-v5.report",
     "now": "2026-08-01T00:00:00Z", "verdict": "length"},
    {"name": "b", "kind": "snp-format", "report": "snp/turin-v5.report",
     "now": "2026-08-01T00:00:00Z", "verdict": "accept", "facts": {"version": 4}},
    {"name": "c", "kind": "snp-format", "report": "../elsewhere",
     "now": "2026-08-01T00:00:00Z", "verdict": "length"},
    {"name": "d", "kind": "snp-format", "report": "snp/turin-v5.report",
     "now": "2026-08-01T00:00:00Z", "verdict": "accept", "facts": {"version": 5}}]})";
  const auto results = attest::run_vectors(folder.path());
  BOOST_TEST_REQUIRE(results.size() == 4u);
  BOOST_TEST(!results[0].passed);
  BOOST_TEST(!results[1].passed);
  BOOST_TEST(!results[2].passed);
  BOOST_TEST(results[3].passed);
}

BOOST_AUTO_TEST_CASE(a_folder_without_a_manifest_is_an_error) {
  const tests::TemporaryFolder folder;
  BOOST_CHECK_THROW(attest::run_vectors(folder.path()), Error);
}

BOOST_AUTO_TEST_CASE(the_pinned_roots_are_those_that_the_vendors_publish) {
  const char* digests[] = {"9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
                           "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
                           "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
                           "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"};
  const auto& all = attest::TrustAnchors::hardware().all();
  BOOST_TEST_REQUIRE(all.size() == std::size(digests));
  for (std::size_t i = 0; i < all.size(); ++i) {
    BOOST_TEST(to_hex(all[i].certificate.spki_digest()) == digests[i]);
    BOOST_TEST(!all[i].simulated);
  }
}

BOOST_AUTO_TEST_SUITE_END()
