#include "transport/address.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "core/error.hpp"

namespace bdata = boost::unit_test::data;
using namespace talaria;
using transport::Address;

BOOST_AUTO_TEST_SUITE(address)

BOOST_DATA_TEST_CASE(an_address_reads_as_it_was_written,
                     bdata::make({"10.0.0.5:7600", "gpu-a.example.org:1", "[::1]:7600",
                                  "[2001:db8::7]:65535", "localhost:0"}),
                     text) {
  BOOST_TEST(transport::to_string(transport::parse_address(text)) == text);
}

BOOST_AUTO_TEST_CASE(brackets_are_no_part_of_the_host) {
  BOOST_TEST((transport::parse_address("[::1]:7600") == Address{"::1", 7600}));
}

BOOST_DATA_TEST_CASE(what_is_no_address_is_refused_on_one_line,
                     bdata::make({"", ":", "host", "host:", ":7600", "host:65536", "host:-1",
                                  "host:7600x", "host: 7600", "::1:7600", "[::1]", "[]:1",
                                  "[host]:1", "[::1:1", "a[b]:1", "ho\nst:1", "h\x80:1"}),
                     text) {
  try {
    transport::parse_address(text);
    BOOST_ERROR("accepted");
  } catch (const Error& error) {
    BOOST_TEST((error.code() == Errc::usage));
    BOOST_TEST(std::string(error.what()).find('\n') == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(names_and_ip_addresses_are_told_apart) {
  for (const char* ip : {"127.0.0.1", "::1", "fe80::1"}) BOOST_TEST(transport::is_ip_address(ip));
  for (const char* name : {"localhost", "1.2.3", "[::1]", ""})
    BOOST_TEST(!transport::is_ip_address(name));
}

BOOST_AUTO_TEST_SUITE_END()
