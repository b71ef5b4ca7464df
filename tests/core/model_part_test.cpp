#include "core/model_part.hpp"

#include <boost/test/unit_test.hpp>

using namespace talaria;

BOOST_AUTO_TEST_SUITE(model_parts)

BOOST_AUTO_TEST_CASE(layers_are_written_as_they_are_read) {
  for (const char* text : {"all", "0", "3", "0-15", "7-65535"})
    BOOST_TEST(to_string(parse_layers(text).value()) == text);
  BOOST_TEST((parse_layers("3").value() == LayerRange{3, 3, false}));
  BOOST_TEST(to_string(parse_layers("3-3").value()) == "3");
}

BOOST_AUTO_TEST_CASE(what_names_no_layers_is_nothing) {
  for (const char* text : {"", "-", "1-", "-1", "2-1", "0-65536", "4294967296", "1-2-3", "a", "All",
                           " 1", "1 ", "+1", "1,2"})
    BOOST_TEST(!parse_layers(text).has_value(), "accepted: '" << text << "'");
}

BOOST_AUTO_TEST_CASE(all_layers_are_those_of_a_model) {
  const LayerRange all{0, 0, true};
  BOOST_TEST(all.contains(77));
  BOOST_TEST((all.within(6) == LayerRange{0, 5, false}));
  const LayerRange some{2, 3, false};
  BOOST_TEST(!some.contains(1));
  BOOST_TEST(some.contains(2));
  BOOST_TEST(some.contains(3));
  BOOST_TEST(!some.contains(4));
  BOOST_TEST((some.within(6) == some));
}

BOOST_AUTO_TEST_CASE(people_count_shares_from_one_and_programs_from_zero) {
  BOOST_TEST((parse_share("1/1").value() == ColumnShare{0, 1}));
  BOOST_TEST((parse_share("2/3").value() == ColumnShare{1, 3}));
  BOOST_TEST((parse_share("64/64").value() == ColumnShare{63, 64}));
  for (const char* text : {"1/1", "2/3", "64/64"})
    BOOST_TEST(to_string(parse_share(text).value()) == text);
}

BOOST_AUTO_TEST_CASE(what_is_no_share_is_nothing) {
  for (const char* text :
       {"", "/", "1", "1/", "/2", "0/2", "3/2", "1/65", "-1/2", "1/2/3", "a/b", " 1/2", "1/ 2"})
    BOOST_TEST(!parse_share(text).has_value(), "accepted: '" << text << "'");
}

BOOST_AUTO_TEST_SUITE_END()
