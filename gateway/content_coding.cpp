#include "gateway/content_coding.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <new>

#include "core/wiping_blocks.hpp"
#include "gateway/api_error.hpp"
#include "gateway/http_message.hpp"

namespace talaria::gateway {

namespace {

constexpr int kGzipOrZlib = 15 + 32; // zlib's word for the largest window and either header

// The window is a copy of the last 32 KiB of somebody's prompt.
void* take(void*, unsigned items, unsigned bytes) {
  return take_block(std::size_t{items} * bytes);
}

void give(void*, void* block) {
  give_block(block);
}

class Inflater {
public:
  explicit Inflater(const std::string& body) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
    stream_.avail_in = static_cast<uInt>(body.size());
    stream_.zalloc = take;
    stream_.zfree = give;
    if (::inflateInit2(&stream_, kGzipOrZlib) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  std::string all(std::size_t most) {
    std::string out;
    std::array<char, 16384> piece;
    for (;;) {
      stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream_.avail_out = piece.size();
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      out.append(piece.data(), piece.size() - stream_.avail_out);
      if (out.size() > most)
        throw ApiError(413, fmt::format("the body is longer than {} bytes", most));
      if (result == Z_STREAM_END && stream_.avail_in == 0) return out;
      if (result != Z_OK)
        throw ApiError(400, "the body ended early or is not of its Content-Encoding");
    }
  }

private:
  z_stream stream_{};
};

} // namespace

bool is_known_coding(std::string_view coding) noexcept {
  for (const char* known : {"", "identity", "gzip", "x-gzip", "deflate"})
    if (same_name(coding, known)) return true;
  return false;
}

std::string decoded(std::string body, std::string_view coding, std::size_t most) {
  if (coding.empty() || same_name(coding, "identity")) return body;
  return Inflater(body).all(most);
}

} // namespace talaria::gateway
