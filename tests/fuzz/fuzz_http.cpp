// The whole path of a request: the bytes of a connection in, responses out. The first byte says in
// how large pieces they come; its highest bit, that they are the body of a request to the path that
// the second byte chooses, with a head that fits: what is in bodies is then found without guessing
// their length. Handlers read requests as the API does; there is no engine.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/access_policy.hpp"
#include "gateway/answer_grammar.hpp"
#include "gateway/api_request.hpp"
#include "gateway/http_session.hpp"

using namespace talaria;
using namespace talaria::gateway;

namespace {

constexpr std::size_t kMaxBody = 64 << 10;

void answer(const ApiRequest& request, HttpResponse& response) {
  if (request.form.kind != AnswerForm::Kind::any) answer_rules(request);
  if (!request.stream) return response.set_content("{}", "application/json");
  response.set_stream("text/event-stream", [](BodySink& sink) {
    sink.done();
    return sink.write("data: [DONE]\n\n", 14);
  });
}

struct Server {
  Server() {
    const ApiDefaults defaults{"model", {}, 4};
    router.set_policy(policy);
    router.get(
        "/health", [](HttpResponse& r) { r.set_content("live", "text/plain"); },
        Router::On::the_spot);
    router.get("/v1/models", [](HttpResponse& r) { r.set_content("[]", "application/json"); });
    router.post("/v1/chat/completions",
                [defaults](const std::string& body, HttpResponse& response) {
                  answer(parse_chat_request(body, defaults), response);
                });
    router.post("/v1/completions", [defaults](const std::string& body, HttpResponse& response) {
      answer(parse_completion_request(body, defaults), response);
    });
    router.post("/v1/responses", [defaults](const std::string& body, HttpResponse& response) {
      answer(parse_responses_request(body, defaults), response);
    });
    router.post("/v1/messages", [defaults](const std::string& body, HttpResponse& response) {
      answer(parse_messages_request(body, defaults), response);
    });
    for (const Dialect dialect : {Dialect::embeddings, Dialect::score, Dialect::rerank})
      router.post(endpoint_of(dialect),
                  [defaults, dialect](const std::string& body, HttpResponse& response) {
                    answer(parse_pooling_request(dialect, body, defaults), response);
                  });
    settings.router = &router;
    settings.max_head_bytes = 8 << 10;
    settings.done = [this](const Exchange& exchange) {
      if (exchange.outcome() < 200 || exchange.outcome() > 599) std::abort();
      ++answered;
    };
  }
  AccessPolicy policy{"127.0.0.1", {"x"}, {"https://page.example"}};
  Router router{kMaxBody};
  HttpSession::Settings settings;
  std::size_t answered = 0;
};

class SessionSink final : public BodySink {
public:
  explicit SessionSink(HttpSession& session) : session_(session) {}
  bool write(const char* data, std::size_t size) override {
    session_.add_to_stream({data, size});
    return true;
  }

private:
  HttpSession& session_;
};

void handle(const Server& server, HttpSession& session) {
  const ExchangeScope scope(session.exchange());
  HttpResponse response;
  server.router.handle(session.exchange(), response);
  if (!response.stream) return session.respond(std::move(response));
  session.begin_stream(response);
  SessionSink sink(session);
  while (!sink.is_done() && response.stream(sink)) {
  }
  response.stream = nullptr;
  session.end_stream(true);
}

std::string request_of(std::uint8_t path, std::string_view body) {
  return std::string("POST ") + endpoint_of(static_cast<Dialect>(path % 7)) +
         " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

/// Every response begins a line of its own and is one of ours.
void check(std::string_view output) {
  if (!output.empty() && !output.starts_with("HTTP/1.1 ")) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Server server;
  if (size == 0) return 0;
  const std::size_t step = std::size_t{1} << (data[0] % 14);
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string request;
  if ((data[0] & 0x80) != 0 && !bytes.empty()) {
    request = request_of(data[1], bytes.substr(1));
    bytes = request;
  }
  HttpSession session(server.settings, "127.0.0.1", nullptr);
  while (!bytes.empty() && !session.closing()) {
    session.receive(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    for (;;) {
      const bool handler = session.advance();
      if (handler) handle(server, session);
      check(session.output());
      session.consume(session.output().size());
      if (!handler) break;
    }
    // What waits for more bytes is bounded, whatever came.
    if (session.held() > server.settings.max_head_bytes + kMaxBody + (32 << 10)) std::abort();
  }
  if (session.is_partial()) session.give_up(ApiError(408, "the request did not arrive in time"));
  check(session.output());
  return 0;
}
