// Bytes to a request: what RFC 9110 and 9112 ask for, and bounds on everything.
#include "gateway/request_parser.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "gateway/api_error.hpp"

namespace talaria::tests {

using gateway::ApiError;
using gateway::HttpRequest;
using gateway::RequestParser;

BOOST_AUTO_TEST_SUITE(request_parser)

namespace {

constexpr RequestParser::Limits kSmall{4096, 10'000};

struct Parsed {
  int refused = 0; ///< status; 0: it was not
  bool complete = false;
  HttpRequest request;
  std::size_t used = 0;
};

/// Offers `bytes` in pieces of `step` bytes.
Parsed parsed(const std::string& bytes, std::size_t step, RequestParser::Limits limits = kSmall) {
  RequestParser parser(limits);
  Parsed out;
  std::size_t offered = 0;
  try {
    while (parser.state() != RequestParser::State::complete) {
      const std::size_t used =
          parser.feed(std::string_view(bytes).substr(out.used, offered - out.used));
      out.used += used;
      if (used > 0) continue;
      if (offered == bytes.size()) break;
      offered = std::min(offered + step, bytes.size());
    }
  } catch (const ApiError& error) {
    out.refused = error.status();
    return out;
  }
  out.complete = parser.state() == RequestParser::State::complete;
  out.request = parser.request();
  return out;
}

/// However the bytes are cut, the outcome is the same.
Parsed parsed(const std::string& bytes, RequestParser::Limits limits = kSmall) {
  const Parsed whole = parsed(bytes, bytes.size(), limits);
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}}) {
    const Parsed cut = parsed(bytes, step, limits);
    BOOST_TEST(cut.refused == whole.refused);
    BOOST_TEST(cut.complete == whole.complete);
    BOOST_TEST(cut.request.body == whole.request.body);
  }
  return whole;
}

int refusal(const std::string& bytes) {
  const Parsed out = parsed(bytes);
  BOOST_TEST((out.refused != 0 || out.complete), "it waits for more: " + bytes.substr(0, 60));
  return out.refused;
}

const std::string kPost = "POST /v1/completions HTTP/1.1\r\nHost: a\r\n";
const std::string kChunked = kPost + "Transfer-Encoding: chunked\r\n\r\n";

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_request_arrives_with_its_parts) {
  const auto out = parsed("POST /a%20b?c=d HTTP/1.1\r\nHost: h:1\r\nX-One:  two \r\n"
                          "Content-Length: 3\r\n\r\nabcGET");
  BOOST_TEST(out.complete);
  BOOST_TEST(out.request.method == "POST");
  BOOST_TEST(out.request.path == "/a b");
  BOOST_TEST(out.request.authority == "h:1");
  BOOST_TEST(out.request.field("x-oNe") == "two");
  BOOST_TEST(out.request.body == "abc");
  BOOST_TEST(out.request.keep_alive);
}

BOOST_AUTO_TEST_CASE(a_target_may_be_absolute) {
  const auto out = parsed("GET http://h.example:80/v1/models?x HTTP/1.1\r\nHost: other\r\n\r\n");
  BOOST_TEST(out.request.path == "/v1/models");
  BOOST_TEST(out.request.authority == "h.example:80"); // RFC 9112 section 3.2.2: Host is ignored
  BOOST_TEST(parsed("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").request.path == "/");
  BOOST_TEST(parsed("GET HTTPS://h/a HTTP/1.1\r\nHost: h\r\n\r\n").request.path == "/a");
  BOOST_TEST(refusal("GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  BOOST_TEST(refusal("GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
}

BOOST_AUTO_TEST_CASE(one_host_is_needed) {
  BOOST_TEST(refusal("GET / HTTP/1.1\r\n\r\n") == 400);
  BOOST_TEST(refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
  BOOST_TEST(refusal("GET / HTTP/1.0\r\nHost: a\r\nhOST: b\r\n\r\n") == 400);
  BOOST_TEST(refusal("GET / HTTP/1.0\r\n\r\n") == 0);
}

BOOST_AUTO_TEST_CASE(one_length_is_allowed) {
  for (const char* lengths :
       {"Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2\r\ncontent-length: 2\r\n",
        "Content-Length: 2, 2\r\n", "Content-Length: 2,3\r\n", "Content-Length: +2\r\n",
        "Content-Length: -2\r\n", "Content-Length: 0x2\r\n", "Content-Length: 2 2\r\n",
        "Content-Length: two\r\n", "Content-Length: \r\n", "Content-Length : 2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"})
    BOOST_TEST(refusal(kPost + lengths + "\r\n{}") == 400, lengths);
  BOOST_TEST(refusal(kPost + "Content-Length: 99999999999999999999999\r\n\r\n") == 413);
}

BOOST_AUTO_TEST_CASE(chunked_is_the_only_transfer_coding) {
  for (const char* coding :
       {"gzip, chunked", "gzip", "identity", "chunked, gzip", "chunked, chunked",
        "gzip\r\nTransfer-Encoding: chunked", "xchunked", ""})
    BOOST_TEST(refusal(kPost + "Transfer-Encoding: " + coding + "\r\n\r\n2\r\n{}\r\n0\r\n\r\n") ==
                   501,
               coding);
  const int twice =
      refusal(kPost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n");
  BOOST_TEST((twice == 400 || twice == 501));
  BOOST_TEST(refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
  for (const char* coding : {"chunked", "CHUNKED", "  Chunked \t"})
    BOOST_TEST(parsed(kPost + "Transfer-Encoding: " + coding + "\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
                   .request.body == "{}");
}

BOOST_AUTO_TEST_CASE(chunks_may_have_extensions_and_a_trailer) {
  const auto out =
      parsed(kChunked + "2;a=b;c=\"d\"\r\n{}\r\n1\r\n \r\n0;e\r\nX-Sum: 1\r\nHost: evil\r\n"
                        "Content-Type: x\r\n\r\nGET /");
  BOOST_TEST(out.complete);
  BOOST_TEST(out.request.body == "{} ");
  BOOST_TEST(out.request.authority == "a");
  BOOST_TEST(!out.request.has("X-Sum"));
  BOOST_TEST(!out.request.has("Content-Type"));
}

BOOST_AUTO_TEST_CASE(wrong_chunks_are_refused) {
  for (const char* chunks : {"x\r\n", "-1\r\n", "2\r\n{}xx\r\n", "2\r\n{}\n0\r\n\r\n", "\r\n\r\n",
                             " 2\r\n{}\r\n", "0x2\r\n\r\n", "fffffffffffffffff\r\n"})
    BOOST_TEST(refusal(kChunked + chunks) == 400, chunks);
}

BOOST_AUTO_TEST_CASE(every_byte_that_is_not_body_is_counted) {
  const std::string long_text(20'000, 'x');
  BOOST_TEST(refusal("GET /" + long_text + " HTTP/1.1\r\nHost: a\r\n\r\n") == 414);
  BOOST_TEST(refusal(long_text + " / HTTP/1.1\r\n") == 414);
  BOOST_TEST(refusal("GET / HTTP/1.1\r\nHost: a\r\nX: " + long_text + "\r\n\r\n") == 431);
  BOOST_TEST(refusal("GET / HTTP/1.1\r\nHost: a\r\n" + repeated("X: y\r\n", 3000)) == 431);
  BOOST_TEST(refusal("GET / HTTP/1.1\r\nHost: a\r\n" + repeated("X:\r\n", 300) + "\r\n") == 431);
  BOOST_TEST(refusal(kChunked + "1;" + long_text) == 431);
  BOOST_TEST(refusal(kChunked + repeated("0", 20'000)) == 431);
  BOOST_TEST(refusal(kChunked + "0\r\nX: " + long_text) == 431);
  BOOST_TEST(refusal(kChunked + "0\r\n" + repeated("X: y\r\n", 3000)) == 431);
  // In small pieces, too.
  BOOST_TEST(refusal(kChunked + repeated("1;" + std::string(1000, 'x') + "\r\na\r\n", 100)) == 400);
  BOOST_TEST(parsed(kChunked + repeated("1\r\na\r\n", 5000) + "0\r\n\r\n").request.body.size() ==
             5000u);
  BOOST_TEST(refusal(repeated("\r\n", 100) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
}

BOOST_AUTO_TEST_CASE(a_body_in_chunks_has_a_limit) {
  BOOST_TEST(parsed(kChunked + "2710\r\n" + std::string(10'000, 'a') + "\r\n0\r\n\r\n").complete);
  BOOST_TEST(refusal(kChunked + "2711\r\n") == 413);
  BOOST_TEST(refusal(kChunked + "2710\r\n" + std::string(10'000, 'a') + "\r\n1\r\n") == 413);
  BOOST_TEST(refusal(kChunked + "ffffffffffffffff\r\n") == 413);
}

BOOST_AUTO_TEST_CASE(what_is_not_http_is_refused_before_its_end) {
  for (const std::string bytes :
       {"\x16\x03\x01\x02\x01", "{\"a\":1}", "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n", "hello\r\n\r\n", "GET /health\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"})
    BOOST_TEST(refusal(bytes) == 400, bytes);
}

BOOST_AUTO_TEST_CASE(an_empty_line_before_a_request_is_ignored) {
  BOOST_TEST(parsed("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n").request.path == "/a");
  BOOST_TEST(parsed("\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n").request.path == "/a");
}

BOOST_AUTO_TEST_CASE(keep_alive_follows_version_and_connection) {
  const auto keeps = [](const std::string& head) {
    return parsed(head + "\r\n").request.keep_alive;
  };
  BOOST_TEST(keeps("GET / HTTP/1.1\r\nHost: a\r\n"));
  BOOST_TEST(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n"));
  BOOST_TEST(!keeps("GET / HTTP/1.0\r\nHost: a\r\n"));
  BOOST_TEST(keeps("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n"));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
