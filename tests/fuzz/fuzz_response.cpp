// Any bytes as what a server answers, in pieces whose size the first byte says: the proxy's parser
// says what it makes of them, however they are cut, and holds a bounded part.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "attest/binding/nonce_request.hpp"
#include "connect/response_parser.hpp"

using namespace talaria;

namespace {

struct Reading {
  bool is_refused = false;
  int status = 0;
  std::string body;
};

Reading read(std::string_view bytes, std::size_t step) {
  connect::ResponseParser parser;
  Reading reading;
  try {
    while (!bytes.empty() && !parser.is_complete()) {
      parser.feed(bytes.substr(0, step));
      bytes.remove_prefix(std::min(step, bytes.size()));
      reading.body += parser.take_body();
    }
    if (!parser.is_complete()) parser.end();
    reading.body += parser.take_body();
    reading.status = parser.head().status;
    if (reading.status < 200) std::abort();
  } catch (const connect::MalformedResponse&) {
    reading.is_refused = true;
  }
  return reading;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Reading whole = read(bytes, bytes.size() + 1);
  const Reading pieces = read(bytes, 1 + data[0] % 64);
  if (!whole.is_refused && !pieces.is_refused &&
      (whole.status != pieces.status || whole.body != pieces.body))
    std::abort();
  const auto nonce = attest::parse_nonce_request(bytes);
  if (nonce && *attest::parse_nonce_request(attest::nonce_request(*nonce)) != *nonce) std::abort();
  return 0;
}
