#include "telemetry/trace_id.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

namespace talaria::telemetry {

BOOST_AUTO_TEST_SUITE(trace_id)

BOOST_AUTO_TEST_CASE(a_new_id_is_no_other_and_not_zero) {
  std::set<u64> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(new_trace_id());
  BOOST_TEST(ids.size() == 1000U);
  BOOST_TEST(!ids.contains(0));
}

BOOST_AUTO_TEST_CASE(the_end_of_a_trace_parents_id_is_ours) {
  const auto id = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  BOOST_TEST_REQUIRE(id.has_value());
  BOOST_TEST(id->low == 0x8448eb211c80319cU);
  BOOST_TEST(to_hex(id->low) == "8448eb211c80319c");
  BOOST_TEST(id->high == 0x0af7651916cd43ddU);
  BOOST_TEST(id->parent == 0xb7ad6b7169203331U);
  BOOST_TEST(id->sampled);
  BOOST_TEST(
      !parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02")->sampled);
  BOOST_TEST(to_hex(0xab) == "00000000000000ab");
  BOOST_TEST(parse_traceparent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later")
                 .has_value());
}

BOOST_AUTO_TEST_CASE(what_is_no_trace_parent_names_nothing) {
  for (const char* header :
       {"", "00", "8448eb211c80319c", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd0000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more"})
    BOOST_TEST(!parse_traceparent(header).has_value(), header);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
