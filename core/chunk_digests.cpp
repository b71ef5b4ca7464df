#include "core/chunk_digests.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <new>

#include "core/error.hpp"

namespace talaria {

namespace {

std::optional<u8> nibble(char c) {
  if (c >= '0' && c <= '9') return static_cast<u8>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<u8>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<u8>(c - 'A' + 10);
  return std::nullopt;
}

} // namespace

std::optional<Sha256Digest> parse_sha256(std::string_view text) {
  Sha256Digest out{};
  if (text.size() != 2 * out.size()) return std::nullopt;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = nibble(text[2 * i]);
    const auto low = nibble(text[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    out[i] = static_cast<u8>(*high << 4 | *low);
  }
  return out;
}

/// SHA-256 after some bytes; can be copied, unlike Sha256.
struct ChunkDigests::State {
  State() : md(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!md || EVP_DigestInit_ex(md.get(), EVP_sha256(), nullptr) != 1)
      throw Error(Errc::internal, "OpenSSL offers no SHA-256");
  }
  State(const State& other) : md(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!md || EVP_MD_CTX_copy_ex(md.get(), other.md.get()) != 1) throw std::bad_alloc();
  }
  State(State&&) noexcept = default;

  void update(std::span<const u8> bytes) { EVP_DigestUpdate(md.get(), bytes.data(), bytes.size()); }
  /// Of what came so far; more may follow.
  Sha256Digest digest() const {
    const State copy(*this);
    Sha256Digest out{};
    EVP_DigestFinal_ex(copy.md.get(), out.data(), nullptr);
    return out;
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> md;
};

ChunkDigests::ChunkDigests(std::size_t chunk_bytes)
    : chunk_bytes_(chunk_bytes), now_(std::make_unique<State>()) {}
ChunkDigests::ChunkDigests(ChunkDigests&&) noexcept = default;
ChunkDigests& ChunkDigests::operator=(ChunkDigests&&) noexcept = default;
ChunkDigests::~ChunkDigests() = default;

void ChunkDigests::update(std::span<const u8> bytes) {
  while (!bytes.empty()) {
    if (in_chunk_ == 0) before_.push_back(*now_);
    const std::size_t count = std::min(bytes.size(), chunk_bytes_ - in_chunk_);
    now_->update(bytes.first(count));
    bytes = bytes.subspan(count);
    in_chunk_ += count;
    if (in_chunk_ < chunk_bytes_) return;
    through_.push_back(now_->digest());
    in_chunk_ = 0;
  }
}

Sha256Digest ChunkDigests::finish() {
  const Sha256Digest whole = now_->digest();
  if (in_chunk_ != 0) through_.push_back(whole);
  return whole;
}

bool ChunkDigests::matches(u64 index, std::span<const u8> bytes) const {
  if (index >= through_.size()) return false;
  State state(before_[index]);
  state.update(bytes);
  return state.digest() == through_[index];
}

} // namespace talaria
