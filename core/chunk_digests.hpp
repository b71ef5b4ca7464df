#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"

namespace talaria {

/// The backward way of to_hex(): 64 hexadecimal digits, upper or lower case; nothing for anything
/// else.
std::optional<Sha256Digest> parse_sha256(std::string_view text);

/// SHA-256 of a stream, and of its chunks in such a way that each can be checked again later, in
/// any order, without a hash of its own: what is kept is the state of SHA-256 before each chunk,
/// and the digest of everything up to its end.
class ChunkDigests {
public:
  explicit ChunkDigests(std::size_t chunk_bytes);
  ChunkDigests(ChunkDigests&&) noexcept;
  ChunkDigests& operator=(ChunkDigests&&) noexcept;
  ~ChunkDigests();

  std::size_t chunk_bytes() const noexcept { return chunk_bytes_; }
  /// The next bytes of the stream. Not after finish().
  void update(std::span<const u8> bytes);
  /// Ends the stream: SHA-256 of all of it. Call once.
  Sha256Digest finish();

  /// Whether `bytes` are chunk `index` of the stream: bytes [index * chunk_bytes, ...) up to the
  /// next chunk or the end. After finish(); may run on several threads at once.
  bool matches(u64 index, std::span<const u8> bytes) const;

private:
  struct State;

  std::size_t chunk_bytes_;
  std::size_t in_chunk_ = 0;          ///< bytes of the last chunk that have come
  std::unique_ptr<State> now_;        ///< after everything so far
  std::vector<State> before_;         ///< before each chunk
  std::vector<Sha256Digest> through_; ///< of the stream up to the end of each chunk
};

} // namespace talaria
