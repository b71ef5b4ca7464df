#include <algorithm>
#include <cctype>
#include <charconv>

#include "attest/evidence/encodings.hpp"
#include "attest/fetch/https_client.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

[[noreturn]] void refuse_reply(const char* what) {
  throw Error(Errc::io, std::string("the server's answer ") + what);
}

std::string in_small_letters(std::string_view text) {
  std::string small(text);
  std::ranges::transform(small, small.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return small;
}

/// The next line, taken off `text`.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find("\r\n");
  if (end == std::string_view::npos) refuse_reply("is cut off");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 2);
  return line;
}

std::size_t number_in(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    refuse_reply("has a length that is none");
  return value;
}

int read_status(std::string_view line) {
  const bool is_http = line.size() >= 12 && line.starts_with("HTTP/1.") && line[8] == ' ';
  if (!is_http) refuse_reply("is no HTTP");
  return static_cast<int>(number_in(line.substr(9, 3), 10));
}

std::string unchunked(std::string_view text, std::size_t most) {
  std::string body;
  for (;;) {
    const std::string_view line = take_line(text);
    const std::size_t size = number_in(trimmed(line.substr(0, line.find(';'))), 16);
    if (size == 0) return body;
    if (size > most - body.size()) refuse_reply("is too long");
    if (text.size() < size + 2) refuse_reply("is cut off");
    body += text.substr(0, size);
    text.remove_prefix(size + 2);
  }
}

} // namespace

HttpsReply parse_https_reply(std::string_view text, std::size_t most) {
  HttpsReply reply;
  reply.status = read_status(take_line(text));
  for (;;) {
    const std::string_view line = take_line(text);
    if (line.empty()) break;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) refuse_reply("has a field without a colon");
    reply.fields[in_small_letters(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  }
  if (in_small_letters(reply.field("transfer-encoding")) == "chunked") {
    reply.body = unchunked(text, most);
    return reply;
  }
  if (const auto length = reply.field("content-length"); !length.empty()) {
    const std::size_t size = number_in(length, 10);
    if (size > most) refuse_reply("is too long");
    if (text.size() < size) refuse_reply("is cut off");
    text = text.substr(0, size);
  }
  if (text.size() > most) refuse_reply("is too long");
  reply.body = text;
  return reply;
}

} // namespace talaria::attest
