// Which names a server answers to, and which web pages may use it.
#include "gateway/access_policy.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "gateway/api_error.hpp"

namespace talaria::tests {

using gateway::AccessPolicy;
using gateway::ApiError;
using gateway::Exchange;

namespace {

Exchange asking(const std::string& host, gateway::HttpFields more = {}) {
  Exchange exchange;
  exchange.method = "POST";
  exchange.request.authority = host;
  exchange.request.fields = std::move(more);
  exchange.request.fields.emplace_back("Host", host);
  return exchange;
}

/// Empty if the request may be made, or else the code of the error.
std::string refusal(const AccessPolicy& policy, Exchange exchange,
                    const std::string& local = "127.0.0.1") {
  try {
    policy.check(exchange, local);
  } catch (const ApiError& error) {
    BOOST_TEST(error.status() == 403);
    return error.code();
  }
  return {};
}

const std::string kHost = "host_not_allowed";
const std::string kOrigin = "origin_not_allowed";

} // namespace

BOOST_AUTO_TEST_SUITE(access_policy)

BOOST_AUTO_TEST_CASE(a_loopback_listener_answers_to_names_of_this_machine) {
  const AccessPolicy policy("127.0.0.1", {"api.example.org"}, {});
  for (const char* host : {"127.0.0.1", "127.0.0.1:8000", "localhost", "LocalHost:1", "[::1]:8000",
                           "api.example.org", "API.example.org:443", "127.0.0.1.", "localhost.:80"})
    BOOST_TEST(refusal(policy, asking(host)).empty(), host);
  for (const char* host : {"evil.example", "evil.example:8000", "", ":8000",
                           "127.0.0.1.evil.example", "127.evil.example", "localhost.evil.example",
                           "10.0.0.5", "api.example.org.evil", "[::2]", "x", "api.example.or"})
    BOOST_TEST(refusal(policy, asking(host)) == kHost, host);
}

BOOST_AUTO_TEST_CASE(an_open_listener_answers_to_the_address_that_was_connected_to) {
  const AccessPolicy policy("0.0.0.0", {"fd00::6"}, {});
  BOOST_TEST(refusal(policy, asking("10.0.0.5:8000"), "10.0.0.5").empty());
  BOOST_TEST(refusal(policy, asking("10.0.0.5"), "::ffff:10.0.0.5").empty());
  BOOST_TEST(refusal(policy, asking("[fd00::5]:80"), "fd00::5").empty());
  BOOST_TEST(refusal(policy, asking("[fd00::6]:80"), "fd00::5").empty());
  BOOST_TEST(refusal(policy, asking("10.0.0.6"), "10.0.0.5") == kHost);
  BOOST_TEST(refusal(policy, asking("localhost"), "10.0.0.5") == kHost);
  BOOST_TEST(refusal(policy, asking("evil.example"), "10.0.0.5") == kHost);
}

BOOST_AUTO_TEST_CASE(a_unix_socket_has_no_name) {
  const AccessPolicy policy("127.0.0.1", {}, {});
  BOOST_TEST(refusal(policy, asking("anything"), "").empty());
  BOOST_TEST(refusal(policy, asking("anything", {{"Origin", "http://evil.example"}}), "") ==
             kOrigin);
}

BOOST_AUTO_TEST_CASE(pages_of_other_origins_are_refused) {
  const AccessPolicy policy("127.0.0.1", {}, {"https://chat.example.org", "http://localhost:3000"});
  const auto from = [&](const std::string& origin, const std::string& host = "127.0.0.1:8000") {
    return refusal(policy, asking(host, {{"Origin", origin}}));
  };
  for (const char* origin :
       {"http://127.0.0.1:8000", "https://chat.example.org", "http://localhost:3000"})
    BOOST_TEST(from(origin).empty(), origin);
  for (const char* origin :
       {"http://evil.example", "null", "http://127.0.0.1:8001", "http://localhost:8000",
        "http://chat.example.org", "https://chat.example.org.evil", "https://chat.example.org:444",
        "https://xchat.example.org", "file://", "nonsense", "http://127.0.0.1:8000.evil"})
    BOOST_TEST(from(origin) == kOrigin, origin);
  BOOST_TEST(from("http://localhost", "localhost").empty());
  BOOST_TEST(from("https://localhost", "localhost:443").empty()); // a proxy ends TLS
  // DNS rebinding: page and request agree, about a name that is not ours.
  BOOST_TEST(from("http://evil.example:8000", "evil.example:8000") == kHost);
}

BOOST_AUTO_TEST_CASE(what_a_page_embeds_says_where_it_comes_from) {
  const AccessPolicy policy("127.0.0.1", {}, {"https://chat.example.org"});
  const auto with_site = [&](const std::string& site, const std::string& origin = "") {
    gateway::HttpFields fields{{"Sec-Fetch-Site", site}};
    if (!origin.empty()) fields.emplace_back("Origin", origin);
    return refusal(policy, asking("127.0.0.1", fields));
  };
  BOOST_TEST(with_site("none").empty());
  BOOST_TEST(with_site("same-origin").empty());
  BOOST_TEST(with_site("cross-site") == kOrigin);
  BOOST_TEST(with_site("same-site") == kOrigin);
  BOOST_TEST(with_site("cross-site", "https://chat.example.org").empty());
}

BOOST_AUTO_TEST_CASE(only_listed_origins_may_read_answers) {
  const AccessPolicy policy("127.0.0.1", {}, {"https://chat.example.org"});
  Exchange exchange =
      asking("127.0.0.1", {{"Origin", "https://chat.example.org"},
                           {"Access-Control-Request-Method", "POST"},
                           {"Access-Control-Request-Headers", "authorization,x-a"}});
  exchange.method = "OPTIONS";
  policy.check(exchange, "127.0.0.1");
  BOOST_TEST_REQUIRE(AccessPolicy::is_preflight(exchange));
  gateway::HttpResponse response;
  AccessPolicy::answer_preflight(exchange, response);
  AccessPolicy::add_fields(exchange, response);
  BOOST_TEST(response.status == 204);
  BOOST_TEST(response.field("Access-Control-Allow-Origin") == "https://chat.example.org");
  BOOST_TEST(response.field("Access-Control-Allow-Headers") == "authorization,x-a");
  BOOST_TEST(response.field("Vary") == "Origin");
  for (const char* read_by_pages : {"X-Request-Id", "Talaria-Receipt", "Talaria-Receipt-Salts"})
    BOOST_TEST(response.field("Access-Control-Expose-Headers").find(read_by_pages) !=
                   std::string_view::npos,
               read_by_pages);

  Exchange own = asking("127.0.0.1", {{"Origin", "http://127.0.0.1"}});
  policy.check(own, "127.0.0.1");
  gateway::HttpResponse plain;
  AccessPolicy::add_fields(own, plain);
  BOOST_TEST(plain.field("Access-Control-Allow-Origin").empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
