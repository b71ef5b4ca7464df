#include <boost/test/unit_test.hpp>

#include "connect/response_parser.hpp"

using talaria::connect::MalformedResponse;
using talaria::connect::ResponseParser;

namespace {

/// The body of a response that comes in pieces of `step` bytes.
std::string body(const std::string& text, std::size_t step) {
  ResponseParser parser;
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += step) {
    parser.feed(std::string_view(text).substr(at, step));
    out += parser.take_body();
  }
  if (!parser.is_complete()) parser.end();
  out += parser.take_body();
  BOOST_TEST(!parser.has_excess());
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(response_parser)

BOOST_AUTO_TEST_CASE(pieces_do_not_matter) {
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  const std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nA: b\r\n\r\n";
  const std::string until_end = "HTTP/1.1 200 OK\r\n\r\nhello";
  const std::string interim =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n";
  for (const std::size_t step : {1, 2, 3, 7, 1000})
    for (const std::string& each : {length, chunks, until_end, interim + length, interim + chunks})
      BOOST_TEST(body(each, step) == "hello");
}

BOOST_AUTO_TEST_CASE(the_head_is_there_before_the_body) {
  ResponseParser parser;
  parser.feed("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 5\r\n");
  BOOST_TEST(!parser.has_head());
  parser.feed("\r\nhe");
  BOOST_TEST(parser.has_head());
  BOOST_TEST(!parser.is_complete());
  BOOST_TEST(parser.head().status == 429);
  BOOST_TEST(parser.head().field("retry-after") == "7");
  BOOST_TEST(parser.head().keep_alive);
  BOOST_CHECK_THROW(parser.end(), MalformedResponse);
}

BOOST_AUTO_TEST_CASE(what_follows_a_response_is_noticed) {
  ResponseParser parser;
  parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabHTTP/1.1");
  BOOST_TEST(parser.is_complete());
  BOOST_TEST(parser.take_body() == "a");
  BOOST_TEST(parser.has_excess());
}

BOOST_AUTO_TEST_CASE(what_is_no_response_is_refused) {
  for (const std::string& text :
       {std::string("SSH-2.0-x\r\n\r\n"), std::string("HTTP/1.1 101 Switching\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'a') + "\r\n\r\n",
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")}) {
    ResponseParser parser;
    BOOST_CHECK_THROW(parser.feed(text), MalformedResponse);
  }
  ResponseParser endless;
  BOOST_CHECK_THROW(for (int i = 0; i < 100; ++i) endless.feed("HTTP/1.1 100 Continue\r\n\r\n"),
                    MalformedResponse);
}

BOOST_AUTO_TEST_SUITE_END()
