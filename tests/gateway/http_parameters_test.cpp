// What parameters of a request do to its answer, against what the engine's logits say.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <future>
#include <numeric>

#include "tests/gateway/served_engine.hpp"
#include "tests/support/models.hpp"

namespace talaria::tests {

BOOST_AUTO_TEST_SUITE(http_parameters)

namespace {

constexpr const char* kPrompt = "Once upon a time";

/// Logits of every position, from the engine alone.
std::vector<std::vector<float>> logits_of(const std::vector<u32>& ids) {
  struct Rows final : pipeline::RequestSink {
    std::vector<std::vector<float>> rows;
    std::promise<void> done;
    void logits(u32, MatrixView<const float> part) override {
      for (std::size_t i = 0; i < part.rows; ++i)
        rows.emplace_back(part.row(i), part.row(i) + part.cols);
    }
    void finished(pipeline::Completion) override { done.set_value(); }
  };
  const auto sink = std::make_shared<Rows>();
  pipeline::Request request;
  request.prompt = ids;
  request.logits = pipeline::LogitsWanted::all;
  engine().submit(request, sink);
  sink->done.get_future().get();
  return sink->rows;
}

float logprob(const std::vector<float>& logits, u32 token) {
  long double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<long double>(x));
  return static_cast<float>(static_cast<long double>(logits[token]) - std::log(sum));
}

std::vector<u32> ranking(const std::vector<float>& logits) {
  std::vector<u32> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0U);
  std::stable_sort(ids.begin(), ids.end(), [&](u32 a, u32 b) { return logits[a] > logits[b]; });
  return ids;
}

std::string written(u32 token) {
  return model::replace_invalid_utf8(engine().tokenizer().token_bytes(token));
}

std::string text_of(const json& body, std::size_t choice = 0) {
  const json& each = body["choices"][choice];
  return each.contains("text") ? each["text"] : each["message"]["content"];
}

json with(json body, const json& more) {
  body.update(more);
  return body;
}

} // namespace

BOOST_AUTO_TEST_CASE(each_choice_is_the_answer_to_a_request_with_the_next_seed) {
  const RunningServer server;
  const json hot{{"temperature", 1.2}, {"seed", 40}};
  for (const json& one : {with(completion_of(kPrompt, 10), hot), with(chat_of("Hello", 10), hot)}) {
    const char* path = one.contains("prompt") ? "/v1/completions" : "/v1/chat/completions";
    const json several = server.answer(path, with(one, {{"n", 4}}));
    BOOST_TEST_REQUIRE(several["choices"].size() == 4u);
    BOOST_TEST(several["usage"]["completion_tokens"] == 40);
    for (std::size_t i = 0; i < 4; ++i) {
      const json alone = server.answer(path, with(one, {{"seed", 40 + i}}));
      BOOST_TEST(several["choices"][i]["index"] == i);
      BOOST_TEST(text_of(several, i) == text_of(alone));
      BOOST_TEST(several["usage"]["prompt_tokens"] == alone["usage"]["prompt_tokens"]);
    }
    const auto streamed = server.post(path, with(one, {{"n", 4}, {"stream", true}}));
    std::vector<std::string> texts(4);
    for (const json& event : events_of(streamed->body)) {
      if (event.is_string()) continue;
      const json& choice = event["choices"][0];
      texts[choice["index"]] += choice.contains("text") ? choice["text"].get<std::string>()
                                                        : choice["delta"].value("content", "");
    }
    for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(texts[i] == text_of(several, i));
  }
}

// One event of one size for every round: what was right of the drafts is not seen from outside.
BOOST_AUTO_TEST_CASE(drafts_change_no_answer_and_are_counted) {
  pipeline::EngineOptions options;
  options.model_dir = tests::model_folder("qwen2");
  options.threads = 2;
  options.batch.drafts = 3;
  options.batch.drafts_always = true;
  SilentProgress progress;
  pipeline::Engine drafting(options, progress);
  const RunningServer server(drafting, {});
  const auto metric = [&](const std::string& name, const std::string& more = "") {
    return server.metric("vllm:spec_decode_num_" + name +
                         "_total{kind=\"ngram\",model_name=\"talaria-tiny\"" + more + "}");
  };
  const json body = completion_of(kPrompt, 40);
  const json plain = server.answer("/v1/completions", with(body, {{"num_speculative_tokens", 0}}));
  BOOST_TEST(metric("drafts") == 0);
  BOOST_TEST(text_of(server.answer("/v1/completions", body)) == text_of(plain));
  const double rounds = metric("drafts");
  BOOST_TEST(rounds > 0);
  BOOST_TEST(metric("draft_tokens") == 3 * rounds);
  BOOST_TEST(metric("accepted_tokens") > 0);
  BOOST_TEST(metric("accepted_tokens") == metric("accepted_tokens_per_pos", ",position=\"0\"") +
                                              metric("accepted_tokens_per_pos", ",position=\"1\"") +
                                              metric("accepted_tokens_per_pos", ",position=\"2\""));

  const auto streamed = server.post("/v1/completions", with(body, {{"stream", true}}));
  std::set<std::size_t> sizes;
  std::size_t events = 0;
  std::string rest = streamed->body;
  for (std::size_t end = rest.find("\n\n"); end != std::string::npos; end = rest.find("\n\n")) {
    if (!rest.starts_with("data: [DONE]")) sizes.insert(end);
    ++events;
    rest.erase(0, end + 2);
  }
  std::string text;
  for (const json& event : events_of(streamed->body))
    if (!event.is_string()) text += event["choices"][0]["text"].get<std::string>();
  BOOST_TEST(text == text_of(plain));
  BOOST_TEST(sizes.size() == 1U);
  BOOST_TEST(events < 40U);

  const auto refused = server.post("/v1/completions", with(body, {{"num_speculative_tokens", 4}}));
  BOOST_TEST(refused->status == 400);
  BOOST_TEST(json::parse(refused->body)["error"]["param"] == "num_speculative_tokens");
}

BOOST_AUTO_TEST_CASE(logprobs_are_those_of_the_logits) {
  const RunningServer server;
  const auto prompt = engine().tokenizer().encode(kPrompt, true);
  json body = with(completion_of(kPrompt, 6),
                   {{"temperature", 1}, {"seed", 3}, {"logprobs", 4}, {"return_token_ids", true}});
  const json choice = server.answer("/v1/completions", body)["choices"][0];
  const auto tokens = choice["token_ids"].get<std::vector<u32>>();
  BOOST_TEST_REQUIRE(tokens.size() == 6u);
  BOOST_TEST((choice["prompt_token_ids"].get<std::vector<u32>>() == prompt));
  auto all = prompt;
  all.insert(all.end(), tokens.begin(), tokens.end());
  const auto logits = logits_of(all);
  const json& logprobs = choice["logprobs"];
  std::size_t offset = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto& row = logits[prompt.size() - 1 + i];
    BOOST_TEST(logprobs["tokens"][i] == written(tokens[i]));
    BOOST_TEST(logprobs["token_logprobs"][i].get<double>() == double{logprob(row, tokens[i])});
    BOOST_TEST(logprobs["text_offset"][i] == offset);
    offset += written(tokens[i]).size(); // this text is ASCII
    const auto ranked = ranking(row);
    for (std::size_t k = 0; k < 4; ++k)
      BOOST_TEST(logprobs["top_logprobs"][i].contains(written(ranked[k])));
  }
  // The same in a chat's shape, whole and streamed.
  const json chat = with(chat_of("Hello", 5), {{"logprobs", true}, {"top_logprobs", 2}});
  const json content =
      server.answer("/v1/chat/completions", chat)["choices"][0]["logprobs"]["content"];
  BOOST_TEST_REQUIRE(content.size() == 5u);
  std::string joined;
  for (const json& each : content) {
    joined += each["token"].get<std::string>();
    BOOST_TEST(each["top_logprobs"].size() == 2u);
    BOOST_TEST(each["top_logprobs"][0] == json({{"token", each["token"]},
                                                {"logprob", each["logprob"]},
                                                {"bytes", each["bytes"]}})); // greedy
  }
  BOOST_TEST(joined == chatted("Hello", 5).text);
  json streamed = json::array();
  for (const json& event :
       events_of(server.post("/v1/chat/completions", with(chat, {{"stream", true}}))->body))
    if (!event.is_string() && !event["choices"][0]["logprobs"].is_null())
      for (const json& each : event["choices"][0]["logprobs"]["content"]) streamed.push_back(each);
  BOOST_TEST(streamed == content);
}

BOOST_AUTO_TEST_CASE(a_prompt_is_scored_without_an_answer) {
  const RunningServer server;
  const auto prompt = engine().tokenizer().encode(kPrompt, true);
  const auto logits = logits_of(prompt);
  const json body = server.answer(
      "/v1/completions", {{"prompt", kPrompt}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 1}});
  const json& choice = body["choices"][0];
  BOOST_TEST(choice["text"] == kPrompt);
  BOOST_TEST(choice["finish_reason"] == "length");
  BOOST_TEST(body["usage"]["completion_tokens"] == 0);
  const json& scores = choice["logprobs"]["token_logprobs"];
  BOOST_TEST_REQUIRE(scores.size() == prompt.size());
  BOOST_TEST(scores[0].is_null());
  for (std::size_t i = 1; i < prompt.size(); ++i) {
    BOOST_TEST(scores[i].get<double>() == double{logprob(logits[i - 1], prompt[i])});
    const json& vllm = choice["prompt_logprobs"][i][std::to_string(prompt[i])];
    BOOST_TEST(vllm["logprob"] == scores[i]);
    const auto ranked = ranking(logits[i - 1]);
    BOOST_TEST(vllm["rank"] ==
               1 + std::find(ranked.begin(), ranked.end(), prompt[i]) - ranked.begin());
  }
  const json echoed =
      server.answer("/v1/completions", with(completion_of(kPrompt, 4), {{"echo", true}}));
  BOOST_TEST(text_of(echoed) == kPrompt + completed(kPrompt, 4).text);
  BOOST_TEST(
      text_of(server.answer("/v1/completions", {{"prompt", kPrompt}, {"max_tokens", 0}})).empty());
}

BOOST_AUTO_TEST_CASE(the_likeliest_answers_are_given_of_several) {
  const RunningServer server;
  const json hot{{"temperature", 1.5}, {"seed", 5}, {"logprobs", 0}};
  const auto mean = [](const json& choice) {
    double sum = 0;
    for (const json& each : choice["logprobs"]["token_logprobs"]) sum += each.get<double>();
    return sum / static_cast<double>(choice["logprobs"]["token_logprobs"].size());
  };
  const json all = server.answer("/v1/completions",
                                 with(with(completion_of(kPrompt, 8), hot), {{"n", 5}}))["choices"];
  const json best = server.answer(
      "/v1/completions", with(with(completion_of(kPrompt, 8), hot), {{"best_of", 5}, {"n", 2}}));
  std::vector<double> means;
  for (const json& choice : all) means.push_back(mean(choice));
  std::sort(means.rbegin(), means.rend());
  BOOST_TEST_REQUIRE(best["choices"].size() == 2u);
  BOOST_TEST(mean(best["choices"][0]) == means[0]);
  BOOST_TEST(mean(best["choices"][1]) == means[1]);
  BOOST_TEST(best["usage"]["completion_tokens"] == 40);
}

BOOST_AUTO_TEST_CASE(biases_bans_and_penalties_are_those_of_the_references) {
  const RunningServer server;
  const auto prompt = engine().tokenizer().encode(kPrompt, true);
  const auto tokens_with = [&](const json& more) {
    return server
        .answer("/v1/completions",
                with(completion_of(kPrompt, 12),
                     with(more, {{"return_token_ids", true}})))["choices"][0]["token_ids"]
        .get<std::vector<u32>>();
  };
  /// Greedy, step by step, with logits changed by `change`.
  const auto expected = [&](auto change) {
    std::vector<u32> answer;
    while (answer.size() < 12) {
      auto all = prompt;
      all.insert(all.end(), answer.begin(), answer.end());
      auto row = logits_of(all).back();
      std::vector<double> scores(row.begin(), row.end());
      change(scores, answer);
      answer.push_back(
          static_cast<u32>(std::max_element(scores.begin(), scores.end()) - scores.begin()));
    }
    return answer;
  };
  const auto penalised = expected([](auto& scores, const auto& answer) {
    for (std::size_t id = 0; id < scores.size(); ++id) {
      const auto times = std::count(answer.begin(), answer.end(), id);
      scores[id] -= 1.5 * static_cast<double>(times) + (times > 0 ? 0.75 : 0);
    }
  });
  BOOST_TEST((tokens_with({{"frequency_penalty", 1.5}, {"presence_penalty", 0.75}}) == penalised));
  const auto plain = tokens_with(json::object());
  const u32 first = plain[0];
  const auto biased = expected([&](auto& scores, const auto&) { scores[first] -= 100; });
  BOOST_TEST((biased != plain));
  BOOST_TEST((tokens_with({{"logit_bias", {{std::to_string(first), -100}}}}) == biased));
  const std::vector<u32> allowed{first, plain[3], plain[5]};
  for (const u32 token : tokens_with({{"allowed_token_ids", allowed}}))
    BOOST_TEST((std::find(allowed.begin(), allowed.end(), token) != allowed.end()));
  const std::string text = completed(kPrompt, 12).text;
  const auto begin = text.find_first_of("abcdefghijklmnopqrstuvwxyz", text.find(' '));
  const std::string word = text.substr(begin, text.find_first_of(" .,", begin) - begin);
  const json banned =
      server.answer("/v1/completions", with(completion_of(kPrompt, 12), {{"bad_words", {word}}}));
  BOOST_TEST((" " + text_of(banned) + " ").find(" " + word + " ") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(answers_end_where_stop_tokens_and_strings_say) {
  const RunningServer server;
  const auto whole = completed(kPrompt, 24);
  const u32 stop = whole.tokens[6];
  const auto first =
      std::find(whole.tokens.begin(), whole.tokens.end(), stop) - whole.tokens.begin();
  const std::vector<u32> before(whole.tokens.begin(), whole.tokens.begin() + first);
  const auto& tokenizer = engine().tokenizer();
  json body = with(completion_of(kPrompt, 24), {{"stop_token_ids", {stop}}});
  const json choice = server.answer("/v1/completions", body)["choices"][0];
  BOOST_TEST(choice["text"] == tokenizer.decode(before, true));
  BOOST_TEST(choice["finish_reason"] == "stop");
  BOOST_TEST(choice["stop_reason"] == stop);
  auto with_stop = before;
  with_stop.push_back(stop);
  body["include_stop_str_in_output"] = true;
  BOOST_TEST(text_of(server.answer("/v1/completions", body)) == tokenizer.decode(with_stop, true));
  body["min_tokens"] = first + 5; // that token is not made before
  body.erase("include_stop_str_in_output");
  body["return_token_ids"] = true;
  const auto later =
      server.answer("/v1/completions", body)["choices"][0]["token_ids"].get<std::vector<u32>>();
  BOOST_TEST(later.size() >= static_cast<std::size_t>(first) + 5);
  for (std::ptrdiff_t i = 0; i < first + 5 && i < std::ssize(later); ++i)
    BOOST_TEST(later[static_cast<std::size_t>(i)] != stop);

  const std::string ending = whole.text.substr(whole.text.size() / 2, 4);
  const json stopped =
      server.answer("/v1/completions",
                    with(completion_of(kPrompt, 24),
                         {{"stop", ending}, {"include_stop_str_in_output", true}}))["choices"][0];
  BOOST_TEST(stopped["text"] == whole.text.substr(0, whole.text.find(ending) + 4));
  BOOST_TEST(stopped["stop_reason"] == ending);
}

BOOST_AUTO_TEST_CASE(prompts_are_made_as_the_request_says) {
  const RunningServer server;
  const auto& tokenizer = engine().tokenizer();
  const auto ids = tokenizer.encode(kPrompt, true);
  const auto prompt_of = [&](const json& more) {
    return server
        .answer("/v1/completions",
                with(completion_of(kPrompt, 1),
                     with(more, {{"return_token_ids", true}})))["choices"][0]["prompt_token_ids"]
        .get<std::vector<u32>>();
  };
  BOOST_TEST((prompt_of(json::object()) == ids));
  BOOST_TEST((prompt_of({{"add_special_tokens", false}}) == tokenizer.encode(kPrompt, false)));
  BOOST_TEST(
      (prompt_of({{"truncate_prompt_tokens", 2}}) == std::vector<u32>(ids.end() - 2, ids.end())));
  const auto chat = model::ChatTemplate::load(model_folder("talaria-tiny"));
  const auto chat_prompt = [&](const json& messages, const json& more) {
    return server.answer("/tokenize", with({{"messages", messages}}, more))["tokens"]
        .get<std::vector<u32>>();
  };
  const json messages = json::array(
      {{{"role", "user"}, {"content", "Hello"}}, {{"role", "assistant"}, {"content", "I am "}}});
  const std::vector<model::ChatMessage> same{{"user", "Hello"}, {"assistant", "I am "}};
  const auto rendered = [&](const std::string& text) { return tokenizer.encode(text, false); };
  BOOST_TEST((chat_prompt(messages, json::object()) == rendered(chat->render(same, true))));
  BOOST_TEST((chat_prompt(messages, {{"add_generation_prompt", false}}) ==
              rendered(chat->render(same, false))));
  const std::string whole = chat->render(same, false);
  BOOST_TEST((chat_prompt(messages, {{"continue_final_message", true}}) ==
              rendered(whole.substr(0, whole.rfind("I am ") + 5))));
}

BOOST_AUTO_TEST_CASE(tokens_and_text_become_each_other) {
  const RunningServer server([](gateway::ServerOptions& o) { o.version = "1.2.3"; });
  const auto ids = engine().tokenizer().encode(kPrompt, true);
  const json made = server.answer("/tokenize", {{"prompt", kPrompt}, {"return_token_strs", true}});
  BOOST_TEST((made["tokens"].get<std::vector<u32>>() == ids));
  BOOST_TEST(made["count"] == ids.size());
  BOOST_TEST(made["max_model_len"] == engine().plan().max_position);
  BOOST_TEST(made["token_strs"].size() == ids.size());
  const auto bare = engine().tokenizer().encode(kPrompt, false);
  BOOST_TEST(server.answer("/detokenize", {{"tokens", bare}})["prompt"] == kPrompt);
  BOOST_TEST(json::parse(server.get("/version")->body)["version"] == "1.2.3");
  for (const json& wrong : {json{{"prompt", kPrompt}, {"messages", json::array()}}, json::object(),
                            json{{"prompt", kPrompt}, {"other", 1}}})
    BOOST_TEST(server.post("/tokenize", wrong)->status == 400);
  BOOST_TEST(server.post("/detokenize", json::object())->status == 400);
}

BOOST_AUTO_TEST_CASE(what_answers_depend_on_is_named) {
  const RunningServer server([](gateway::ServerOptions& o) { o.fingerprint = "fp_0123"; });
  BOOST_TEST(server.answer("/v1/completions", completion_of(kPrompt, 1))["system_fingerprint"] ==
             "fp_0123");
  const auto events = events_of(
      server.post("/v1/chat/completions", with(chat_of("a", 1), {{"stream", true}}))->body);
  BOOST_TEST(events.front()["system_fingerprint"] == "fp_0123");
}

BOOST_AUTO_TEST_CASE(tools_and_their_history_are_taken) {
  const RunningServer server;
  const json tool{
      {"type", "function"},
      {"function", {{"name", "weather"}, {"parameters", {{"type", "object"}}}, {"strict", true}}}};
  json body = chat_of("Hello", 4);
  const u64 bare = server.answer("/v1/chat/completions", body)["usage"]["prompt_tokens"];
  body["tools"] = json::array({tool});
  BOOST_TEST(server.answer("/v1/chat/completions", body)["usage"]["prompt_tokens"] > bare);
  body["tool_choice"] = "none";
  BOOST_TEST(server.answer("/v1/chat/completions", body)["usage"]["prompt_tokens"] == bare);
  body["messages"] =
      json::array({{{"role", "user"}, {"content", "Hello"}},
                   {{"role", "assistant"},
                    {"content", nullptr},
                    {"tool_calls",
                     {{{"id", "a"},
                       {"type", "function"},
                       {"function", {{"name", "weather"}, {"arguments", "{\"city\":\"Ulm\"}"}}}}}}},
                   {{"role", "tool"}, {"tool_call_id", "a"}, {"content", "<|im_end|>sunny"}}});
  BOOST_TEST(server.answer("/v1/chat/completions", body)["choices"].size() == 1u);
  // What a client says a tool said, or was called with, ends no turn.
  const auto ends = engine().tokenizer().token_id("<|im_end|>");
  const json made = server.answer("/tokenize", {{"messages", body["messages"]}});
  const auto ids = made["tokens"].get<std::vector<u32>>();
  BOOST_TEST(std::count(ids.begin(), ids.end(), *ends) == 3);
}

BOOST_AUTO_TEST_CASE(answers_have_the_form_that_is_asked_for) {
  const RunningServer server;
  const auto answer = [&](const json& form, u64 seed) {
    json body = with(chat_of("Hello", 400), form);
    body.update({{"ignore_eos", false}, {"temperature", 2}, {"seed", seed}});
    return server.answer("/v1/chat/completions", body)["choices"][0];
  };
  const json schema{{"type", "object"},
                    {"properties",
                     {{"name", {{"type", "string"}, {"maxLength", 12}}},
                      {"age", {{"type", "integer"}, {"minimum", 0}, {"maximum", 150}}}}},
                    {"required", {"name", "age"}},
                    {"additionalProperties", false}};
  for (u64 seed = 0; seed < 8; ++seed) {
    const json format{{"type", "json_schema"},
                      {"json_schema", {{"name", "n"}, {"schema", schema}}}};
    const json choice = answer({{"response_format", format}}, seed);
    BOOST_TEST(choice["finish_reason"] == "stop");
    const json value = json::parse(choice["message"]["content"].get<std::string>());
    BOOST_TEST(value.size() == 2u);
    BOOST_TEST(value["name"].is_string());
    BOOST_TEST((value["age"].get<int>() >= 0 && value["age"].get<int>() <= 150));
    const std::string chosen =
        answer({{"guided_choice", {"yes", "no", "maybe"}}}, seed)["message"]["content"];
    BOOST_TEST((chosen == "yes" || chosen == "no" || chosen == "maybe"));
    const std::string date =
        answer({{"structured_outputs", {{"regex", "\\d{4}-\\d{2}"}}}}, seed)["message"]["content"];
    BOOST_TEST(date.size() == 7u);
    BOOST_TEST(date[4] == '-');
  }
}

BOOST_AUTO_TEST_CASE(a_call_that_is_asked_for_is_made) {
  const RunningServer server;
  const auto tool = [](const char* name, const json& properties) {
    return json{{"type", "function"},
                {"function",
                 {{"name", name},
                  {"parameters",
                   {{"type", "object"},
                    {"properties", properties},
                    {"required", json::array({properties.begin().key()})},
                    {"additionalProperties", false}}}}}};
  };
  json body = chat_of("Hello", 200);
  body.erase("ignore_eos");
  body["tools"] = json::array({tool("weather", {{"city", {{"enum", {"Ulm", "Bonn"}}}}}),
                               tool("noon", {{"day", {{"type", "boolean"}}}})});
  body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "weather"}}}};
  const json choice = server.answer("/v1/chat/completions", body)["choices"][0];
  BOOST_TEST(choice["finish_reason"] == "tool_calls");
  BOOST_TEST(choice["message"]["content"].is_null());
  BOOST_TEST_REQUIRE(choice["message"]["tool_calls"].size() == 1u);
  const json& call = choice["message"]["tool_calls"][0];
  BOOST_TEST(call["function"]["name"] == "weather");
  const json arguments = json::parse(call["function"]["arguments"].get<std::string>());
  BOOST_TEST((arguments["city"] == "Ulm" || arguments["city"] == "Bonn"));
  // Streamed, the same call in parts.
  std::string name;
  std::string streamed;
  std::string reason;
  for (const json& event :
       events_of(server.post("/v1/chat/completions", with(body, {{"stream", true}}))->body)) {
    if (event.is_string()) continue;
    const json& part = event["choices"][0];
    if (part["finish_reason"].is_string()) reason = part["finish_reason"];
    for (const json& each : part["delta"].value("tool_calls", json::array())) {
      BOOST_TEST(each["index"] == 0);
      name += each["function"].value("name", "");
      streamed += each["function"].value("arguments", "");
    }
  }
  BOOST_TEST(name == "weather");
  BOOST_TEST(json::parse(streamed) == arguments);
  BOOST_TEST(reason == "tool_calls");
  body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "other"}}}};
  BOOST_TEST(server.post("/v1/chat/completions", body)->status == 400);
  body["tool_choice"] = "required";
  body["parallel_tool_calls"] = false;
  body["temperature"] = 2;
  BOOST_TEST(
      server.answer("/v1/chat/completions", body)["choices"][0]["message"]["tool_calls"].size() ==
      1u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
