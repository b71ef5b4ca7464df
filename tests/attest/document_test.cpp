#include <boost/test/unit_test.hpp>

#include "attest/binding/document.hpp"
#include "attest/collateral/bundle.hpp"
#include "tests/attest/vector_files.hpp"

using namespace talaria;
using attest::Bytes;

namespace {

std::string refused(const std::string& json) {
  const auto parsed = attest::parse_document(json);
  return parsed ? "accept" : parsed.refusal().code;
}

} // namespace

BOOST_AUTO_TEST_SUITE(attest_documents)

BOOST_AUTO_TEST_CASE(a_document_comes_back_as_it_was_written) {
  for (const auto& evidence : {tests::genoa(), tests::emerald_v5(), tests::azure_genoa()}) {
    attest::EvidenceDocument document{evidence.set, {1, 2, 3}, {{true, {}}, {false, {}}}};
    document.path[1].sibling[31] = 7;
    const std::string text = attest::to_json(document);
    BOOST_TEST(text.size() < attest::kMaxDocumentBytes);
    const auto read = attest::parse_document(text);
    BOOST_TEST_REQUIRE(bool(read));
    BOOST_TEST((read->evidence.kind == evidence.set.kind));
    BOOST_TEST((read->evidence.items == evidence.set.items));
    BOOST_TEST(read->statement == document.statement, boost::test_tools::per_element());
    BOOST_TEST_REQUIRE(read->path.size() == 2u);
    BOOST_TEST(read->path[0].sibling_is_left);
    BOOST_TEST((read->path[1].sibling == document.path[1].sibling));
  }
}

BOOST_AUTO_TEST_CASE(anything_else_is_no_document) {
  BOOST_TEST(refused(R"({"v":1,"platform":"snp","evidence":"AA"})") == "accept");
  for (const char* wrong :
       {"", "[]", "null", R"({"v":2,"platform":"snp","evidence":"AA"})",
        R"({"v":1,"platform":"sgx","evidence":"AA"})", R"({"v":1,"platform":"snp"})",
        R"({"v":1,"platform":"snp","evidence":"AA=="})",
        R"({"v":1,"platform":"snp","evidence":{"report":"AA"}})",
        R"({"v":1,"platform":"snp","evidence":"AA","more":1})",
        R"({"v":1,"platform":"snp","evidence":"AA","collateral":{"quote":"AA"}})",
        R"({"v":1,"platform":"snp","evidence":"AA","path":["XAAAA"]})",
        R"({"v":1,"platform":"snp","evidence":"AA","evidence":"AB"})",
        R"({"v":1,"platform":"azure-snp","evidence":"AA"})"})
    BOOST_TEST(refused(wrong) == "document", wrong);
  BOOST_TEST(refused(R"({"v":1,"platform":"snp","evidence":"AA","statement":")" +
                     std::string(20000, 'A') + "\"}") == "document");
  BOOST_TEST(refused(std::string(200000, ' ')) == "document");
}

BOOST_AUTO_TEST_CASE(a_bundle_gives_back_what_evidence_lacks) {
  attest::Bundle bundle;
  for (const auto& evidence : {tests::genoa(), tests::turin(), tests::emerald_v5()})
    bundle.add(evidence.set);
  auto read = attest::Bundle::from_tar(bundle.to_tar());
  BOOST_TEST_REQUIRE(bool(read));
  for (auto evidence : {tests::genoa(), tests::turin(), tests::emerald_v5()}) {
    for (const auto& name : attest::EvidenceSet::collateral(evidence.set.kind))
      evidence.set.items.erase(std::string(name));
    if (evidence.set.kind == attest::EvidenceKind::snp)
      BOOST_TEST(tests::outcome(evidence) == "collateral-missing");
    BOOST_TEST(!read->complete(evidence.set).empty());
    BOOST_TEST(tests::outcome(evidence) == "accept");
  }
}

BOOST_AUTO_TEST_CASE(what_came_along_is_kept_and_a_wrong_bundle_can_only_refuse) {
  attest::Bundle bundle;
  auto forged = tests::genoa();
  forged.set.items["crl"].back() ^= 1;
  bundle.add(forged.set);
  auto evidence = tests::genoa();
  BOOST_TEST(bundle.complete(evidence.set).empty());
  BOOST_TEST(tests::outcome(evidence) == "accept");
  evidence.set.items.erase("crl");
  BOOST_TEST(bundle.complete(evidence.set).size() == 1u);
  BOOST_TEST(tests::outcome(evidence) == "crl-signature");
}

BOOST_AUTO_TEST_CASE(an_archive_comes_back_and_nothing_else_is_one) {
  const attest::ArchiveFiles files{
      {"a/b.der", {1, 2, 3}}, {"empty", {}}, {"x.crl", std::vector<u8>(512, 9)}};
  auto tar = attest::write_tar(files);
  BOOST_TEST(tar.size() % 512 == 0u);
  BOOST_TEST((*attest::read_tar(tar) == files));
  for (std::size_t size = 0; size < tar.size() - 512; size += 37)
    BOOST_TEST(!attest::read_tar(Bytes(tar).first(size)));
  for (const std::size_t at : {0u, 124u, 150u, 156u, 257u}) {
    auto bent = tar;
    bent[at] ^= 1;
    BOOST_TEST(!attest::read_tar(bent), "byte " << at);
  }
}

BOOST_AUTO_TEST_CASE(names_in_an_archive_stay_below_its_folder) {
  for (const char* name : {"../x", "/etc/x", "a/../../x", "a b", "x/"}) {
    attest::ArchiveFiles files;
    files[name] = {1};
    BOOST_TEST(!attest::read_tar(attest::write_tar(files)), name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
