// Every parser against every truncation and every flipped bit of real evidence.
#include <boost/test/unit_test.hpp>

#include "attest/evidence/hcl.hpp"
#include "attest/evidence/snp_report.hpp"
#include "attest/evidence/tdx_quote.hpp"
#include "attest/evidence/tpm_quote.hpp"
#include "tests/attest/vector_files.hpp"

using namespace talaria;
using attest::Bytes;

namespace {

void flip(std::vector<u8>& bytes, std::size_t bit) {
  bytes[bit / 8] = static_cast<u8>(bytes[bit / 8] ^ 1 << bit % 8);
}

} // namespace

BOOST_AUTO_TEST_SUITE(attest_parsers)

BOOST_AUTO_TEST_CASE(a_report_of_any_other_length_is_refused) {
  auto report = tests::vector_file("snp/turin-v5.report");
  for (std::size_t size = 0; size < report.size(); ++size) {
    const auto parsed = attest::parse_snp_report(Bytes(report).first(size));
    BOOST_TEST_REQUIRE(!parsed);
    BOOST_TEST_REQUIRE(parsed.refusal().code == "length");
  }
  report.push_back(0);
  BOOST_TEST(!attest::parse_snp_report(report));
}

BOOST_AUTO_TEST_CASE(a_report_of_zeros_is_no_success) {
  // What a broken SVSM has returned as one (coconut-svsm/svsm#589).
  const std::vector<u8> zeros(attest::kSnpReportBytes);
  BOOST_TEST(attest::parse_snp_report(zeros).refusal().code == "version");
}

// Each change costs a verified signature, so bits are sampled: an odd stride visits all eight places in a byte, and
// one below eight every byte. The fuzz targets change everything else.
BOOST_AUTO_TEST_CASE(no_bit_of_a_report_can_be_changed) {
  for (const auto& evidence : {tests::turin(), tests::milan()}) {
    auto report = evidence.set.items.at("report");
    const auto leaf = attest::Certificate::bundle(evidence.set.get("leaf"));
    const auto key = leaf->front().key();
    std::size_t accepted = 0;
    for (std::size_t bit = 0; bit < 8 * report.size(); bit += 7) {
      flip(report, bit);
      const auto parsed = attest::parse_snp_report(report);
      accepted += parsed && key->verifies_ecdsa(parsed->r, parsed->s, parsed->signed_bytes);
      flip(report, bit);
    }
    BOOST_TEST(accepted == 0u);
    BOOST_TEST(tests::outcome(evidence) == "accept");
  }
}

BOOST_AUTO_TEST_CASE(a_changed_report_is_refused_as_a_whole) {
  auto evidence = tests::genoa();
  auto& report = evidence.set.items.at("report");
  for (std::size_t bit = 3; bit < 8 * report.size(); bit += 61) {
    flip(report, bit);
    BOOST_TEST(tests::outcome(evidence) != "accept");
    flip(report, bit);
  }
}

BOOST_AUTO_TEST_CASE(a_truncated_quote_is_refused_and_never_read_beyond) {
  for (const auto& evidence : {tests::emerald_v4(), tests::emerald_v5()}) {
    const auto& quote = evidence.set.items.at("quote");
    std::size_t end = quote.size();
    while (quote[end - 1] == 0) --end; // the service pads
    for (std::size_t size = 0; size < end; ++size) {
      const std::vector<u8> cut(quote.begin(), quote.begin() + static_cast<std::ptrdiff_t>(size));
      const auto parsed = attest::parse_tdx_quote(cut);
      BOOST_TEST_REQUIRE((!parsed && parsed.refusal().code == "length"));
    }
  }
}

BOOST_AUTO_TEST_CASE(no_signed_bit_of_a_quote_can_be_changed) {
  for (auto evidence : {tests::emerald_v4(), tests::emerald_v5()}) {
    auto& quote = evidence.set.items.at("quote");
    const std::size_t signed_bytes = attest::parse_tdx_quote(quote)->signed_bytes.size();
    for (std::size_t bit = 0; bit < 8 * signed_bytes; bit += 29) {
      flip(quote, bit);
      BOOST_TEST_REQUIRE(tests::outcome(evidence) != "accept");
      flip(quote, bit);
    }
    BOOST_TEST(tests::outcome(evidence) == "accept");
  }
}

BOOST_AUTO_TEST_CASE(no_bit_behind_the_quoted_body_can_be_changed_either) {
  auto evidence = tests::emerald_v4();
  auto& quote = evidence.set.items.at("quote");
  const auto parsed = attest::parse_tdx_quote(quote);
  const std::size_t from = parsed->signed_bytes.size();
  const std::size_t chain = quote.size() - 70; // what follows is padding
  // PEM tolerates other line ends and the like, so the chain's own bytes are left alone.
  for (std::size_t bit = 8 * from; bit < 8 * (chain - parsed->chain.size()); bit += 29) {
    flip(quote, bit);
    BOOST_TEST_REQUIRE(tests::outcome(evidence) != "accept");
    flip(quote, bit);
  }
}

BOOST_AUTO_TEST_CASE(a_truncated_paravisor_blob_is_refused) {
  const auto hcl = tests::vector_file("azure/snp-genoa-v3.hcl");
  const std::size_t end = 0x4D4 + attest::parse_hcl(hcl)->claims.size();
  for (std::size_t size = 0; size < end; ++size) {
    const std::vector<u8> cut(hcl.begin(), hcl.begin() + static_cast<std::ptrdiff_t>(size));
    const auto parsed = attest::parse_hcl(cut);
    BOOST_TEST_REQUIRE((!parsed && parsed.refusal().code == "hcl-length"));
  }
}

BOOST_AUTO_TEST_CASE(no_bit_of_a_paravisor_blob_can_be_changed) {
  auto evidence = tests::azure_genoa();
  auto& hcl = evidence.set.items.at("hcl");
  for (std::size_t bit = 0; bit < 8 * hcl.size(); bit += 37) {
    if (bit / 8 >= 0x4C4 && bit / 8 < 0x4C8) continue; // a version that nobody has described
    flip(hcl, bit);
    BOOST_TEST(tests::outcome(evidence) != "accept", "bit " << bit);
    flip(hcl, bit);
  }
}

BOOST_AUTO_TEST_CASE(a_truncated_tpm_quote_is_refused) {
  const auto quote = tests::vector_file("azure/snp-genoa-v3.quote");
  BOOST_TEST(bool(attest::parse_tpm_quote(quote)));
  for (std::size_t size = 0; size < quote.size(); ++size)
    BOOST_TEST_REQUIRE(!attest::parse_tpm_quote(Bytes(quote).first(size)));
  auto longer = quote;
  longer.push_back(0);
  BOOST_TEST(attest::parse_tpm_quote(longer).refusal().code == "tpm-length");
}

BOOST_AUTO_TEST_CASE(no_bit_of_a_tpm_quote_or_its_registers_can_be_changed) {
  for (const char* item : {"tpm_quote", "pcrs", "tpm_signature"}) {
    auto evidence = tests::azure_genoa();
    auto& bytes = evidence.set.items.at(item);
    for (std::size_t bit = 0; bit < 8 * bytes.size(); bit += 29) {
      flip(bytes, bit);
      BOOST_TEST(tests::outcome(evidence) != "accept", item << ", bit " << bit);
      flip(bytes, bit);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
