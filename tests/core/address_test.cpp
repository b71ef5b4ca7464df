#include "core/address.hpp"

#include <boost/test/unit_test.hpp>

using namespace talaria;

BOOST_AUTO_TEST_SUITE(addresses)

BOOST_AUTO_TEST_CASE(an_address_is_written_as_it_was_read) {
  for (const char* text : {"10.0.0.5:7600", "gpu-a.example.org:1", "[::1]:7600",
                           "[2001:db8::7]:65535", "localhost:0", "a_b:7"}) {
    const auto address = parse_address(text);
    BOOST_TEST_REQUIRE(address.has_value(), text);
    BOOST_TEST(to_string(*address) == text);
  }
  BOOST_TEST((parse_address("[::1]:7600") == Address{"::1", 7600}));
}

BOOST_AUTO_TEST_CASE(what_is_no_address_is_nothing) {
  for (const char* text :
       {"",         ":",          "host",       "host:",      ":7600",   "host:65536",
        "host:-1",  "host:7600x", "host: 7600", "::1:7600",   "[::1]",   "[]:1",
        "[host]:1", "[::1:1",     "a[b]:1",     "ho\nst:1",   "h\x80:1", "127.0.0.256:1",
        "1.2.3:1",  "-a:1",       ".a:1",       "unix:/run/x"})
    BOOST_TEST(!parse_address(text).has_value(), "accepted: '" << text << "'");
}

BOOST_AUTO_TEST_CASE(only_this_machine_reaches_a_loopback_address) {
  for (const char* host : {"localhost", "::1", "127.0.0.1", "127.9.9.9"})
    BOOST_TEST(is_loopback(host), host);
  for (const char* host : {"127.example", "10.0.0.1", "::2", "localhost.example", ""})
    BOOST_TEST(!is_loopback(host), host);
}

BOOST_AUTO_TEST_CASE(names_and_ip_addresses_are_told_apart) {
  for (const char* ip : {"127.0.0.1", "::1", "fe80::1"}) {
    BOOST_TEST(is_ip_address(ip));
    BOOST_TEST(is_host_name(ip));
  }
  for (const char* name : {"localhost", "1.2.3", "[::1]", ""}) BOOST_TEST(!is_ip_address(name));
  BOOST_TEST(is_host_name("localhost"));
  for (const char* name : {"1.2.3", "[::1]", "", "a b", "a:1"}) BOOST_TEST(!is_host_name(name));
}

BOOST_AUTO_TEST_SUITE_END()
