// Who may ask, for how much, and that nobody is kept from his share.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <future>
#include <optional>
#include <set>
#include <tuple>

#include "gateway/keys.hpp"
#include "tests/gateway/served_engine.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

using Mode = WorkerSwitch::Mode;
using gateway::ClientLimits;

namespace {

class KeyFile {
public:
  std::string add(const std::string& name, ClientLimits limits = {}) const {
    const auto made = gateway::make_key(name, limits);
    gateway::edit_keys(path(), [&](auto& keys) { keys.push_back(made.stored); });
    return made.key;
  }
  void remove_all() const {
    gateway::edit_keys(path(), [](auto& keys) { keys.clear(); });
  }
  std::filesystem::path path() const { return folder_.path() / "keys"; }

private:
  TemporaryFolder folder_;
};

RunningServer server_with(const KeyFile& keys) {
  return RunningServer([&](gateway::ServerOptions& o) { o.access.keys = keys.path(); });
}

httplib::Headers with_key(const std::string& key) {
  return {{"Authorization", "Bearer " + key}};
}

httplib::Result ask(const RunningServer& server, const httplib::Headers& headers,
                    const json& body) {
  return server.client().Post("/v1/completions", headers, body.dump(), "application/json");
}

std::string code_of(const httplib::Result& result) {
  return json::parse(result->body)["error"]["code"];
}

/// A request that runs until its worker does.
std::future<int> begin(const RunningServer& server, const httplib::Headers& headers,
                       const json& body) {
  return std::async(std::launch::async, [&server, headers, body] {
    const auto result = ask(server, headers, body);
    return result ? result->status : -1;
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(http_clients)

BOOST_AUTO_TEST_CASE(only_those_with_a_key_are_served) {
  const KeyFile keys;
  const std::string key = keys.add("alice");
  const RunningServer server = server_with(keys);
  const json body = completion_of("Once", 2);
  BOOST_TEST(ask(server, with_key(key), body)->status == 200);
  BOOST_TEST(server.client().Get("/v1/models", with_key(key))->status == 200);
  const httplib::Headers wrong[] = {
      {}, with_key("sk-wrong"), with_key(key + "0"), {{"Authorization", key}}, {{"api-key", key}}};
  for (const auto& headers : wrong) {
    const auto refused = ask(server, headers, body);
    BOOST_TEST_REQUIRE(refused->status == 401);
    BOOST_TEST(code_of(refused) == "invalid_api_key");
    BOOST_TEST(refused->get_header_value("WWW-Authenticate") == "Bearer");
    BOOST_TEST(server.client().Get("/v1/models", headers)->status == 401);
  }
  BOOST_TEST(server.get("/health")->status == 200);
  BOOST_TEST(server.get("/ready")->status == 200);
}

BOOST_AUTO_TEST_CASE(anthropics_clients_send_their_key_in_a_field_of_its_own) {
  const KeyFile keys;
  const std::string key = keys.add("alice");
  const RunningServer server = server_with(keys);
  const std::string body = R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":1})";
  const auto status = [&](const httplib::Headers& headers) {
    return server.client().Post("/v1/messages", headers, body, "application/json")->status;
  };
  BOOST_TEST(status({{"X-Api-Key", key}}) == 200);
  BOOST_TEST(status(with_key(key)) == 200);
  BOOST_TEST(status({{"X-Api-Key", "sk-wrong"}}) == 401);
  BOOST_TEST(status({{"X-Api-Key", ""}}) == 401);
  // A wrong Authorization is not made good by another field.
  BOOST_TEST(status({{"X-Api-Key", key}, {"Authorization", "Bearer sk-wrong"}}) == 401);
  const auto refused = server.client().Post("/v1/messages", body, "application/json");
  BOOST_TEST(json::parse(refused->body)["error"]["type"] == "authentication_error");
}

BOOST_AUTO_TEST_CASE(a_key_that_is_taken_back_is_refused_and_a_new_one_served) {
  const KeyFile keys;
  const std::string old = keys.add("alice");
  const RunningServer server = server_with(keys);
  BOOST_TEST(server.client().Get("/v1/models", with_key(old))->status == 200);
  keys.remove_all();
  const std::string fresh = keys.add("bob");
  BOOST_TEST(server.client().Get("/v1/models", with_key(old))->status == 401);
  BOOST_TEST(server.client().Get("/v1/models", with_key(fresh))->status == 200);
}

BOOST_AUTO_TEST_CASE(no_key_is_in_the_log) {
  const KeyFile keys;
  const std::string key = keys.add("alice");
  RunningServer server = server_with(keys);
  ask(server, with_key(key), completion_of("Once", 1));
  ask(server, with_key(key + "x"), completion_of("Once", 1));
  keys.add("bob");
  ask(server, with_key(key), json{{"wrong", 1}});
  std::ofstream(keys.path(), std::ios::app) << "broken " << key << "\n";
  ask(server, with_key(key), completion_of("Once", 1));
  server.end();
  const auto lines = server.log();
  BOOST_TEST(lines.size() == 6U); // four requests, a file read again, a file that is broken
  for (const auto& line : lines)
    BOOST_TEST(line.find(key.substr(key.rfind('-'))) == std::string::npos, line);
}

BOOST_AUTO_TEST_CASE(a_key_has_so_many_requests_at_once) {
  const KeyFile keys;
  const auto alice = with_key(keys.add("alice", {1, 0}));
  const auto bob = with_key(keys.add("bob"));
  const RunningServer server = server_with(keys);
  const json body = completion_of("Once", 2);
  std::future<int> first;
  std::future<int> other;
  {
    const WorkerThat worker(Mode::waiting);
    first = begin(server, alice, body);
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
    const auto refused = ask(server, alice, body);
    BOOST_TEST_REQUIRE(refused->status == 429);
    BOOST_TEST(code_of(refused) == "rate_limit_exceeded");
    BOOST_TEST(refused->get_header_value("Retry-After") == "1");
    other = begin(server, bob, body);
    BOOST_TEST(server.becomes(kRunning, 2));
  }
  BOOST_TEST(first.get() == 200);
  BOOST_TEST(other.get() == 200);
  // The place is free when the last byte is out, which its reader may have seen before.
  BOOST_TEST(eventually([&] { return ask(server, alice, body)->status == 200; }));
}

BOOST_AUTO_TEST_CASE(a_key_has_so_many_tokens_a_minute) {
  const KeyFile keys;
  const auto alice = with_key(keys.add("alice", {0, 60}));
  const RunningServer server = server_with(keys);
  const auto first = ask(server, alice, completion_of("Once", 50));
  BOOST_TEST_REQUIRE(first->status == 200);
  BOOST_TEST(first->get_header_value("x-ratelimit-limit-tokens") == "60");
  BOOST_TEST(first->has_header("x-ratelimit-remaining-tokens"));
  BOOST_TEST(first->has_header("x-ratelimit-reset-tokens"));
  BOOST_TEST(!first->has_header("x-ratelimit-limit-requests"));
  const auto second = ask(server, alice, completion_of("Once", 59)); // and tokens of the prompt
  BOOST_TEST_REQUIRE(second->status == 429);
  BOOST_TEST(code_of(second) == "rate_limit_exceeded");
  BOOST_TEST(std::stoi(second->get_header_value("Retry-After")) > 0);
  BOOST_TEST(second->has_header("x-ratelimit-remaining-tokens"));
}

BOOST_AUTO_TEST_CASE(without_keys_the_limits_are_those_of_an_address) {
  const RunningServer server([](gateway::ServerOptions& o) { o.access.limits = {1, 0}; });
  std::future<int> first;
  {
    const WorkerThat worker(Mode::waiting);
    first = begin(server, {}, completion_of("Once", 2));
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
    BOOST_TEST(ask(server, {}, completion_of("Once", 2))->status == 429);
  }
  BOOST_TEST(first.get() == 200);
}

// F4: a batch that waited for all its places kept everybody from free ones.
BOOST_AUTO_TEST_CASE(a_batch_leaves_places_to_others) {
  const KeyFile keys;
  const auto alice = with_key(keys.add("alice"));
  const auto bob = with_key(keys.add("bob"));
  const RunningServer server([&](gateway::ServerOptions& o) {
    o.access.keys = keys.path();
    o.max_running = 16;
  });
  std::vector<std::future<int>> answers;
  {
    const WorkerThat worker(Mode::waiting);
    answers.push_back(begin(server, alice, completion_of("Once", 2)));
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
    answers.push_back(begin(server, alice, completion_of(json(16, "a"), 2)));
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 14));
    answers.push_back(begin(server, alice, completion_of("Once", 2)));
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 15));
    answers.push_back(begin(server, bob, completion_of("Once", 2)));
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 16));
    BOOST_TEST(server.metric(kWaiting) == 0);
  }
  for (auto& each : answers) BOOST_TEST(each.get() == 200);
}

BOOST_AUTO_TEST_CASE(more_prompts_than_places_are_answered_by_parts) {
  const RunningServer server([](gateway::ServerOptions& o) { o.max_running = 16; });
  const std::vector<std::string> prompts(16, "The little dog");
  const json body = server.answer("/v1/completions", completion_of(prompts, 3));
  BOOST_TEST_REQUIRE(body["choices"].size() == 16U);
  const std::string expected = completed("The little dog", 3).text;
  for (const json& choice : body["choices"]) BOOST_TEST(choice["text"] == expected);
}

// F14: proxies cut connections on which nothing comes.
BOOST_AUTO_TEST_CASE(a_queued_stream_begins_at_once) {
  const RunningServer server([](gateway::ServerOptions& o) { o.max_running = 1; });
  std::future<int> running;
  std::optional<WorkerThat> worker(std::in_place, Mode::waiting);
  running = begin(server, {}, completion_of("Once", 2));
  BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
  std::string stream;
  httplib::Request request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.headers = {{"Content-Type", "application/json"}};
  json body = completion_of("Once", 2);
  body["stream"] = true;
  request.body = body.dump();
  request.content_receiver = [&](const char* data, std::size_t size, u64, u64) {
    stream.append(data, size);
    worker.reset(); // nothing could have run before
    return true;
  };
  const auto result = server.client().send(request);
  BOOST_TEST_REQUIRE((result && result->status == 200));
  BOOST_TEST(stream.starts_with(": waiting\n\n"), stream);
  BOOST_TEST(stream.ends_with("data: [DONE]\n\n"));
  BOOST_TEST(running.get() == 200);
}

BOOST_AUTO_TEST_CASE(events_have_one_size_unless_the_client_says_no) {
  const RunningServer server;
  for (const std::string path : {"/v1/chat/completions", "/v1/completions"}) {
    json body = path == "/v1/completions" ? completion_of("Once upon a time", 24)
                                          : chat_of("Hello there", 24);
    body.update({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
    const std::string stream = server.post(path, body)->body;
    std::set<std::size_t> sizes;
    for (std::size_t at = 0, end = 0; at < stream.size(); at = end) {
      end = stream.find("\n\n", at) + 2;
      if (stream.substr(at, end - at) != "data: [DONE]\n\n") sizes.insert(end - at);
    }
    BOOST_TEST(sizes.size() == 1U);
    body["stream_options"]["include_obfuscation"] = false;
    const std::string open = server.post(path, body)->body;
    BOOST_TEST(open.find("obfuscation") == std::string::npos);
    BOOST_TEST(open.size() < stream.size());
  }
}

BOOST_AUTO_TEST_CASE(whole_answers_have_a_size_of_few) {
  const RunningServer server;
  for (const u32 tokens : {1U, 5U, 20U})
    BOOST_TEST(server.post("/v1/completions", completion_of("Once", tokens))->body.size() == 1024U);
}

BOOST_AUTO_TEST_CASE(a_paced_stream_is_the_answer) {
  const RunningServer server(
      [](gateway::ServerOptions& o) { o.stream.pace = std::chrono::milliseconds(10); });
  json body = completion_of("Once upon a time", 12);
  body["stream"] = true;
  std::string text;
  for (const json& event : events_of(server.post("/v1/completions", body)->body))
    if (event.is_object()) text += event["choices"][0]["text"].get<std::string>();
  BOOST_TEST(text == completed("Once upon a time", 12).text);
}

/// Rows that a request sent through the layers.
u64 rows_of(const std::function<json()>& request, json& answer) {
  engine().wait_until_idle();
  const u64 before = engine().padding_cost().rows;
  answer = request();
  engine().wait_until_idle();
  return engine().padding_cost().rows - before;
}

// What a request costs is what its time tells. Of the same key it costs less the second time; of
// another key, and without one that the prefix could belong to, as much as if nobody had ever
// asked.
BOOST_AUTO_TEST_CASE(another_key_cannot_tell_a_prefix_from_a_miss) {
  const KeyFile keys;
  const std::string alice = keys.add("alice");
  const std::string bob = keys.add("bob");
  const RunningServer server = server_with(keys);
  const RunningServer open;
  const auto measure = [](const RunningServer& asked, const httplib::Headers& who,
                          const std::vector<u32>& prompt) {
    json answer;
    const u64 rows = rows_of(
        [&] {
          json body = completion_of(prompt, 3);
          body["seed"] = 1;
          return json::parse(ask(asked, who, body)->body);
        },
        answer);
    const u64 cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"];
    return std::tuple(rows, cached, answer["choices"][0]["text"].get<std::string>());
  };
  for (const u32 length : {150U, 200U, 333U, 500U}) BOOST_TEST_CONTEXT(length) {
      std::vector<u32> prompt(length);
      for (u32 i = 0; i < length; ++i) prompt[i] = 5 + (i * 31 + length * 7) % 3000;
      const auto [miss, nothing, text] = measure(server, with_key(alice), prompt);
      const auto [hit, cached, again] = measure(server, with_key(alice), prompt);
      const auto [other, others, same] = measure(server, with_key(bob), prompt);
      const auto [anonymous, none, too] = measure(open, {}, prompt);
      BOOST_TEST(nothing == 0u);
      BOOST_TEST(cached > 0u);
      BOOST_TEST(hit == miss - cached);
      BOOST_TEST(other == miss);
      BOOST_TEST(others == 0u);
      BOOST_TEST(anonymous == miss);
      BOOST_TEST(none == 0u);
      BOOST_TEST(again == text);
      BOOST_TEST(same == text);
      BOOST_TEST(too == text);
    }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
