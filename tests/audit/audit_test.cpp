#include "audit/audit.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "audit/recording.hpp"
#include "audit/report.hpp"
#include "audit/routing.hpp"
#include "audit/shipped_prompts.hpp"
#include "core/error.hpp"
#include "remo/public/public_matrix.hpp"
#include "tests/support/models.hpp"

namespace talaria::audit {

namespace {

AuditOptions quick_options(const std::string& model) {
  AuditOptions options;
  options.engine.model_dir = tests::model_folder(model);
  options.text = shipped_prompts();
  options.quick = true;
  return options;
}

AuditReport audited(const AuditOptions& options) {
  SilentProgress progress;
  return run_audit(options, progress);
}

/// Top-1 recovery; the best of several layers.
double recovery(const AuditReport& report, const std::string& scheme, const std::string& attack) {
  double best = -1;
  for (const AttackResult& cell : report.cells)
    if (cell.scheme == scheme && cell.attack == attack && cell.applicable)
      best = std::max(best, static_cast<double>(cell.top1) / static_cast<double>(cell.rows));
  if (best < 0) throw std::runtime_error(attack + " on " + scheme + ": no cell");
  return best;
}

} // namespace

BOOST_AUTO_TEST_CASE(every_scheme_that_must_break_breaks_and_lattice_does_not) {
  auto options = quick_options("qwen3");
  options.attacks = {"nearest", "sorted",     "vocabulary", "null-space",  "learned", "membership",
                     "gram",    "procrustes", "ridge",      "correlation", "limbs",   "repeats"};
  const AuditReport report = audited(options);
  BOOST_TEST(report.configured == "lattice");
  BOOST_TEST(report.passed());
  BOOST_TEST(recovery(report, "clear", "nearest") > 0.97);
  BOOST_TEST(recovery(report, "clear", "vocabulary") > 0.97);
  BOOST_TEST(recovery(report, "permuted", "nearest") < 0.2);
  BOOST_TEST(recovery(report, "permuted", "sorted") > 0.97);
  BOOST_TEST(recovery(report, "permuted", "gram") > 0.97);
  BOOST_TEST(recovery(report, "permuted", "procrustes") > 0.97);
  BOOST_TEST(recovery(report, "mixed", "membership") > 0.97);
  BOOST_TEST(recovery(report, "hybrid-0.5", "nearest") < 0.3);
  BOOST_TEST(recovery(report, "hybrid-0.5", "null-space") > 0.97);
  BOOST_TEST(recovery(report, "hybrid-0.5", "learned") > 0.97);
  BOOST_TEST(recovery(report, "hybrid-0.97", "null-space") > 0.97);
  for (const char* attack : {"nearest", "sorted", "vocabulary", "null-space", "learned",
                             "membership", "gram", "procrustes", "ridge"})
    BOOST_TEST(recovery(report, "lattice", attack) < 0.2, attack);
}

BOOST_AUTO_TEST_CASE(rounded_masks_leave_nothing_to_any_attack) {
  for (const char* parameters : {"R48", "R43"}) {
    auto options = quick_options("llama3");
    options.engine.scheme.parameters = &remo::lattice_parameters(parameters);
    options.others = false;
    const AuditReport report = audited(options);
    BOOST_TEST(report.parameters == parameters);
    BOOST_TEST(report.passed(), parameters);
    std::set<std::string> applied;
    for (const AttackResult& cell : report.cells)
      if (cell.applicable) applied.insert(cell.attack);
    for (const char* attack : {"nearest", "uniformity", "limbs", "correlation", "repeats", "reuse",
                               "noiseless", "short-secret", "toy-lattice"})
      BOOST_TEST(applied.contains(attack), attack);
  }
}

BOOST_AUTO_TEST_CASE(rows_per_expert_name_every_prompt_unless_all_experts_get_all_rows) {
  auto options = quick_options("qwen3_moe");
  options.attacks = {"routing"};
  options.others = false;
  const AuditReport report = audited(options);
  BOOST_TEST_REQUIRE(report.cells.size() == 3U);
  const AttackResult& open = report.cells[0];
  const AttackResult& fixed = report.cells[1];
  const AttackResult& padded = report.cells[2];
  BOOST_TEST((open.rows == 8U && open.top1 == 8U && !open.judges));
  BOOST_TEST((padded.rows == 8U && padded.top1 == 1U && padded.judges));
  // Why there is no fixed number of rows for each expert: docs/adr/0030.
  BOOST_TEST_MESSAGE(fixed.where << ": " << fixed.top1 << " of " << fixed.rows);
  BOOST_TEST((fixed.rows == 8U && fixed.top1 > 1U && !fixed.judges));
  BOOST_TEST(report.passed());

  options.engine.model_dir = tests::model_folder("qwen3");
  BOOST_TEST(audited(options).cells.empty()); // no experts
}

BOOST_AUTO_TEST_CASE(rounds_follow_the_expert_that_most_rows_go_to) {
  // Two layers of three experts to choose among, and one that gets every row.
  const RowCounts counts{4, 0, 5, 9, 1, 2, 1, 9};
  BOOST_TEST(rounds_with_capacity(counts, 4, 3, 2) == (RowCounts{3, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(rounds_with_capacity(counts, 4, 3, 5) == (RowCounts{1, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(rounds_with_capacity(counts, 4, 4, 2) == (RowCounts{5, 5}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(vocabulary_matching_runs_the_layers_of_every_family) {
  for (const char* model : {"llama3", "mistral", "qwen2"}) {
    auto options = quick_options(model);
    options.engine.scheme.kind = remo::SchemeKind::clear;
    options.attacks = {"vocabulary"};
    options.others = false;
    const AuditReport report = audited(options);
    BOOST_TEST(recovery(report, "clear", "vocabulary") > 0.97, model);
    BOOST_TEST(!report.passed()); // clear is what was configured
  }
}

BOOST_AUTO_TEST_CASE(what_the_cloud_expects_of_a_token_is_what_an_unmasked_enclave_sends) {
  SilentProgress progress;
  pipeline::EngineOptions engine;
  engine.model = std::make_shared<const pipeline::ModelLoader>(tests::model_folder("mistral"),
                                                               model::WeightFormat::int8);
  engine.products = std::make_shared<worker::ProductEngine>(remo::kDefaultParameters,
                                                            remo::public_matrix_seed(), 1);
  engine.model->for_each_linear(
      progress, [&](model::QuantizedLinear linear) { engine.products->add(std::move(linear)); });
  engine.scheme.kind = remo::SchemeKind::clear;
  const auto model =
      std::make_shared<const PublicModel>(engine.model, engine.products, remo::kDefaultParameters);
  const auto tokenizer = model::Tokenizer::load(engine.model->files()->texts());
  const std::vector<PlannedRequest> requests{{{5, 6, 7, 300}, 3, true}, {{9, 8, 200}, 0, false}};
  const Recording recording = record(engine, "clear", model, tokenizer, requests, {}, progress);

  const MatrixRows* rows = recording.view.find("layers.0.qkv");
  BOOST_TEST_REQUIRE(rows != nullptr);
  BOOST_TEST_REQUIRE(rows->rows == 4U + 2 + 3);
  const std::vector<u32>& chosen = recording.view.chosen.at(0).tokens;
  BOOST_TEST_REQUIRE(chosen.size() == 6U);
  for (std::size_t r = 0; r < chosen.size(); ++r) {
    const auto expected = model->integers(chosen[r]);
    const bool same = std::equal(expected.begin(), expected.end(), rows->row(r));
    BOOST_TEST(same, "row " << r);
  }
  // The attacker's rows are not scored; the others are, in order.
  BOOST_TEST(recording.truth.tokens[0] == kNoToken);
  BOOST_TEST(recording.truth.tokens[6] == 9U);
  BOOST_TEST(recording.truth.tokens[8] == 200U);
  BOOST_TEST(recording.view.unknown_rows(*rows) == (std::vector<std::size_t>{6, 7, 8}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(reports_name_every_scheme_and_attack) {
  auto options = quick_options("llama3");
  options.attacks = {"nearest", "limbs"};
  const AuditReport report = audited(options);
  for (const std::string& text : {report_table(report), report_json(report), report_page(report)})
    for (const char* name :
         {"clear", "permuted", "mixed", "noise-0.5", "hybrid-0.97", "lattice", "nearest", "limbs"})
      BOOST_TEST(text.find(name) != std::string::npos, name);
  const std::string page = report_page(report);
  BOOST_TEST(page.find("http") == page.find("http-equiv")); // nothing is fetched
}

BOOST_AUTO_TEST_CASE(unknown_attacks_and_texts_without_words_are_refused) {
  auto options = quick_options("llama3");
  options.attacks = {"telepathy"};
  BOOST_CHECK_EXCEPTION(audited(options), Error, [](const Error& error) {
    return error.code() == Errc::usage &&
           std::string(error.what()).find("null-space") != std::string::npos;
  });
  options.attacks = {"nearest"};
  options.text = "no";
  BOOST_CHECK_EXCEPTION(audited(options), Error,
                        [](const Error& error) { return error.code() == Errc::usage; });
}

} // namespace talaria::audit
