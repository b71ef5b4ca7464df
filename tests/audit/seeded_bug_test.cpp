#include "tests/audit/seeded_bug.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <set>
#include <string>
#include <vector>

#include "audit/audit.hpp"
#include "audit/shipped_prompts.hpp"
#include "tests/support/models.hpp"

namespace talaria::audit {

// Under R43 the masks without errors are rounded still, which linear algebra does not open.
BOOST_DATA_TEST_CASE(of_the_attacks_made_for_bugs_the_audit_fails_by_the_one_made_for_this_bug,
                     boost::unit_test::data::make(std::vector<std::string>{"S48", "R43"}),
                     parameters) {
  AuditOptions options;
  options.engine.model_dir = tests::model_folder("llama3");
  options.engine.scheme.parameters = &remo::lattice_parameters(parameters);
  options.text = shipped_prompts();
  options.attacks = {"nearest", "uniformity", "limbs",       "correlation",
                     "repeats", "reuse",      "short-secret"};
  if (parameters == "S48") options.attacks.push_back("noiseless");
  options.quick = true;
  options.others = false;
  SilentProgress progress;
  const AuditReport report = run_audit(options, progress);

  const std::string caught_by = tests::kCaughtBy == nullptr ? "" : tests::kCaughtBy;
  const bool caught = !caught_by.empty() && (parameters == "S48" || caught_by != "noiseless");
  std::set<std::string> alarmed;
  for (const AttackResult& alarm : report.alarms) alarmed.insert(alarm.attack);
  for (const char* attack : {"reuse", "noiseless", "short-secret"})
    BOOST_TEST(alarmed.contains(attack) == (caught && attack == caught_by), attack);
  // A difference of two rows under one mask is not uniform either.
  BOOST_TEST(report.passed() == !caught);
  std::set<std::string> applied;
  for (const AttackResult& cell : report.cells)
    if (cell.applicable) applied.insert(cell.attack);
  BOOST_TEST(applied.size() == options.attacks.size());
}

} // namespace talaria::audit
