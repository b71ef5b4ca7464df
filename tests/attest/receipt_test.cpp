// Receipts that were changed, signed by others, or taken out of their order.
#include <boost/test/unit_test.hpp>

#include <fstream>
#include <nlohmann/json.hpp>

#include "attest/command/receipt_command.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/receipts/receipt_chain.hpp"
#include "attest/receipts/receipt_signer.hpp"
#include "core/error.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;
using attest::Receipt;
using attest::ReceiptKey;
using attest::SignedReceipt;

namespace {

const ReceiptKey& the_key() {
  static const ReceiptKey key = ReceiptKey::create();
  return key;
}

attest::ReceiptSalts salts() {
  attest::ReceiptSalts made;
  made.request.fill(1);
  made.response.fill(2);
  return made;
}

const std::string kRequest = R"({"prompt":"Once"})";
const std::string kResponse = R"({"choices":[]})";

Receipt sample() {
  Receipt receipt;
  receipt.service = "api.example";
  receipt.issued = attest::parse_time("2025-01-01T00:00:00Z").value();
  receipt.id = "cmpl-0123";
  receipt.chain.fill(7);
  receipt.number = 2;
  receipt.previous = sha256({});
  receipt.request = attest::salted_text(salts().request, kRequest);
  receipt.response = attest::salted_text(salts().response, kResponse);
  receipt.model = "tiny";
  receipt.model_root.fill(3);
  receipt.weights = "int8";
  receipt.scheme = "lattice";
  receipt.parameters = "S48";
  receipt.integrity = "freivalds";
  receipt.kv = "fp32";
  receipt.software = "talaria 0";
  receipt.fingerprint = "fp_0";
  receipt.sampling.temperature = 0.8F;
  receipt.sampling.max_tokens = 16;
  receipt.prompts = {{4, attest::salted_ids(salts().request, std::vector<u32>{1, 2, 3, 4})}};
  attest::ReceiptAnswer answer;
  answer.seed = ~u64{0} - 1; // beyond what a double holds
  answer.tokens = 2;
  answer.ids = attest::salted_ids(salts().response, std::vector<u32>{5, 6});
  answer.text = attest::salted_text(salts().response, "hi");
  answer.finish = "length";
  receipt.answers = {answer};
  return receipt;
}

SignedReceipt read_signed(const std::string& jws) {
  auto read = attest::parse_signed_receipt(jws);
  BOOST_TEST_REQUIRE(bool(read), (read ? std::string() : read.refusal().reason));
  return *read;
}

/// `claims` under the sample's head, signed by the key.
std::string signed_claims(const std::string& claims) {
  const std::string whole = attest::sign_receipt(sample(), the_key());
  const std::string part =
      whole.substr(0, whole.find('.') + 1) + attest::to_base64url(attest::as_bytes(claims));
  return part + "." + attest::to_base64url(the_key().sign(attest::as_bytes(part)));
}

std::string reason_of(const std::string& jws) {
  const auto read = attest::parse_signed_receipt(jws);
  return read ? "taken" : read.refusal().reason;
}

/// As many of one client, one after the other.
std::vector<SignedReceipt> chain_of(std::size_t count) {
  attest::ReceiptSigner signer(ReceiptKey::create());
  std::vector<SignedReceipt> chain;
  for (std::size_t i = 0; i < count; ++i) {
    Receipt receipt = sample();
    receipt.id += std::to_string(i);
    chain.push_back(read_signed(signer.sign("client", receipt)));
  }
  return chain;
}

std::string chain_problem(const std::vector<SignedReceipt>& receipts) {
  attest::Checks checks;
  attest::check_chains(receipts, checks);
  const auto refusal = checks.refusal();
  return refusal ? refusal->code : "none";
}

} // namespace

BOOST_AUTO_TEST_SUITE(receipts)

BOOST_AUTO_TEST_CASE(what_is_signed_is_what_is_read) {
  const SignedReceipt receipt = read_signed(attest::sign_receipt(sample(), the_key()));
  BOOST_TEST(attest::to_json(receipt.receipt) == attest::to_json(sample()));
  BOOST_TEST(receipt.receipt.answers[0].seed == ~u64{0} - 1);
  BOOST_TEST(receipt.receipt.sampling.temperature == 0.8F);
  BOOST_TEST(receipt.key_id == attest::thumbprint_of(the_key().public_key()));
  BOOST_TEST(receipt.is_signed_by(the_key().public_key()));
  BOOST_TEST(!receipt.is_signed_by(ReceiptKey::create().public_key()));
}

BOOST_AUTO_TEST_CASE(an_adapter_is_signed_where_there_is_one) {
  BOOST_TEST(attest::to_json(sample()).find("adapter") == std::string::npos);
  Receipt adapted = sample();
  adapted.adapter = attest::AdapterClaim{"tone", sha256({})};
  const SignedReceipt read = read_signed(attest::sign_receipt(adapted, the_key()));
  BOOST_TEST((read.receipt.adapter == adapted.adapter));
  std::string json = attest::to_json(adapted);
  json.replace(json.find("\"tone\""), 6, "5");
  BOOST_TEST(!attest::parse_receipt(json));
  adapted.adapter->name = "two\nlines";
  BOOST_CHECK_THROW(attest::to_json(adapted), Error);
}

// RFC 8037, appendices A.2 and A.3.
BOOST_AUTO_TEST_CASE(names_of_keys_are_those_of_the_standard) {
  attest::ReceiptPublicKey key{};
  std::ranges::copy(attest::from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").value(),
                    key.begin());
  BOOST_TEST(attest::thumbprint_of(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

BOOST_AUTO_TEST_CASE(no_character_can_be_changed) {
  const std::string whole = attest::sign_receipt(sample(), the_key());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto read = attest::parse_signed_receipt(changed);
    BOOST_TEST((!read || !read->is_signed_by(the_key().public_key())), i);
  }
  for (const std::size_t size : {std::size_t{0}, whole.size() / 2, whole.size() - 1})
    BOOST_TEST(reason_of(whole.substr(0, size)) != "taken");
  BOOST_TEST(reason_of(whole + ".") != "taken");
  BOOST_TEST(reason_of(whole + "=") != "taken");
}

// Each field of the receipt, as somebody would want it otherwise.
BOOST_AUTO_TEST_CASE(no_field_can_be_changed) {
  const std::string whole = attest::sign_receipt(sample(), the_key());
  const std::string signature = whole.substr(whole.rfind('.'));
  const auto claims = nlohmann::ordered_json::parse(attest::to_json(sample()));
  std::size_t changed_fields = 0;
  const auto fields = claims.flatten();
  for (const auto& [pointer, value] : fields.items()) {
    auto changed = claims;
    auto& field = changed[nlohmann::ordered_json::json_pointer(pointer)];
    if (value.is_boolean())
      field = !value.get<bool>();
    else if (value.is_number())
      field = value.get<double>() + 1;
    else
      field = "0" + value.get<std::string>().substr(1);
    if (field == value) field = "1" + value.get<std::string>().substr(1);
    const std::string forged = whole.substr(0, whole.find('.') + 1) +
                               attest::to_base64url(attest::as_bytes(changed.dump())) + signature;
    const auto read = attest::parse_signed_receipt(forged);
    BOOST_TEST((!read || !read->is_signed_by(the_key().public_key())), pointer);
    ++changed_fields;
  }
  BOOST_TEST(changed_fields == 40U);
}

BOOST_AUTO_TEST_CASE(even_the_signer_cannot_write_what_is_no_receipt) {
  const auto claims = nlohmann::ordered_json::parse(attest::to_json(sample()));
  const auto with = [&](const char* name, const nlohmann::ordered_json& value) {
    auto changed = claims;
    changed[name] = value;
    return reason_of(signed_claims(changed.dump()));
  };
  BOOST_TEST(reason_of(signed_claims(claims.dump())) == "taken");
  BOOST_TEST(with("v", 2).find("version") != std::string::npos);
  BOOST_TEST(with("more", 1).find("not known") != std::string::npos);
  BOOST_TEST(with("seq", 0).find("begins at 1") != std::string::npos);
  BOOST_TEST(with("iss", "a\nb").find("printable") != std::string::npos);
  BOOST_TEST(with("sim", false) != "taken");
  BOOST_TEST(with("endpoint", "/v1/other") != "taken");
  BOOST_TEST(with("prompts", nlohmann::ordered_json::array()).find("prompt") != std::string::npos);
  auto sampling = claims.at("sampling");
  for (const nlohmann::ordered_json& number :
       {nlohmann::ordered_json(1e300), nlohmann::ordered_json(-4e38),
        nlohmann::ordered_json("1")}) {
    sampling["temperature"] = number; // a float would be infinite, and could not be written again
    BOOST_TEST(with("sampling", sampling).find("a float holds") != std::string::npos);
  }
  auto lacking = claims;
  lacking.erase("res");
  BOOST_TEST(reason_of(signed_claims(lacking.dump())).find("no res") != std::string::npos);
  const std::string twice = claims.dump();
  BOOST_TEST(reason_of(signed_claims("{\"v\":1," + twice.substr(1))) != "taken");
}

BOOST_AUTO_TEST_CASE(no_other_algorithm_is_taken) {
  const std::string whole = attest::sign_receipt(sample(), the_key());
  const std::string rest = whole.substr(whole.find('.'));
  const std::string id = attest::thumbprint_of(the_key().public_key());
  const auto headed = [&](const std::string& head) {
    return reason_of(attest::to_base64url(attest::as_bytes(head)) + rest);
  };
  BOOST_TEST(headed(R"({"alg":"none","typ":"talaria-receipt+jwt","kid":")" + id + "\"}") !=
             "taken");
  BOOST_TEST(headed(R"({"alg":"EdDSA","typ":"JWT","kid":")" + id + "\"}") != "taken");
  BOOST_TEST(headed(R"({"alg":"EdDSA","typ":"talaria-receipt+jwt","jku":"x","kid":")" + id +
                    "\"}") != "taken");
}

BOOST_AUTO_TEST_CASE(lengths_of_receipts_are_few) {
  Receipt longer = sample();
  longer.answers[0].tokens = 123456;
  longer.number = 9999;
  BOOST_TEST(attest::sign_receipt(longer, the_key()).size() ==
             attest::sign_receipt(sample(), the_key()).size());
}

BOOST_AUTO_TEST_CASE(receipts_of_a_client_are_numbered) {
  const auto chain = chain_of(3);
  BOOST_TEST(!chain[0].receipt.previous.has_value());
  BOOST_TEST((chain[2].receipt.previous == chain[1].digest()));
  BOOST_TEST(chain[2].receipt.number == 3);
  BOOST_TEST(chain_problem(chain) == "none");
  BOOST_TEST(chain_problem({chain[2], chain[0], chain[1]}) == "none");
  BOOST_TEST(chain_problem({chain[1], chain[2]}) == "none");
  BOOST_TEST(chain_problem({chain[1], chain[1]}) == "none");
}

BOOST_AUTO_TEST_CASE(a_chain_shows_what_was_taken_out_or_put_in) {
  const auto chain = chain_of(4);
  BOOST_TEST(chain_problem({chain[0], chain[2], chain[3]}) == "receipt-gap");
  auto other = chain_of(3); // of another key, as if they belonged together
  for (SignedReceipt& each : other) {
    each.key_id = chain[0].key_id;
    each.receipt.chain = chain[0].receipt.chain;
  }
  BOOST_TEST(chain_problem({chain[0], other[1], chain[2]}) == "receipt-previous");
  BOOST_TEST(chain_problem({chain[0], chain[1], other[1]}) == "receipt-fork");
  BOOST_TEST(chain_problem({chain[0], other[0]}) == "receipt-fork");
}

BOOST_AUTO_TEST_CASE(each_client_has_a_chain_and_old_ones_are_forgotten) {
  attest::ReceiptSigner signer(ReceiptKey::create(), 2);
  const auto next = [&](const std::string& whose) {
    return read_signed(signer.sign(whose, sample()));
  };
  const auto first = next("a");
  BOOST_TEST(next("b").receipt.number == 1);
  BOOST_TEST((next("b").receipt.chain != first.receipt.chain));
  BOOST_TEST(next("a").receipt.number == 2); // now b is the one longest without
  BOOST_TEST(next("c").receipt.number == 1);
  BOOST_TEST(next("a").receipt.number == 3);
  const auto anew = next("b");
  BOOST_TEST(anew.receipt.number == 1);
}

BOOST_AUTO_TEST_CASE(records_keep_what_only_the_client_has) {
  attest::ReceiptRecord record;
  record.jws = attest::sign_receipt(sample(), the_key());
  record.salts = salts();
  record.key = the_key().public_key();
  record.request = std::string("\xff\0x", 3);
  const auto read = attest::parse_record(attest::to_json(record));
  BOOST_TEST_REQUIRE(bool(read));
  BOOST_TEST(attest::to_json(*read) == attest::to_json(record));
  BOOST_TEST((read->request == record.request));
  BOOST_TEST(!read->response.has_value());
  for (const char* text : {"{}", "[]", R"({"v":1,"receipt":"a"})",
                           R"({"v":1,"receipt":"a","salts":{"request":"AA","response":"AA"}})"})
    BOOST_TEST(!attest::parse_record(text));
  BOOST_TEST((attest::parse_salts(attest::to_text(salts()))->response == salts().response));
  BOOST_TEST(!attest::parse_salts("AA.AA").has_value());
}

namespace {

/// Files of receipts as a user has them.
class Files {
public:
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << content;
    return folder_.path() / name;
  }
  std::filesystem::path record(const std::string& name, const Receipt& receipt) const {
    attest::ReceiptRecord made;
    made.jws = attest::sign_receipt(receipt, the_key());
    made.salts = salts();
    return write(name, attest::to_json(made));
  }

private:
  tests::TemporaryFolder folder_;
};

attest::ReceiptVerifyOptions pinned(std::vector<std::filesystem::path> files) {
  attest::ReceiptVerifyOptions options;
  options.files = std::move(files);
  options.key = attest::to_base64url(the_key().public_key());
  options.json = true;
  return options;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_receipt_is_about_one_request_and_one_answer) {
  const Files files;
  auto options = pinned({files.record("r.json", sample())});
  BOOST_TEST(verify_receipts(options) == 0);
  options.request = files.write("request", kRequest);
  options.response = files.write("response", kResponse);
  BOOST_TEST(verify_receipts(options) == 0);
  options.response = files.write("other", kResponse + " ");
  BOOST_TEST(verify_receipts(options) == 9);
  options.response.clear();
  options.request = files.write("other", "{}");
  BOOST_TEST(verify_receipts(options) == 9);
  options.request.clear();
  options.key = attest::to_base64url(ReceiptKey::create().public_key());
  BOOST_TEST(verify_receipts(options) == 7);
  options.key.clear();
  BOOST_CHECK_THROW(verify_receipts(options), Error);
  BOOST_TEST(verify_receipts(pinned({files.write("no.json", "{}")})) == 7);
}

BOOST_AUTO_TEST_CASE(comments_of_a_stream_are_not_signed) {
  const Files files;
  Receipt receipt = sample();
  receipt.stream = true;
  receipt.response = attest::salted_text(salts().response, "data: 1\n\ndata: [DONE]\n\n");
  auto options = pinned({files.record("r.json", receipt)});
  options.response = files.write("stream", ": waiting\n\ndata: 1\n\n:\n\ndata: [DONE]\n\n"
                                           ": talaria-receipt a b\n\n");
  BOOST_TEST(verify_receipts(options) == 0);
  options.response = files.write("stream", "data: 2\n\ndata: [DONE]\n\n");
  BOOST_TEST(verify_receipts(options) == 9);
}

BOOST_AUTO_TEST_CASE(simulated_and_future_receipts_are_told_apart) {
  const Files files;
  Receipt receipt = sample();
  receipt.simulated = true;
  auto options = pinned({files.record("r.json", receipt)});
  BOOST_TEST(verify_receipts(options) == 8);
  options.allow_simulated = true;
  BOOST_TEST(verify_receipts(options) == 10);
  options.at = "2024-12-31T00:00:00Z";
  BOOST_TEST(verify_receipts(options) == 9);
}

BOOST_AUTO_TEST_CASE(a_bare_receipt_shows_what_is_in_it_and_compares_nothing) {
  const Files files;
  auto options = pinned({files.write("r.jws", attest::sign_receipt(sample(), the_key()) + "\n")});
  BOOST_TEST(verify_receipts(options) == 0);
  options.request = files.write("request", kRequest);
  BOOST_CHECK_THROW(verify_receipts(options), Error);
}

BOOST_AUTO_TEST_SUITE_END()
