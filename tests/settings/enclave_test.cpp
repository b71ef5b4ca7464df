// `enclave:`: what is read, and what is refused with which words.
#include <boost/test/unit_test.hpp>

#include <string>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using tests::ConfigFolder;

BOOST_AUTO_TEST_SUITE(enclave)

BOOST_AUTO_TEST_CASE(lookups_are_ordinary_unless_asked_for) {
  const ConfigFolder folder;
  BOOST_TEST(folder.parse("model: model\n").enclave.oblivious == "off");
  BOOST_TEST(folder.parse("model: model\nenclave: { oblivious: off }\n").enclave.oblivious ==
             "off");
  BOOST_TEST(folder.parse("model: model\nenclave: { oblivious: on }\n").enclave.oblivious == "on");
  BOOST_TEST(folder.parse("model: model\nenclave: {}\n").enclave.oblivious == "off");
}

BOOST_AUTO_TEST_CASE(mistakes_are_named_with_their_place) {
  const ConfigFolder folder;
  BOOST_TEST(folder.complaint("model: model\nenclave: { oblivious: yes }\n") ==
             "F:2:23: enclave.oblivious: is 'yes'; expected off or on");
  BOOST_TEST(folder.complaint("model: model\nenclave: { oblivous: on }\n") ==
             "F:2:12: enclave.oblivous: unknown key; did you mean 'oblivious'?");
  BOOST_TEST(folder.complaint("model: model\nenclave: on\n") ==
             "F:2:10: enclave: is 'on'; expected a mapping with oblivious");
}

BOOST_AUTO_TEST_SUITE_END()
