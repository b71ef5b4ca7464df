#include <boost/test/unit_test.hpp>

#include "attest/evidence/der.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/evidence/snp_leaf.hpp"

using namespace talaria;
using attest::Bytes;

namespace {

std::optional<attest::DerValue> taken(const char* hex) {
  static std::vector<u8> bytes;
  bytes = attest::from_hex(hex).value();
  Bytes rest(bytes);
  return attest::take_der(rest);
}

std::optional<u32> number(const char* hex) {
  return attest::der_unsigned(attest::from_hex(hex).value());
}

} // namespace

BOOST_AUTO_TEST_SUITE(attest_der)

BOOST_AUTO_TEST_CASE(only_the_shortest_definite_length_is_read) {
  BOOST_TEST(taken("0401aa").has_value());
  BOOST_TEST(!taken("048101aa").has_value());   // long form of a short length
  BOOST_TEST(!taken("04820001aa").has_value()); // with a leading zero
  BOOST_TEST(!taken("0480aa0000").has_value()); // indefinite
  BOOST_TEST(!taken("0402aa").has_value());     // beyond the end
  BOOST_TEST(!taken("04").has_value());
  BOOST_TEST(!taken("0484ffffffff").has_value());
  BOOST_TEST(!taken("1f8101").has_value()); // a tag of several bytes
}

BOOST_AUTO_TEST_CASE(numbers_are_shortest_and_not_negative) {
  BOOST_TEST(number("00").value() == 0u);
  BOOST_TEST(number("7f").value() == 127u);
  BOOST_TEST(number("00d9").value() == 217u);
  BOOST_TEST(number("00ffffffff").value() == 0xFFFFFFFFu);
  BOOST_TEST(!number("d9"));           // negative
  BOOST_TEST(!number("007f"));         // a zero too many
  BOOST_TEST(!number("01ffffffff"));   // beyond 32 bits
  BOOST_TEST(!number("0000000000ff")); // longer still
}

BOOST_AUTO_TEST_CASE(object_identifiers_are_read_and_malformed_ones_are_not) {
  const auto text = [](const char* hex) {
    return attest::der_object(attest::from_hex(hex).value());
  };
  BOOST_TEST(text("2b060104019c780101").value() == "1.3.6.1.4.1.3704.1.1");
  BOOST_TEST(text("2a864886f84d010d01").value() == "1.2.840.113741.1.13.1");
  BOOST_TEST(!text("2b80"));   // ends within an arc
  BOOST_TEST(!text("2b8001")); // not the shortest form
  BOOST_TEST(!text("2bffffffffffffffffffff7f"));
}

BOOST_AUTO_TEST_CASE(a_hardware_id_is_told_from_its_header_by_length_alone) {
  std::vector<u8> bare(64, 0x11);
  bare[0] = 0x04;
  bare[1] = 0x3E; // looks like the header of an OCTET STRING
  BOOST_TEST(attest::hwid_bytes(bare, 64) == bare);
  bare[0] = 0x02;
  BOOST_TEST(attest::hwid_bytes(bare, 64) == bare);
  std::vector<u8> wrapped{0x04, 0x40};
  wrapped.insert(wrapped.end(), bare.begin(), bare.end());
  BOOST_TEST(attest::hwid_bytes(wrapped, 64) == bare);
  wrapped[1] = 0x3F;
  BOOST_TEST(attest::hwid_bytes(wrapped, 64).empty());
  BOOST_TEST(attest::hwid_bytes(bare, 8).empty());
}

BOOST_AUTO_TEST_CASE(encodings_take_nothing_but_themselves) {
  BOOST_TEST(!attest::from_hex(""));
  BOOST_TEST(!attest::from_hex("abc"));
  BOOST_TEST(!attest::from_hex("0x12"));
  BOOST_TEST(!attest::from_base64url("AA=="));
  BOOST_TEST(!attest::from_base64url("A+"));
  BOOST_TEST(!attest::from_base64("AA=A"));
  for (std::size_t size = 1; size < 40; ++size) {
    std::vector<u8> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<u8>(37 * i + size);
    BOOST_TEST(attest::from_base64url(attest::to_base64url(bytes)).value() == bytes);
  }
}

BOOST_AUTO_TEST_CASE(times_are_calendar_times) {
  BOOST_TEST(attest::to_text(attest::parse_time("2026-08-01T12:34:56Z").value()) ==
             "2026-08-01T12:34:56Z");
  for (const char* wrong : {"2026-02-30T00:00:00Z", "2026-08-01T24:00:00Z", "2026-08-01 00:00:00Z",
                            "2026-08-01T00:00:00", "2026-08-01T00:00:00+00:00", "", "now"})
    BOOST_TEST(!attest::parse_time(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_SUITE_END()
