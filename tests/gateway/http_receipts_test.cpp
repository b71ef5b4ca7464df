// What a server signs about its answers, and to whom it gives it.
#include <boost/test/unit_test.hpp>

#include "attest/evidence/encodings.hpp"
#include "gateway/receipt_draft.hpp"
#include "tests/gateway/served_engine.hpp"
#include "tests/support/eventually.hpp"

namespace talaria::tests {

namespace {

using attest::Receipt;
using attest::SignedReceipt;

std::shared_ptr<gateway::ReceiptBook> book(std::shared_ptr<attest::ReceiptSigner> signer) {
  gateway::ReceiptBook::Options options;
  options.terms.service = "127.0.0.1";
  options.terms.model = "talaria-tiny";
  options.terms.kv = "fp32";
  options.signer = std::move(signer);
  return std::make_shared<gateway::ReceiptBook>(std::move(options));
}

/// A server that signs, and what it signs with.
struct Signing {
  std::shared_ptr<attest::ReceiptSigner> signer =
      std::make_shared<attest::ReceiptSigner>(attest::ReceiptKey::create());
  RunningServer server{
      [this](gateway::ServerOptions& options) { options.receipts = book(signer); }};

  SignedReceipt read(const std::string& jws) const {
    auto receipt = attest::parse_signed_receipt(jws);
    BOOST_TEST_REQUIRE(bool(receipt));
    BOOST_TEST(receipt->is_signed_by(signer->public_key()));
    return *receipt;
  }
};

attest::ReceiptSalts salts_in(const std::string& text) {
  const auto salts = attest::parse_salts(text);
  BOOST_TEST_REQUIRE(salts.has_value());
  return *salts;
}

/// The receipt behind the last event, and the events alone.
struct Streamed {
  std::string events, jws, salts;
  explicit Streamed(std::string body) {
    const std::string begin = ": talaria-receipt ";
    const std::size_t at = body.find(begin);
    BOOST_TEST_REQUIRE(at != std::string::npos);
    std::string line = body.substr(at + begin.size());
    BOOST_TEST(line.ends_with("\n\n"));
    line.resize(line.size() - 2);
    jws = line.substr(0, line.find(' '));
    salts = line.substr(line.find(' ') + 1);
    events = body.substr(0, at);
    const std::string waiting = ": waiting\n\n";
    for (std::size_t found = 0; (found = events.find(waiting)) != std::string::npos;)
      events.erase(found, waiting.size());
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(http_receipts)

BOOST_AUTO_TEST_CASE(a_whole_answer_has_its_receipt_in_its_head) {
  const Signing signing;
  json body = completion_of("Once upon a time", 12);
  body.update({{"temperature", 0.8}, {"seed", 7}, {"n", 2}, {"return_token_ids", true}});
  const auto result = signing.server.post("/v1/completions", body);
  BOOST_TEST_REQUIRE((result && result->status == 200));
  const Receipt receipt = signing.read(result->get_header_value(gateway::kReceiptHeader)).receipt;
  const auto salts = salts_in(result->get_header_value(gateway::kReceiptSaltsHeader));
  const json answer = json::parse(result->body);
  BOOST_TEST(receipt.id == answer["id"].get<std::string>());
  BOOST_TEST((receipt.request == attest::salted_text(salts.request, body.dump())));
  BOOST_TEST((receipt.response == attest::salted_text(salts.response, result->body)));
  BOOST_TEST(!receipt.stream);
  BOOST_TEST(!receipt.cut);
  BOOST_TEST(receipt.sampling.temperature == 0.8F);
  BOOST_TEST(receipt.sampling.max_tokens == 12U);
  BOOST_TEST(!receipt.sampling.more);
  BOOST_TEST_REQUIRE(receipt.prompts.size() == 1U);
  const auto& choices = answer["choices"];
  BOOST_TEST(
      (receipt.prompts[0].ids ==
       attest::salted_ids(salts.request, choices[0]["prompt_token_ids"].get<std::vector<u32>>())));
  BOOST_TEST_REQUIRE(receipt.answers.size() == 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(receipt.answers[i].seed == 7 + i);
    BOOST_TEST(receipt.answers[i].tokens == 12U);
    BOOST_TEST(
        (receipt.answers[i].ids ==
         attest::salted_ids(salts.response, choices[i]["token_ids"].get<std::vector<u32>>())));
    BOOST_TEST((receipt.answers[i].text ==
                attest::salted_text(salts.response, choices[i]["text"].get<std::string>())));
  }
}

BOOST_AUTO_TEST_CASE(a_streamed_answer_has_its_receipt_behind_its_last_event) {
  const Signing signing;
  json body = chat_of("Hello there", 6);
  body["stream"] = true;
  const auto result = signing.server.post("/v1/chat/completions", body);
  BOOST_TEST_REQUIRE((result && result->status == 200));
  BOOST_TEST(!result->has_header(gateway::kReceiptHeader));
  const Streamed streamed(result->body);
  BOOST_TEST(streamed.events.ends_with("data: [DONE]\n\n"));
  const Receipt receipt = signing.read(streamed.jws).receipt;
  const auto salts = salts_in(streamed.salts);
  BOOST_TEST((receipt.response == attest::salted_text(salts.response, streamed.events)));
  BOOST_TEST(receipt.endpoint == "/v1/chat/completions");
  BOOST_TEST(receipt.stream);
  const auto expected = chatted("Hello there", 6);
  BOOST_TEST((receipt.answers[0].ids == attest::salted_ids(salts.response, expected.tokens)));
  BOOST_TEST((receipt.answers[0].text == attest::salted_text(salts.response, expected.text)));
}

BOOST_AUTO_TEST_CASE(answers_in_other_dialects_have_receipts_too) {
  const Signing signing;
  json responses{{"input", "Hello there"}, {"max_output_tokens", 6}, {"temperature", 0}};
  json messages = chat_of("Hello there", 6);
  for (const auto& [path, body] :
       {std::pair("/v1/responses", responses), std::pair("/v1/messages", messages)}) {
    for (const bool is_stream : {false, true}) {
      json asked = body;
      asked["stream"] = is_stream;
      const auto result = signing.server.post(path, asked);
      BOOST_TEST_REQUIRE((result && result->status == 200), path);
      std::string sent = result->body;
      std::string jws = result->get_header_value(gateway::kReceiptHeader);
      std::string salt_text = result->get_header_value(gateway::kReceiptSaltsHeader);
      if (is_stream) {
        const Streamed streamed(result->body);
        sent = streamed.events;
        jws = streamed.jws;
        salt_text = streamed.salts;
      }
      const Receipt receipt = signing.read(jws).receipt;
      const auto salts = salts_in(salt_text);
      BOOST_TEST(receipt.endpoint == path);
      BOOST_TEST((receipt.response == attest::salted_text(salts.response, sent)), path);
      BOOST_TEST(sent.find(receipt.id) != std::string::npos);
      BOOST_TEST_REQUIRE(receipt.answers.size() == 1U);
      BOOST_TEST((receipt.answers[0].ids ==
                  attest::salted_ids(salts.response, chatted("Hello there", 6).tokens)));
    }
  }
}

BOOST_AUTO_TEST_CASE(receipts_can_be_fetched_and_follow_each_other) {
  const Signing signing;
  SignedReceipt before;
  for (u64 number = 1; number <= 3; ++number) {
    const auto result = signing.server.post("/v1/completions", completion_of("Once", 1));
    const std::string jws = result->get_header_value(gateway::kReceiptHeader);
    const SignedReceipt receipt = signing.read(jws);
    BOOST_TEST(receipt.receipt.number == number);
    if (number > 1) BOOST_TEST((receipt.receipt.previous == before.digest()));
    before = receipt;
    const auto fetched = signing.server.get("/v1/receipts/" + receipt.receipt.id);
    BOOST_TEST_REQUIRE((fetched && fetched->status == 200));
    BOOST_TEST(attest::parse_record(fetched->body)->jws == jws);
  }
  BOOST_TEST(signing.server.get("/v1/receipts/cmpl-0")->status == 404);
  BOOST_TEST(signing.server.get("/v1/receipts/")->status == 404);
}

BOOST_AUTO_TEST_CASE(what_a_receipt_does_not_say_is_said_to_be_missing) {
  const Signing signing;
  for (const json& more : {json{{"stop", "the"}}, json{{"logit_bias", {{"5", 1}}}},
                           json{{"skip_special_tokens", false}}}) {
    json body = completion_of("Once", 2);
    body.update(more);
    const auto result = signing.server.post("/v1/completions", body);
    BOOST_TEST_REQUIRE((result && result->status == 200));
    BOOST_TEST(
        signing.read(result->get_header_value(gateway::kReceiptHeader)).receipt.sampling.more);
  }
}

BOOST_AUTO_TEST_CASE(an_answer_that_fails_has_no_receipt) {
  const Signing signing;
  {
    const WorkerThat worker(WorkerSwitch::Mode::gone);
    const auto result = signing.server.post("/v1/completions", completion_of("Once", 2));
    BOOST_TEST(result->status == 503);
    BOOST_TEST(!result->has_header(gateway::kReceiptHeader));
  }
  BOOST_TEST(signing.server.post("/v1/completions", json{{"prompt", 1}})->status == 400);
  const auto result = signing.server.post("/v1/completions", completion_of("Once", 2));
  BOOST_TEST(signing.read(result->get_header_value(gateway::kReceiptHeader)).receipt.number == 1);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_can_still_fetch_the_receipt_of_what_was_made) {
  const Signing signing;
  std::string id;
  auto client = signing.server.client();
  httplib::Request request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.headers = {{"Content-Type", "application/json"}};
  json body = completion_of("Once upon a time", 1900);
  body["stream"] = true;
  request.body = body.dump();
  std::string seen;
  request.content_receiver = [&](const char* data, std::size_t size, u64, u64) {
    seen.append(data, size);
    const std::size_t at = seen.find("\"id\":\"");
    if (at == std::string::npos || seen.find("\n\n", at) == std::string::npos) return true;
    id = seen.substr(at + 6, seen.find('"', at + 6) - at - 6);
    return false; // enough
  };
  client.send(request);
  client.stop();
  BOOST_TEST_REQUIRE(!id.empty());
  std::string record;
  BOOST_TEST_REQUIRE(eventually([&] {
    const auto fetched = signing.server.get("/v1/receipts/" + id);
    if (!fetched || fetched->status != 200) return false;
    record = fetched->body;
    return true;
  }));
  const auto read = attest::parse_record(record);
  BOOST_TEST_REQUIRE(bool(read));
  const Receipt receipt = signing.read(read->jws).receipt;
  BOOST_TEST(receipt.cut);
  BOOST_TEST(receipt.answers[0].finish == "cancelled");
  const u32 made = receipt.answers[0].tokens;
  BOOST_TEST(made < 1900U);
  const auto again = completed("Once upon a time", std::max(made, 1U));
  if (made > 0)
    BOOST_TEST((receipt.answers[0].ids == attest::salted_ids(read->salts.response, again.tokens)));
}

BOOST_AUTO_TEST_CASE(receipts_are_counted) {
  const Signing signing;
  const auto count = [](const RunningServer& server) {
    const auto text = httplib::Client("127.0.0.1", server.metrics_port()).Get("/metrics")->body;
    const std::string begin = "\ntalaria_receipts_total{model_name=\"talaria-tiny\"} ";
    const std::size_t at = text.find(begin);
    return at == std::string::npos ? -1.0 : std::stod(text.substr(at + begin.size()));
  };
  BOOST_TEST(count(signing.server) == 0);
  signing.server.post("/v1/completions", completion_of("Once", 2));
  json body = chat_of("Hello there", 2);
  body["stream"] = true;
  signing.server.post("/v1/chat/completions", body);
  signing.server.post("/v1/completions", {{"prompt", ""}, {"n", 0}}); // refused: has none
  BOOST_TEST(count(signing.server) == 2);
  BOOST_TEST(count(RunningServer{}) == -1);
}

BOOST_AUTO_TEST_CASE(a_receipt_is_its_owners_and_for_a_while) {
  gateway::ReceiptBook::Clock::time_point now{};
  gateway::ReceiptBook::Options options;
  options.signer = std::make_shared<attest::ReceiptSigner>(attest::ReceiptKey::create());
  options.kept = 2;
  options.now = [&now] { return now; };
  gateway::ReceiptBook kept(std::move(options));
  const auto issue = [&kept](const std::string& client, const std::string& id) {
    Receipt receipt;
    receipt.id = id;
    kept.issue(client, receipt, {});
  };
  issue("a", "1");
  issue("b", "2");
  BOOST_TEST(kept.find("a", "1").has_value());
  BOOST_TEST(!kept.find("a", "2").has_value());
  issue("a", "3");
  BOOST_TEST(!kept.find("a", "1").has_value()); // two are kept
  now += std::chrono::minutes(10);
  BOOST_TEST(!kept.find("a", "3").has_value());
  BOOST_TEST(gateway::receipt_owner({"key name", {}, "key 12"}) == "key 12");
  BOOST_TEST(gateway::receipt_owner({"address 1", {}, {}}) == "address 1");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
