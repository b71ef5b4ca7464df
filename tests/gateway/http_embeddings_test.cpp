// /v1/embeddings, /v1/score and /v1/rerank, against what the engine alone makes of the same texts.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "attest/evidence/encodings.hpp"
#include "gateway/receipt_draft.hpp"
#include "tests/gateway/served_engine.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/model_copy.hpp"

namespace talaria::tests {

BOOST_AUTO_TEST_SUITE(http_embeddings)

namespace {

using Vector = std::vector<float>;
using model::Task;

constexpr const char* kEmbeddings = "/v1/embeddings";
constexpr const char* kTexts[] = {"Once upon a time", "the engine", "A longer text about nothing",
                                  "yes"};

json texts() {
  return {kTexts[0], kTexts[1], kTexts[2], kTexts[3]};
}

/// qwen3 of the tests, served for something else than to write.
class Served {
public:
  explicit Served(std::optional<Task> task, const std::function<void(const ModelCopy&)>& make = {},
                  const std::function<void(gateway::ServerOptions&)>& change = {}) {
    if (make) make(folder_);
    pipeline::EngineOptions options;
    options.model_dir = folder_.path();
    options.task = task;
    options.threads = 2;
    options.pool.rows_ahead = 64;
    SilentProgress progress;
    engine_ = std::make_unique<pipeline::Engine>(options, progress);
    server_ = std::make_unique<RunningServer>(*engine_, [&](gateway::ServerOptions& server) {
      server.model_name = "small";
      server.chat_template = model::ChatTemplate::load(folder_.path());
      if (change) change(server);
    });
  }

  const RunningServer& server() const { return *server_; }
  std::vector<u32> ids(const std::string& text) const {
    return engine_->tokenizer().encode(text, true);
  }
  /// Of a conversation as its template writes it.
  std::vector<u32> ids_of_prompt(const std::string& prompt) const {
    return engine_->tokenizer().encode(prompt, false);
  }
  /// From the engine alone.
  Vector pooled(std::vector<u32> ids, u32 dimensions = 0) const {
    pipeline::Request request;
    request.prompt = std::move(ids);
    request.pooled = true;
    request.dimensions = dimensions;
    return run_to_end(*engine_, std::move(request)).pooled;
  }
  Vector pooled(const std::string& text) const { return pooled(ids(text)); }

private:
  ModelCopy folder_{"qwen3"};
  std::unique_ptr<pipeline::Engine> engine_;
  std::unique_ptr<RunningServer> server_;
};

/// Shared by the tests that only ask it.
const Served& embedder() {
  static const Served served({}, [](const ModelCopy& folder) {
    folder.add_modules({{"pooling_mode_mean_tokens", true}});
    folder.change_json("config.json", [](json& config) { config["is_matryoshka"] = true; });
  });
  return served;
}

Vector decoded(const std::string& base64) {
  const auto bytes = attest::from_base64(base64);
  BOOST_REQUIRE(bytes);
  Vector out(bytes->size() / sizeof(float));
  std::memcpy(out.data(), bytes->data(), bytes->size());
  return out;
}

double cosine(const Vector& a, const Vector& b) {
  const auto dot = [](const Vector& x, const Vector& y) {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  };
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

/// The sentence and the field of a refusal.
std::pair<std::string, std::string> refused(const RunningServer& server, const std::string& path,
                                            const json& body) {
  const auto result = server.post(path, body);
  BOOST_REQUIRE(result);
  BOOST_TEST(result->status == 400, path << " " << body.dump() << ": " << result->body);
  const json error = json::parse(result->body).value("error", json::object());
  const json param = error.value("param", json());
  return {error.value("message", ""), param.is_string() ? param.get<std::string>() : ""};
}

void check_refused(const RunningServer& server, const std::string& path, const json& body,
                   const char* part, const char* param = "") {
  const auto [message, field] = refused(server, path, body);
  BOOST_TEST(message.find(part) != std::string::npos, message << " lacks " << part);
  BOOST_TEST(field == param);
}

} // namespace

BOOST_AUTO_TEST_CASE(every_form_of_input_gives_the_vector_of_the_engine) {
  const Served& served = embedder();
  const Vector expected = served.pooled(kTexts[0]);
  const auto ids = served.ids(kTexts[0]);
  for (const json& input : {json(kTexts[0]), json{kTexts[0]}, json(ids), json{ids}})
    for (const char* format : {"float", "base64"}) {
      const json body = served.server().answer(
          kEmbeddings, {{"model", "small"}, {"input", input}, {"encoding_format", format}});
      BOOST_TEST(body["object"] == "list");
      BOOST_TEST(body["model"] == "small");
      BOOST_TEST(body["id"].get<std::string>().starts_with("embd-"));
      BOOST_TEST(body["created"].is_number_unsigned());
      BOOST_TEST(body["usage"]["prompt_tokens"] == ids.size());
      BOOST_TEST(body["usage"]["total_tokens"] == ids.size());
      BOOST_TEST_REQUIRE(body["data"].size() == 1u);
      const json& each = body["data"][0];
      BOOST_TEST(each["object"] == "embedding");
      BOOST_TEST(each["index"] == 0);
      const json& vector = each["embedding"];
      BOOST_TEST((vector.is_string() ? decoded(vector) : vector.get<Vector>()) == expected,
                 boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(texts_of_one_request_keep_their_order) {
  const Served& served = embedder();
  std::vector<std::string> many;
  for (int i = 0; i < 300; ++i) many.push_back(std::to_string(i)); // more than run at once
  const json body = served.server().answer("/embeddings", {{"input", many}});
  BOOST_TEST_REQUIRE(body["data"].size() == many.size());
  for (const std::size_t i : {0U, 1U, 150U, 299U}) {
    BOOST_TEST(body["data"][i]["index"] == i);
    BOOST_TEST(body["data"][i]["embedding"].get<Vector>() == served.pooled(many[i]),
               boost::test_tools::per_element());
  }
  const json shorter = served.server().answer(
      kEmbeddings, {{"input", texts()}, {"dimensions", 16}, {"user", "me"}, {"dimensions", 16}});
  BOOST_TEST(shorter["data"][2]["embedding"].get<Vector>() ==
                 served.pooled(served.ids(kTexts[2]), 16),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(how_long_an_answer_is_tells_nothing_of_its_numbers) {
  const Served plain(
      {},
      [](const ModelCopy& folder) {
        folder.add_modules({{"pooling_mode_lasttoken", true}});
      },
      [](gateway::ServerOptions& options) { options.stream.obfuscation = false; });
  const auto size = [&](const char* path, const json& body) {
    const auto result = plain.server().post(path, body);
    BOOST_TEST_REQUIRE(result->status == 200, result->body);
    return result->body.size();
  };
  for (const char* format : {"float", "base64"}) {
    const auto of = [&](const char* text) {
      return size(kEmbeddings, {{"input", text}, {"encoding_format", format}});
    };
    for (const char* text : kTexts) BOOST_TEST(of(text) == of(kTexts[0]), text);
  }
  // Which of the documents are told depends on their scores.
  const json documents{"short", "a document that is much longer than all of the others",
                       "middle one"};
  std::set<std::size_t> sizes;
  for (const char* query : kTexts)
    sizes.insert(size("/v1/rerank", {{"query", query}, {"documents", documents}, {"top_n", 1}}));
  BOOST_TEST(sizes.size() == 1u);
}

BOOST_AUTO_TEST_CASE(embeddings_are_compared_by_their_cosine) {
  const Served& served = embedder();
  const auto expected = [&](int a, int b) {
    return cosine(served.pooled(kTexts[a]), served.pooled(kTexts[b]));
  };
  const json one =
      served.server().answer("/v1/score", {{"text_1", kTexts[0]}, {"text_2", texts()}});
  BOOST_TEST(one["object"] == "list");
  BOOST_TEST(one["id"].get<std::string>().starts_with("score-"));
  BOOST_TEST_REQUIRE(one["data"].size() == 4u);
  for (int i = 0; i < 4; ++i) {
    BOOST_TEST(one["data"][i]["index"] == i);
    BOOST_TEST(one["data"][i]["object"] == "score");
    BOOST_TEST(std::abs(one["data"][i]["score"].get<double>() - expected(0, i)) < 1e-6);
  }
  const json pairs = served.server().answer(
      "/score",
      {{"queries", texts()}, {"documents", {kTexts[3], kTexts[2], kTexts[1], kTexts[0]}}});
  for (int i = 0; i < 4; ++i)
    BOOST_TEST(std::abs(pairs["data"][i]["score"].get<double>() - expected(i, 3 - i)) < 1e-6);
}

BOOST_AUTO_TEST_CASE(the_best_documents_come_first) {
  const Served& served = embedder();
  const json body{{"query", kTexts[1]}, {"documents", texts()}};
  const json all = served.server().answer("/v1/rerank", body)["results"];
  BOOST_TEST_REQUIRE(all.size() == 4u);
  BOOST_TEST(all[0]["index"] == 1);
  BOOST_TEST(all[0]["document"]["text"] == kTexts[1]);
  for (int i = 0; i < 4; ++i) {
    const auto index = all[i]["index"].get<std::size_t>();
    const double score = all[i]["relevance_score"];
    BOOST_TEST(std::abs(score - cosine(served.pooled(kTexts[1]), served.pooled(kTexts[index]))) <
               1e-6);
    BOOST_TEST((i == 0 || score <= all[i - 1]["relevance_score"]));
  }
  for (const char* path : {"/rerank", "/v2/rerank"}) {
    json fewer = body;
    fewer.update({{"top_n", 2}, {"return_documents", false}});
    const json best = served.server().answer(path, fewer)["results"];
    BOOST_TEST_REQUIRE(best.size() == 2u);
    BOOST_TEST(best[1]["index"] == all[1]["index"]);
    BOOST_TEST(!best[0].contains("document"));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_honoured_is_refused_by_its_field) {
  const RunningServer& server = embedder().server();
  const auto input = [&](const json& value, const char* part, const char* param) {
    check_refused(server, kEmbeddings, {{"input", value}}, part, param);
  };
  check_refused(server, kEmbeddings, json::object(), "input is missing", "input");
  input("", "empty", "input");
  input(json::array(), "must be", "input");
  input({"a", ""}, "empty", "input[1]");
  input({1, "a"}, "whole number", "input");
  input({4096}, "outside the vocabulary", "input");
  input(std::vector<u32>(2049, 7), "maximum context length", "input");
  input(std::vector<std::string>(1025, "a longer text"), "more than 1024", "input");
  const auto beside = [&](const json& more, const char* part, const char* param) {
    json body{{"input", "a"}};
    body.update(more);
    check_refused(server, kEmbeddings, body, part, param);
  };
  beside({{"encoding_format", "int8"}}, "float or base64", "encoding_format");
  beside({{"dimensions", 0}}, "whole number", "dimensions");
  beside({{"dimensions", 65}}, "dimensions: 65", "dimensions");
  beside({{"truncate_prompt_tokens", 4}}, "not cut", "truncate_prompt_tokens");
  beside({{"temperature", 1}}, "not supported", "temperature");
  beside({{"stream", true}}, "as a whole", "stream");
  beside({{"normalize", false}}, "length 1", "normalize");
  BOOST_TEST(server.post(kEmbeddings, {{"input", "a"}, {"model", "other"}})->status == 404);
  for (const json& neutral : {json{{"dimensions", nullptr}}, json{{"embed_dtype", "float32"}},
                              json{{"priority", 0}}, json{{"normalize", true}}}) {
    json body{{"input", "a"}};
    body.update(neutral);
    BOOST_TEST(server.post(kEmbeddings, body)->status == 200, body.dump());
  }
  check_refused(server, "/v1/score", {{"text_1", "a"}}, "text_2 is missing", "text_2");
  check_refused(server, "/v1/score", {{"text_1", {"a", "b"}}, {"text_2", {"a", "b", "c"}}},
                "2 and 3", "text_1");
  check_refused(server, "/v1/score", {{"text_1", "a"}, {"text_2", {"b"}}, {"items", "c"}},
                "means the same", "text_2");
  check_refused(server, "/v1/rerank", {{"query", "a"}}, "documents is missing", "documents");
  check_refused(server, "/v1/rerank", {{"query", "a"}, {"documents", {1}}}, "string",
                "documents[0]");
}

BOOST_AUTO_TEST_CASE(a_server_says_what_its_model_is_for) {
  const RunningServer& embeds = embedder().server();
  check_refused(embeds, "/v1/completions", completion_of("a", 1), "use /v1/embeddings");
  check_refused(embeds, "/v1/chat/completions", chat_of("a", 1), "generates no text");
  const RunningServer writes;
  for (const char* path : {"/v1/embeddings", "/v1/score", "/v1/rerank"})
    check_refused(writes, path, {{"input", "a"}}, "task: embed");
}

BOOST_AUTO_TEST_CASE(a_model_with_a_head_reads_one_text_behind_the_other) {
  const Served served({}, [](const ModelCopy& folder) {
    Vector weights(64);
    for (std::size_t i = 0; i < weights.size(); ++i)
      weights[i] = static_cast<float>(static_cast<int>(i * 37 % 64) - 31) / 256;
    folder.add_tensor("score.weight", {1, 64}, weights);
    folder.change_json("config.json", [](json& config) {
      config["architectures"] = {"Qwen3ForSequenceClassification"};
      config["num_labels"] = 1;
    });
  });
  const json body =
      served.server().answer("/v1/score", {{"text_1", kTexts[0]}, {"text_2", texts()}});
  std::set<float> different;
  for (int i = 0; i < 4; ++i) {
    auto ids = served.ids(kTexts[0]);
    const auto second = served.ids(kTexts[i]);
    ids.insert(ids.end(), second.begin(), second.end());
    const Vector expected = served.pooled(ids);
    BOOST_TEST(body["data"][i]["score"].get<float>() == expected.at(0));
    different.insert(expected[0]);
  }
  BOOST_TEST(different.size() == 4u);
  check_refused(served.server(), kEmbeddings, {{"input", "a"}}, "scores pairs of texts");
  check_refused(served.server(), "/v1/rerank",
                {{"query", "a"}, {"documents", "b"}, {"instruction", "c"}}, "no instruction",
                "instruction");
}

BOOST_AUTO_TEST_CASE(a_model_that_writes_is_asked_for_yes_or_no) {
  const Served served(Task::score, [](const ModelCopy& folder) {
    // "no" becomes a token.
    folder.change_json("tokenizer.json", [](json& tokenizer) {
      json& merge = tokenizer["model"]["merges"].back();
      const std::string a =
          merge.is_string() ? merge.get<std::string>() : merge[0].get<std::string>();
      const std::string pair = merge.is_string() ? a : a + " " + merge[1].get<std::string>();
      json& vocab = tokenizer["model"]["vocab"];
      const std::string old = pair.substr(0, pair.find(' ')) + pair.substr(pair.find(' ') + 1);
      vocab["no"] = vocab.at(old);
      vocab.erase(old);
      merge = merge.is_string() ? json("n o") : json{"n", "o"};
    });
  });
  const auto asked = [&](const std::string& instruction, const std::string& query,
                         const std::string& document) {
    const model::ChatTemplate chat = *model::ChatTemplate::load(model_folder("qwen3"));
    return chat.render({{"system", "Judge whether the Document meets the requirements based on the "
                                   "Query and the Instruct provided. Note that the answer can only "
                                   "be \"yes\" or \"no\"."},
                        {"user", "<Instruct>: " + instruction + "\n<Query>: " + query +
                                     "\n<Document>: " + document}},
                       true);
  };
  const std::string usual =
      "Given a web search query, retrieve relevant passages that answer the query";
  for (const std::string& instruction : {std::string(), std::string("Find lies")}) {
    json body{{"query", kTexts[1]}, {"documents", texts()}};
    if (!instruction.empty()) body["instruction"] = instruction;
    for (const json& each : served.server().answer("/v1/rerank", body)["results"]) {
      const std::string document = kTexts[each["index"].get<std::size_t>()];
      const std::string prompt =
          asked(instruction.empty() ? usual : instruction, kTexts[1], document);
      BOOST_TEST(each["relevance_score"].get<float>() ==
                 served.pooled(served.ids_of_prompt(prompt)).at(0));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_receipt_vouches_for_the_body) {
  const auto signer = std::make_shared<attest::ReceiptSigner>(attest::ReceiptKey::create());
  gateway::ReceiptBook::Options book;
  book.terms.service = "127.0.0.1";
  book.terms.model = "small";
  book.terms.kv = "fp32";
  book.signer = signer;
  const Served served(Task::embed, {}, [&](gateway::ServerOptions& options) {
    options.receipts = std::make_shared<gateway::ReceiptBook>(book);
  });
  const json body{{"input", texts()}};
  const auto result = served.server().post(kEmbeddings, body);
  BOOST_TEST_REQUIRE((result && result->status == 200));
  const auto receipt =
      attest::parse_signed_receipt(result->get_header_value(gateway::kReceiptHeader));
  const auto salts = attest::parse_salts(result->get_header_value(gateway::kReceiptSaltsHeader));
  BOOST_TEST_REQUIRE((receipt && salts));
  BOOST_TEST(receipt->is_signed_by(signer->public_key()));
  const attest::Receipt& claims = receipt->receipt;
  BOOST_TEST(claims.endpoint == "/v1/embeddings");
  BOOST_TEST((claims.request == attest::salted_text(salts->request, body.dump())));
  BOOST_TEST((claims.response == attest::salted_text(salts->response, result->body)));
  BOOST_TEST(claims.sampling.more);
  BOOST_TEST(claims.answers.empty());
  BOOST_TEST_REQUIRE(claims.prompts.size() == 4u);
  BOOST_TEST(claims.prompts[1].tokens == served.ids(kTexts[1]).size());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
