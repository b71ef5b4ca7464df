#pragma once

#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::cli {

/// A text in windows of tokens that do not overlap, whose second halves are scored: the token at
/// each of positions window / 2 + 1 ... window - 1 by the logits of the position before.
struct BaseText {
  u32 window = 0; ///< tokens, at least kMinWindow
  u32 vocab = 0;
  std::vector<u32> tokens; ///< [windows() * window]; the first of a window stands for the model's
                           ///< beginning of text, if it has one

  static constexpr u32 kMinWindow = 3;

  std::size_t windows() const noexcept { return tokens.size() / window; }
  std::size_t first() const noexcept { return window / 2; } ///< position whose logits count first
  std::size_t scored() const noexcept { return window - 1 - first(); } ///< positions of a window
  std::span<const u32> of(std::size_t index) const {
    return std::span<const u32>(tokens).subspan(index * window, window);
  }
  /// Numbers of one packed row.
  std::size_t stride() const noexcept { return 4 + round_up(vocab, 2); }
};

/// The log probabilities that `logits` say, in 16 bits each: a row of stride() numbers. A token
/// that is less likely than the best one by more than a factor of e^16 counts as if it were by
/// e^16.
void pack_row(std::span<const float> logits, std::span<u16> row);
/// The other way; `out` has as many numbers as `logits` had.
void unpack_row(std::span<const u16> row, std::span<float> out);

/// What a model says to a text, in a file of the format of llama.cpp's perplexity tool
/// (--save-all-logits and --kl-divergence-base there), so that either program compares with what
/// the other wrote. Little-endian:
///   "_logits_" | u32 window | u32 vocab | u32 windows | u32 tokens [windows, window]
///   | for each window and scored position: f32 scale | f32 least | u16 [vocab, rounded up to even]
/// log p of token i is scale * u16[i] + least.
class BaseWriter {
public:
  /// @throws Error{io} naming the file.
  BaseWriter(std::string file, const BaseText& text);
  ~BaseWriter();
  BaseWriter(const BaseWriter&) = delete;
  BaseWriter& operator=(const BaseWriter&) = delete;

  /// Packed rows [scored, stride] of the next window. @throws Error{io}
  void add(std::span<const u16> rows);
  /// The file stands under its name only behind this. @throws Error{io}
  void finish();

private:
  void check(bool good) const;

  std::string file_;
  std::string partial_;
  std::ofstream out_;
};

class BaseReader {
public:
  /// @throws Error{io} if it cannot be read, Error{usage} if it is no such file, cut short, or
  /// names a token beyond its vocabulary.
  explicit BaseReader(std::string file);

  const std::string& file() const noexcept { return file_; }
  const BaseText& text() const noexcept { return text_; }
  /// Packed rows [scored, stride] of the next window. @throws Error{io}
  std::vector<u16> next();

private:
  u32 number();
  void read_text(u64 bytes);

  std::string file_;
  std::ifstream in_;
  BaseText text_;
};

} // namespace talaria::cli
