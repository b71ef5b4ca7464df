#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"
#include "pipeline/hint_seal.hpp"

namespace talaria::pipeline {

/// What the file of one hint holds, and where. Derived from what the hint depends on, so a file
/// that differs in its first bytes is another hint's.
///
///   header       "talhint\n", version (4 bytes), word bytes (4), rows, columns, rows of a block
///                (8 each), key (32); little-endian
///   blocks       rows of the block, then SHA-256 of key, block number (8 bytes) and these rows
///
/// A sealed file is version 2:
///
///   header       the same fields, name of the seal's key (8), salt of the file (32), and nothing,
///                sealed: a tag over all of it (28)
///   blocks       rows of the block, sealed (core/seal.hpp) as block number so-and-so of so many of
///                this very header and model
///
/// so that a block of another place, file, model or key does not open. The last block may be
/// shorter. A file being fetched (KEY.part) is one whose last blocks are missing; a complete one is
/// called KEY.hint.
struct HintLayout {
  Sha256Digest key{}; ///< names weights, parameters, public matrix and columns
  u64 rows = 0;
  u64 columns = 0;
  u64 word_bytes = 0;
  u64 block_rows = 0;
  std::shared_ptr<const HintSeal> seal{}; ///< null: the rows lie there as they are

  u64 row_bytes() const { return columns * word_bytes; }
  u64 blocks() const { return (rows + block_rows - 1) / block_rows; }
  u64 rows_of(u64 block) const;
  u64 offset(u64 block) const; ///< of a block in the file
  u64 file_bytes() const { return offset(blocks()); }
  u64 header_bytes() const;       ///< in the file
  u64 block_overhead() const;     ///< what follows or surrounds the rows of a block
  std::vector<u8> header() const; ///< what is the same in every file of this hint
  Sha256Digest block_digest(u64 block, std::span<const u8> rows) const;
  std::string complete_name() const { return to_hex(key) + ".hint"; }
  std::string partial_name() const { return to_hex(key) + ".part"; }
};

/// An open file of hint rows. Whatever it hands out was compared with its digests when the file was
/// opened. Move-only; closing it also gives up the lock of a partial file.
class HintFile {
public:
  /// FOLDER/KEY.hint, verified, its time of use set to now; nothing if there is none.
  /// @throws Error{verification} if it is damaged, truncated, foreign or sealed otherwise, with
  /// what of it in its text; Error{io} if it cannot be read.
  static std::optional<HintFile> open_complete(const std::filesystem::path& folder,
                                               const HintLayout& layout);

  /// FOLDER/KEY.part, new or cut back to its verified blocks, locked against other processes;
  /// nothing if another one holds it or has just completed it. @throws Error{io}
  static std::optional<HintFile> open_partial(const std::filesystem::path& folder,
                                              const HintLayout& layout);

  HintFile(HintFile&& other) noexcept;
  HintFile& operator=(HintFile&& other) noexcept;
  ~HintFile();

  u64 rows() const noexcept { return rows_; } ///< held, counted from row 0
  bool complete() const noexcept { return rows_ == layout_.rows; }
  /// Rows [first, first + count) of those held. @throws Error{io}
  void read(u64 first, u64 count, u8* out) const;
  /// The rows of the next block. @throws Error{io}, e.g. when the disk is full.
  void append(std::span<const u8> rows);
  /// Puts a complete partial file on the disk and gives it its final name. @throws Error{io}
  void publish();
  /// Deletes the file if it is still there under its name.
  void remove() noexcept;

private:
  HintFile(std::filesystem::path folder, const HintLayout& layout, int descriptor, bool partial);
  std::filesystem::path path() const;
  bool still_named() const;
  std::string verify_blocks();
  std::string open_header();
  bool load_block(u64 block, std::span<u8> rows) const;
  std::vector<u8> place_of(u64 block) const;
  void start_over();

  std::filesystem::path folder_;
  HintLayout layout_;
  int descriptor_;
  bool partial_;
  u64 rows_ = 0;
  // Of a sealed file.
  std::optional<Seal> seal_;
  std::vector<u8> sealed_header_; ///< all that its tag covers
  mutable std::vector<u8>
      opened_; ///< the rows of `opened_block_`: readers go through them in steps
  mutable u64 opened_block_ = ~u64{0};
};

/// Deletes the least recently used hint files until the folder holds at most `limit` bytes.
/// Files named in `keep` stay and do not count; partial files that somebody is writing stay.
/// @return whether that much room could be made.
bool evict_hints(const std::filesystem::path& folder, u64 limit,
                 const std::vector<std::string>& keep);

} // namespace talaria::pipeline
