// Adapters as clients name them: who may, what answers, and what is said about it.
#include <boost/test/unit_test.hpp>

#include "attest/evidence/encodings.hpp"
#include "gateway/keys.hpp"
#include "gateway/receipt_draft.hpp"
#include "pipeline/adapters.hpp"
#include "tests/gateway/served_engine.hpp"
#include "tests/support/models.hpp"
#include "tests/support/peft_folder.hpp"

namespace talaria::tests {

BOOST_AUTO_TEST_SUITE(http_adapters)

namespace {

/// An engine with two adapters, behind a server that has one of them for Alice.
struct Adapted {
  explicit Adapted(const std::function<void(gateway::ServerOptions&)>& change = {}) {
    for (PeftFolder* folder : {&tone, &sql}) {
      folder->add("model.layers.0.self_attn.v_proj", 32, 64, folder == &tone ? 1 : 2);
      folder->add("model.layers.1.mlp.up_proj", 176, 64, folder == &tone ? 3 : 4);
      folder->config["lora_alpha"] = 400; // so that other tokens are the likeliest
      folder->write();
    }
    pipeline::EngineOptions options;
    options.model_dir = model_folder("llama3");
    options.threads = 2;
    options.pool.rows_ahead = 64;
    pipeline::load_adapters({{"tone", tone.path()}, {"sql", sql.path()}}, options);
    SilentProgress progress;
    engine = std::make_unique<pipeline::Engine>(options, progress);
    server = std::make_unique<RunningServer>(*engine, [&](gateway::ServerOptions& served) {
      served.model_name = "base";
      served.fingerprint = "fp_base";
      served.adapters =
          gateway::ServedAdapters({{"tone", engine->adapter("tone")->digest(), {}},
                                   {"sql", engine->adapter("sql")->digest(), {"alice"}}});
      if (change) change(served);
    });
  }

  static json asking(const char* model) {
    json body = completion_of(json{5, 6, 7, 8}, 6);
    body["model"] = model;
    body["return_token_ids"] = true;
    return body;
  }
  std::vector<u32> alone(const char* adapter) const {
    pipeline::Request request;
    request.prompt = {5, 6, 7, 8};
    request.max_tokens = 6;
    request.ignore_eos = true;
    if (adapter != nullptr) request.adapter = engine->adapter(adapter);
    return run_to_end(*engine, request).tokens;
  }

  PeftFolder tone, sql;
  std::unique_ptr<pipeline::Engine> engine;
  std::unique_ptr<RunningServer> server;
};

std::vector<u32> ids_of(const json& answer) {
  return answer["choices"][0]["token_ids"].get<std::vector<u32>>();
}

} // namespace

BOOST_AUTO_TEST_CASE(the_name_of_the_model_picks_the_adapter) {
  const Adapted adapted;
  const json base = adapted.server->answer("/v1/completions", Adapted::asking("base"));
  const json tone = adapted.server->answer("/v1/completions", Adapted::asking("tone"));
  BOOST_TEST(ids_of(base) == adapted.alone(nullptr), boost::test_tools::per_element());
  BOOST_TEST(ids_of(tone) == adapted.alone("tone"), boost::test_tools::per_element());
  BOOST_TEST(ids_of(tone) != ids_of(base));
  BOOST_TEST(base["model"] == "base");
  BOOST_TEST(tone["model"] == "tone");
  BOOST_TEST(base["system_fingerprint"] == "fp_base");
  BOOST_TEST(tone["system_fingerprint"] != "fp_base");
  const auto unknown = adapted.server->post("/v1/completions", Adapted::asking("other"));
  BOOST_TEST_REQUIRE(bool(unknown));
  BOOST_TEST(unknown->status == 404);
}

BOOST_AUTO_TEST_CASE(models_that_a_client_may_name_are_listed_with_their_parent) {
  const Adapted adapted;
  const auto result = adapted.server->get("/v1/models");
  BOOST_TEST_REQUIRE((result && result->status == 200));
  const json list = json::parse(result->body)["data"];
  BOOST_TEST_REQUIRE(list.size() == 2U); // without a key Alice's is not there
  BOOST_TEST(list[0]["id"] == "base");
  BOOST_TEST(!list[0].contains("parent"));
  BOOST_TEST(list[1]["id"] == "tone");
  BOOST_TEST(list[1]["parent"] == "base");
  BOOST_TEST(list[1]["sha256"] == to_hex(adapted.engine->adapter("tone")->digest()));
  BOOST_TEST(adapted.server->get("/v1/models/tone")->status == 200);
  BOOST_TEST(adapted.server->get("/v1/models/sql")->status == 404);
}

BOOST_AUTO_TEST_CASE(an_adapter_with_keys_is_not_there_for_others) {
  const TemporaryFolder folder;
  const gateway::NewKey alice = gateway::make_key("alice", {});
  const gateway::NewKey bob = gateway::make_key("bob", {});
  gateway::edit_keys(folder.path() / "keys", [&](std::vector<gateway::StoredKey>& keys) {
    keys = {alice.stored, bob.stored};
  });
  const Adapted adapted(
      [&](gateway::ServerOptions& options) { options.access.keys = folder.path() / "keys"; });
  const auto ask = [&](const std::string& key, const char* model) {
    auto client = adapted.server->client();
    client.set_bearer_token_auth(key.c_str());
    const auto result =
        client.Post("/v1/completions", Adapted::asking(model).dump(), "application/json");
    BOOST_TEST_REQUIRE(bool(result));
    return std::pair(result->status, result->body);
  };
  BOOST_TEST(ask(alice.key, "sql").first == 200);
  BOOST_TEST(ask(alice.key, "tone").first == 200);
  BOOST_TEST(ask(bob.key, "tone").first == 200);
  const auto refused = ask(bob.key, "sql");
  BOOST_TEST(refused.first == 404);
  BOOST_TEST(refused.second == ask(bob.key, "no-such").second);
}

BOOST_AUTO_TEST_CASE(a_receipt_names_the_adapter) {
  const auto signer = std::make_shared<attest::ReceiptSigner>(attest::ReceiptKey::create());
  gateway::ReceiptBook::Options book;
  book.terms.service = "127.0.0.1";
  book.terms.model = "base";
  book.terms.kv = "fp32";
  book.terms.fingerprint = "fp_base";
  book.signer = signer;
  const Adapted adapted([&](gateway::ServerOptions& options) {
    options.receipts = std::make_shared<gateway::ReceiptBook>(book);
  });
  for (const char* model : {"tone", "base"}) {
    const auto result = adapted.server->post("/v1/completions", Adapted::asking(model));
    BOOST_TEST_REQUIRE((result && result->status == 200));
    const auto receipt =
        attest::parse_signed_receipt(result->get_header_value(gateway::kReceiptHeader));
    BOOST_TEST_REQUIRE(bool(receipt));
    const attest::Receipt& claims = receipt->receipt;
    BOOST_TEST(claims.model == "base");
    BOOST_TEST(claims.fingerprint == json::parse(result->body)["system_fingerprint"]);
    BOOST_TEST(claims.adapter.has_value() == (std::string(model) == "tone"));
    if (claims.adapter)
      BOOST_TEST((*claims.adapter ==
                  attest::AdapterClaim{"tone", adapted.engine->adapter("tone")->digest()}));
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
