#include "settings/explain.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>

#include "settings/table.hpp"
#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using settings::Explanation;
using tests::ConfigFolder;
using tests::kFullPipeline;

namespace {

struct Explained : ConfigFolder {
  std::vector<Explanation> rows(std::string_view yaml,
                                std::vector<settings::GivenFlag> flags = {}) const {
    return settings::explain(settings::resolve({file(), std::string(yaml), {}, std::move(flags)}));
  }
  /// "value (where)".
  std::string of(const std::vector<Explanation>& all, const std::string& key) const {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Explanation& row) { return row.key == key; });
    if (found == all.end()) return "not there";
    return found->value + " (" + shortened(found->where) + ")";
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(explanations, Explained)

BOOST_AUTO_TEST_CASE(every_setting_is_explained_once) {
  const auto all = rows("model: model\n");
  BOOST_TEST_REQUIRE(all.size() == settings::table().size());
  for (std::size_t i = 0; i < all.size(); ++i) BOOST_TEST(all[i].key == settings::table()[i].key);
}

BOOST_AUTO_TEST_CASE(values_stand_as_in_a_file_with_their_place) {
  const auto all = rows(kFullPipeline, {{"--max-rows", "600"}});
  BOOST_TEST(of(all, "masking.pool.memory") == "2GiB (F:8:37)");
  BOOST_TEST(of(all, "faults.deadline") == "3s (F:24:13)");
  BOOST_TEST(of(all, "pipeline.max_rows") == "600 (--max-rows)");
  BOOST_TEST(of(all, "serve.limits.head") == "64KiB (default)");
  BOOST_TEST(of(all, "serve.keys") == " (default)");
  BOOST_TEST(of(all, "model") == (root() / "model").string() + " (F:2:8)");
  BOOST_TEST(of(all, "masking.padding.pace") == "0s (default)");
}

BOOST_AUTO_TEST_CASE(workers_are_explained_key_by_key) {
  const auto all = rows(kFullPipeline);
  BOOST_TEST(all.size() == settings::table().size() - 1 + 3 * settings::worker_table().size());
  BOOST_TEST(of(all, "workers[0].layers") == "0-15 (F:13:68)");
  BOOST_TEST(of(all, "workers[1].address") == "[fd00::6]:7601 (F:14:29)");
  BOOST_TEST(of(all, "workers[2].role") == "replica (F:19:11)");
  BOOST_TEST(of(all, "workers[2].start") == "never (default)");
  BOOST_TEST(of(all, "workers[2].columns") == "1/1 (default)");
}

BOOST_AUTO_TEST_CASE(the_text_has_a_line_for_each_and_a_dash_for_nothing) {
  const auto all = rows("model: model\n");
  const std::string text = settings::to_text(all);
  BOOST_TEST(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) == all.size());
  const std::size_t at = text.find("serve.keys ");
  BOOST_TEST_REQUIRE(at != std::string::npos);
  const std::string line = text.substr(at, text.find('\n', at) - at);
  BOOST_TEST(line.find(" - ") != std::string::npos, line);
  BOOST_TEST(line.ends_with("  default"), line);
}

// The value of a secret is in a file of its own, and nobody opens it here.
BOOST_AUTO_TEST_CASE(keys_are_named_by_their_path) {
  const auto all = rows("model: model\nserve: { listen: 127.0.0.1:1, keys: none-such.keys }\n");
  BOOST_TEST(of(all, "serve.keys") == (root() / "none-such.keys").string() + " (F:2:37)");
}

BOOST_AUTO_TEST_SUITE_END()
