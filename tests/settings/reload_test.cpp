#include "settings/reload.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>

#include "settings/table.hpp"
#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using settings::Reload;
using tests::ConfigFolder;
using tests::kTls;

namespace {

using Names = std::vector<std::string>;

struct RunningGateway : ConfigFolder {
  static std::string worker(const std::string& name, const std::string& more) {
    return "  - { name: " + name + ", " + more + " }\n";
  }
  std::string yaml(const std::string& workers, const std::string& more = {}) const {
    return "model: model\n" + std::string(kTls) +
           (workers.empty() ? std::string() : "workers:\n" + workers) + more;
  }
  Reload reload(const std::string& running, const std::string& file) const {
    return settings::reload(parse(running), parse(file));
  }
  const std::string a = worker("a", "address: gpu-a:1, layers: 0-3");
  const std::string b = worker("b", "address: gpu-b:1, layers: 4-7");
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(reload, RunningGateway)

BOOST_AUTO_TEST_CASE(a_file_that_says_the_same_changes_nothing) {
  const Reload same = reload(yaml(a + b), yaml(a + b) + "# a comment\n");
  BOOST_TEST(same.changed.empty());
  BOOST_TEST(same.ignored.empty());
}

BOOST_AUTO_TEST_CASE(workers_and_what_the_table_marks_are_taken_over) {
  const std::string c = worker("c", "address: gpu-c:1, layers: all, role: replica");
  const Reload more =
      reload(yaml(a + b), yaml(a + b + c, "faults: { deadline: 7s, request_deadline: 70s }\n"));
  BOOST_TEST(more.changed == (Names{"workers", "faults.deadline", "faults.request_deadline"}),
             boost::test_tools::per_element());
  BOOST_TEST(more.ignored.empty());
  BOOST_TEST(more.config.workers.size() == 3U);
  BOOST_TEST(more.config.faults.deadline.count() == 7000);
  BOOST_TEST(more.config.faults.request_deadline.count() == 70000);
}

BOOST_AUTO_TEST_CASE(whatever_a_gateway_sees_of_a_worker_counts_and_nothing_else) {
  const auto changes = [&](const std::string& before, const std::string& after) {
    return !reload(yaml(worker("a", before)), yaml(worker("a", after))).changed.empty();
  };
  const std::string base = "address: gpu-a:1, layers: all";
  BOOST_TEST(changes(base, "address: gpu-a:2, layers: all"));
  BOOST_TEST(changes(base, "address: gpu-b:1, layers: all, tls_name: gpu-a"));
  BOOST_TEST(changes(base, base + ", tls_name: other"));
  BOOST_TEST(changes(base, base + ", addresses: each"));
  BOOST_TEST(changes(base, "address: gpu-a:1, layers: 0-3"));
  BOOST_TEST(!changes(base, base + ", threads: 3, device: cuda, program: bin/w"));
}

BOOST_AUTO_TEST_CASE(everything_else_is_named_and_stays_as_it_is) {
  const Reload other =
      reload(yaml(a + b), yaml(a + b, "masking: { parameters: S40 }\npipeline: { max_rows: 9 }\n"
                                      "faults: { strikes: 9, retries: 9 }\n"));
  BOOST_TEST(other.changed == Names{"faults.retries"}, boost::test_tools::per_element());
  BOOST_TEST(other.ignored == (Names{"masking.parameters", "pipeline.max_rows", "faults.strikes"}),
             boost::test_tools::per_element());
  BOOST_TEST(other.config.masking.parameters == "S48");
  BOOST_TEST(other.config.faults.strikes == config::Faults().strikes);
}

BOOST_AUTO_TEST_CASE(an_embedded_worker_is_neither_replaced_by_others_nor_others_by_it) {
  for (const auto& [before, after] : {std::pair(yaml(a), yaml("")), std::pair(yaml(""), yaml(a))}) {
    const Reload result = reload(before, after);
    BOOST_TEST(result.changed.empty());
    BOOST_TEST(result.ignored == Names{"workers"}, boost::test_tools::per_element());
    BOOST_TEST(result.config.workers.size() == parse(before).workers.size());
  }
}

// Protection, keys and addresses that clients and workers rely on never change under them.
BOOST_AUTO_TEST_CASE(few_settings_are_marked_and_none_of_them_protects_anything) {
  Names marked;
  for (const auto& setting : settings::table())
    if (setting.is_reloaded) marked.emplace_back(setting.key);
  BOOST_TEST(marked ==
                 (Names{"workers", "faults.deadline", "faults.request_deadline", "faults.retries"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
