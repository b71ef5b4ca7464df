#include "tests/audit/seeded_bug.hpp"

#include <boost/test/unit_test.hpp>
#include <set>
#include <string>

#include "audit/audit.hpp"
#include "audit/shipped_prompts.hpp"
#include "tests/support/models.hpp"

namespace talaria::audit {

BOOST_AUTO_TEST_CASE(of_the_attacks_made_for_bugs_the_audit_fails_by_the_one_made_for_this_bug) {
  AuditOptions options;
  options.engine.model_dir = tests::model_folder("llama3");
  options.text = shipped_prompts();
  options.attacks = {"nearest", "uniformity", "limbs",     "correlation",
                     "repeats", "reuse",      "noiseless", "short-secret"};
  options.quick = true;
  options.others = false;
  SilentProgress progress;
  const AuditReport report = run_audit(options, progress);

  std::set<std::string> alarmed;
  for (const AttackResult& alarm : report.alarms) alarmed.insert(alarm.attack);
  for (const char* attack : {"reuse", "noiseless", "short-secret"}) {
    const bool expected = tests::kCaughtBy != nullptr && std::string(attack) == tests::kCaughtBy;
    BOOST_TEST(alarmed.contains(attack) == expected, attack);
  }
  // A difference of two rows under one mask is not uniform either.
  BOOST_TEST(report.passed() == (tests::kCaughtBy == nullptr));
  std::set<std::string> applied;
  for (const AttackResult& cell : report.cells)
    if (cell.applicable) applied.insert(cell.attack);
  BOOST_TEST(applied.size() == options.attacks.size());
}

} // namespace talaria::audit
