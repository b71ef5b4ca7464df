// Requests with token ids in the place of text: the same prompts, and no text of them.
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "connect/tokens/prompt_tokens.hpp"
#include "gateway/api_error.hpp"
#include "model/weights/gguf_model.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using nlohmann::json;

namespace {

const connect::PromptTokens& tiny() {
  static const connect::PromptTokens made(tests::model_folder("talaria-tiny"));
  return made;
}

json rewritten(const char* path, const json& body) {
  return json::parse(tiny().rewritten(path, body.dump()));
}

int status(const char* path, const std::string& body) {
  try {
    tiny().rewritten(path, body);
    return 200;
  } catch (const gateway::ApiError& error) {
    return error.status();
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(prompt_tokens)

BOOST_AUTO_TEST_CASE(a_prompt_becomes_its_ids) {
  const auto tokenizer =
      model::Tokenizer::load(model::model_texts(tests::model_folder("talaria-tiny")));
  const std::string text = "Once upon a time";
  const json one = rewritten(
      "/v1/completions", {{"prompt", text}, {"max_tokens", 3}, {"seed", 18446744073709551615U}});
  BOOST_TEST(one["prompt"] == json(tokenizer.encode(text, true)));
  BOOST_TEST(one["max_tokens"] == 3);
  BOOST_TEST(one["seed"] == 18446744073709551615U);
  const json two = rewritten("/v1/completions", {{"prompt", {text, "Then"}}});
  BOOST_TEST(two["prompt"] == json({tokenizer.encode(text, true), tokenizer.encode("Then", true)}));
  const json bare = rewritten("/v1/completions", {{"prompt", text}, {"add_special_tokens", false}});
  BOOST_TEST(bare["prompt"] == json(tokenizer.encode(text, false)));
  const json ids = rewritten("/v1/completions", {{"prompt", {1, 2, 3}}});
  BOOST_TEST(ids["prompt"] == json({1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(a_conversation_becomes_one_prompt) {
  const json sent = rewritten("/v1/chat/completions",
                              {{"model", "any"},
                               {"messages", {{{"role", "user"}, {"content", "a secret"}}}},
                               {"temperature", 0.25},
                               {"stream", true}});
  BOOST_TEST(!sent.contains("messages"));
  BOOST_TEST(sent["prompt_token_ids"].size() > 2);
  BOOST_TEST(sent["temperature"] == 0.25);
  BOOST_TEST(sent["stream"] == true);
  BOOST_TEST(sent["model"] == "any");
  BOOST_TEST(sent.dump().find("secret") == std::string::npos);
  BOOST_TEST(rewritten("/v1/chat/completions", sent) == sent); // ids stay
}

BOOST_AUTO_TEST_CASE(what_would_still_be_text_is_not_sent) {
  BOOST_TEST(status("/tokenize", R"({"prompt":"a secret"})") == 400);
  BOOST_TEST(status("/v1/embeddings", R"({"input":"a secret"})") == 400);
  BOOST_TEST(status("/v1/completions", R"({"prompt":"a secret","suffix":"b"})") == 400);
  BOOST_TEST(status("/v1/completions", R"(["a secret"])") == 400);
  BOOST_TEST(status("/v1/chat/completions", R"({"messages":"a secret"})") == 400);
  BOOST_TEST(status("/v1/chat/completions", R"({"messages":[],"messages":[]})") == 400);
  BOOST_TEST(status("/detokenize", R"({"tokens":[1]})") == 200);
}

BOOST_AUTO_TEST_SUITE_END()
