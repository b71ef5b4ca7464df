// Evidence of a genuine enclave that is shown where it does not belong: each ends with "not bound".
#include <boost/test/unit_test.hpp>

#include "attest/binding/binding.hpp"
#include "attest/binding/statement.hpp"
#include "attest/policy/statement_appraisal.hpp"
#include "attest/policy/verdict.hpp"
#include "core/error.hpp"
#include "tests/attest/simulation.hpp"

using namespace talaria;
using attest::BindingInput;
using attest::Bytes;
using attest::Role;

namespace {

std::array<u8, 32> filled(u8 value) {
  std::array<u8, 32> bytes{};
  bytes.fill(value);
  return bytes;
}

BindingInput session() {
  return {Role::server, filled(1), filled(2), filled(3), filled(4)};
}

/// The report that a genuine enclave makes for `input`, as a verifier at another end sees it who
/// computes `own`.
attest::Verdict shown(const BindingInput& input, const BindingInput& own,
                      const std::vector<attest::PathStep>& path = {}) {
  tests::sim::ReportSpec report;
  report.measurement.fill(0x55);
  report.report_data = attest::report_data(input);
  attest::Policy policy;
  policy.simulated = true;
  policy.images = {
      {"image", attest::SnpImage{{report.measurement}, {}, {}, {}, {}, {}, 0}, {}, {}}};
  attest::JudgeOptions options;
  options.now = tests::kJudged;
  options.allow_simulated = true;
  options.expectation.report_data = attest::report_data(own, path);
  return attest::judge(tests::snp_set(report), policy, tests::simulated_anchors(), options);
}

int status(const BindingInput& input, const BindingInput& own) {
  return shown(input, own).status;
}

std::string checked(Bytes bound, const BindingInput& own,
                    const std::vector<attest::PathStep>& path = {}) {
  attest::Checks checks;
  attest::check_binding(bound, own, path, checks);
  const auto refusal = checks.refusal();
  return refusal ? refusal->code : "bound";
}

attest::Statement statement() {
  attest::Statement made;
  made.service = "api.example.org";
  made.instance = filled(5);
  made.software = "talaria 0.4.0";
  made.binary = filled(6);
  made.configuration = filled(7);
  made.model = "tiny";
  made.model_root = filled(8);
  made.weights = "int8";
  made.scheme = "lattice";
  made.parameters = "S48";
  made.integrity = "freivalds";
  made.padding = "none";
  made.receipt_key = filled(9);
  made.tls_key = filled(10);
  made.issued = tests::kMade;
  return made;
}

} // namespace

BOOST_AUTO_TEST_SUITE(attest_binding)

BOOST_AUTO_TEST_CASE(the_transcript_is_what_the_guide_writes_down) {
  const auto bytes = attest::transcript(session());
  const std::string tag("talaria attestation v1\0\1", 24);
  BOOST_TEST(std::string(bytes.begin(), bytes.begin() + 24) == tag);
  for (std::size_t part = 0; part < 4; ++part)
    for (std::size_t i = 0; i < 32; ++i)
      BOOST_TEST_REQUIRE(int{bytes[24 + 32 * part + i]} == static_cast<int>(part + 1));
  // Python: hashlib.sha512(b'talaria attestation v1\0\1' + b'\1'*32 + b'\2'*32 + b'\3'*32 +
  // b'\4'*32)
  BOOST_TEST(to_hex(attest::report_data(session())) ==
             "9cda74e1a27f35e9887b67b60705c8da2fdc9b8c2e686abacdec1e82cf23f2ccf02a2aeaa07437da8b918"
             "477a2963a1b8f85a055ce274c08a63dc28f8d54fe9a");
  BOOST_TEST(to_hex(attest::qualifying_data(session())) ==
             "d0ee30c04617272583504a2819dbd7fb70961545c1a29fb92676b91bb67785eb");
}

BOOST_AUTO_TEST_CASE(evidence_of_this_connection_is_accepted) {
  BOOST_TEST(status(session(), session()) == 10); // simulated
}

BOOST_AUTO_TEST_CASE(a_relay_has_another_channel) {
  // It has the enclave's TLS key, so the key fits; its connection to the enclave is not ours.
  BindingInput own = session();
  own.channel = filled(0xC2);
  BOOST_TEST(status(session(), own) == 9);
}

BOOST_AUTO_TEST_CASE(a_replay_has_another_nonce) {
  BindingInput own = session();
  own.nonce = filled(0xA1);
  BOOST_TEST(status(session(), own) == 9);
}

BOOST_AUTO_TEST_CASE(a_reflection_has_another_role) {
  BindingInput own = session();
  own.role = Role::client;
  BOOST_TEST(status(session(), own) == 9);
}

BOOST_AUTO_TEST_CASE(a_diversion_has_another_key) {
  BindingInput own = session();
  own.key = filled(0xE3);
  BOOST_TEST(status(session(), own) == 9);
}

BOOST_AUTO_TEST_CASE(a_downgrade_has_another_statement_or_none) {
  BindingInput own = session();
  own.statement = filled(0xD4);
  BOOST_TEST(status(session(), own) == 9);
  BindingInput archive{Role::archive, {}, {}, filled(3), filled(4)};
  BOOST_TEST(status(archive, session()) == 9);
  BOOST_TEST(status(session(), archive) == 9);
}

BOOST_AUTO_TEST_CASE(every_bit_of_every_part_counts) {
  const auto bound = attest::report_data(session());
  for (std::size_t bit = 0; bit < 8 * 128; ++bit) {
    BindingInput own = session();
    auto& part = bit < 256   ? own.nonce
                 : bit < 512 ? own.channel
                 : bit < 768 ? own.key
                             : own.statement;
    part[bit / 8 % 32] = static_cast<u8>(part[bit / 8 % 32] ^ 1 << bit % 8);
    BOOST_TEST_REQUIRE(checked(bound, own) == "report-data");
  }
  BOOST_TEST(checked(bound, session()) == "bound");
  BOOST_TEST(checked(attest::qualifying_data(session()), session()) == "bound");
}

BOOST_AUTO_TEST_CASE(a_binding_has_no_optional_part) {
  for (const auto change : {&BindingInput::nonce, &BindingInput::channel, &BindingInput::key}) {
    BindingInput own = session();
    own.*change = {};
    // Even evidence that was made for it is not accepted.
    BOOST_TEST(checked(attest::report_data(own), own) == "binding-input");
  }
  BindingInput archive{Role::archive, {}, {}, filled(3), filled(4)};
  BOOST_TEST(checked(attest::report_data(archive), archive) == "bound");
  archive.nonce = filled(1);
  BOOST_TEST(checked(attest::report_data(archive), archive) == "binding-input");
  BOOST_TEST(checked({}, session()) == "report-data");
  const std::vector<u8> zeros(64);
  BOOST_TEST(checked(zeros, session()) == "report-data");
}

BOOST_AUTO_TEST_CASE(each_leaf_of_a_batch_is_bound_by_its_path_and_by_no_other) {
  for (const std::size_t count : {1u, 2u, 3u, 5u, 8u, 13u}) {
    std::vector<BindingInput> inputs(count, session());
    for (std::size_t i = 0; i < count; ++i) inputs[i].nonce = filled(static_cast<u8>(i + 1));
    const attest::BatchTree tree(inputs);
    const auto bound = tree.report_data();
    for (std::size_t i = 0; i < count; ++i) {
      BOOST_TEST(checked(bound, inputs[i], tree.path(i)) == "bound");
      BOOST_TEST(checked(tree.qualifying_data(), inputs[i], tree.path(i)) == "bound");
      if (count == 1) continue;
      BOOST_TEST(checked(bound, inputs[i], tree.path((i + 1) % count)) == "report-data");
      BOOST_TEST(checked(bound, inputs[i]) == "report-data");
      auto longer = tree.path(i);
      longer.push_back({false, filled(0)});
      BOOST_TEST(checked(bound, inputs[i], longer) == "report-data");
    }
  }
  BOOST_CHECK_THROW(attest::BatchTree({}), Error);
}

BOOST_AUTO_TEST_CASE(a_tree_of_one_is_the_binding_itself) {
  const attest::BatchTree tree({session()});
  BOOST_TEST((tree.report_data() == attest::report_data(session())));
  BOOST_TEST(tree.path(0).empty());
}

BOOST_AUTO_TEST_CASE(the_channel_of_a_link_is_that_of_its_three_connections_in_order) {
  const auto a = filled(1);
  const auto b = filled(2);
  const auto c = filled(3);
  BOOST_TEST((attest::channel_of_link(a, b, c) != attest::channel_of_link(b, a, c)));
  BOOST_TEST((attest::channel_of_link(a, b, c) != attest::channel_of_link(a, c, b)));
  BOOST_CHECK_THROW(attest::channel_of_link(a, b, Bytes(c).first(31)), Error);
}

BOOST_AUTO_TEST_CASE(a_statement_is_appraised_field_by_field) {
  const auto code = [](const attest::StatementPolicy& policy, u8 key = 10) {
    attest::Checks checks;
    attest::appraise_statement(statement(), policy, filled(key), checks);
    const auto refusal = checks.refusal();
    return refusal ? refusal->code : "accept";
  };
  BOOST_TEST(code({}) == "accept");
  BOOST_TEST(code({{to_hex(filled(8))}, {"lattice"}, {"S56", "S48"}, "freivalds"}) == "accept");
  BOOST_TEST(code({{to_hex(filled(9))}, {}, {}, {}}) == "statement-model");
  BOOST_TEST(code({{}, {"other"}, {}, {}}) == "statement-scheme");
  BOOST_TEST(code({{}, {}, {"S56"}, {}}) == "statement-parameters");
  BOOST_TEST(code({{}, {}, {}, "none"}) == "statement-integrity");
  BOOST_TEST(code({}, 11) == "statement-key");
}

BOOST_AUTO_TEST_CASE(a_statement_comes_back_and_nothing_else_is_one) {
  const std::string json = attest::to_json(statement());
  const auto read = attest::parse_statement(json);
  BOOST_TEST_REQUIRE(bool(read));
  BOOST_TEST(attest::to_json(*read) == json);
  const auto refused = [](const std::string& text) {
    return !attest::parse_statement(text) &&
           attest::parse_statement(text).refusal().code == "statement";
  };
  for (std::size_t size = 0; size < json.size(); ++size)
    BOOST_TEST_REQUIRE(refused(json.substr(0, size)));
  BOOST_TEST(refused(json.substr(0, json.size() - 1) + ",\"more\":1}"));
  BOOST_TEST(refused(json.substr(0, json.size() - 1) + ",\"v\":1}")); // twice
  std::string other = json;
  other.replace(other.find("Ed25519"), 7, "Ed448..");
  BOOST_TEST(refused(other));
  BOOST_TEST(refused("{}"));
  BOOST_TEST(refused(json + std::string(9000, ' ')));
  auto wrong = statement();
  wrong.service = "two\nlines";
  BOOST_CHECK_THROW(attest::to_json(wrong), Error);
}

BOOST_AUTO_TEST_CASE(a_statement_lists_the_adapters_that_there_are) {
  BOOST_TEST(attest::to_json(statement()).find("adapters") == std::string::npos);
  auto adapted = statement();
  adapted.adapters = {{"tone", filled(3)}, {"sql", filled(4)}};
  const std::string json = attest::to_json(adapted);
  const auto read = attest::parse_statement(json);
  BOOST_TEST_REQUIRE(bool(read));
  BOOST_TEST((read->adapters == adapted.adapters));
  for (const auto& [from, to] :
       {std::pair{"\"tone\"", "7"}, {"\"root\":\"0303", "\"root\":\"03"}}) {
    std::string other = json;
    other.replace(other.find(from), std::string(from).size(), to);
    BOOST_TEST(!attest::parse_statement(other), from);
  }
  adapted.adapters.assign(100, {"tone", filled(3)});
  BOOST_CHECK_THROW(attest::to_json(adapted), Error); // larger than a statement may be
}

BOOST_AUTO_TEST_SUITE_END()
