#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/integers.hpp"
#include "model/marked_text.hpp"

namespace talaria::model {

class TextFiles;
class TokenTable;

/// What the decoding of one token needs to know about those before it.
struct DecodeState {
  bool first = true;    ///< no token has been decoded yet
  bool at_start = true; ///< the text is still empty but for blanks that were dropped
  std::size_t blanks_dropped = 0;
};

/// A text has more tokens than the caller can use.
class TextTooLong : public Error {
public:
  explicit TextTooLong(std::size_t most);
};

/// A Hugging Face tokenizer.json of kind BPE: byte-level (GPT-2, Llama-3, Qwen2 pre-tokenizers, or
/// any Split pattern PCRE2 understands) and SentencePiece-style with byte fallback (Llama-2,
/// Mistral), merges as "a b" strings or as pairs; of kind Unigram (SentencePiece: T5, XLM-RoBERTa)
/// and WordPiece (BERT). Reproduces the `tokenizers` library id by id,
/// but for characters that are newer than the Unicode tables of the system's PCRE2 and ICU: the
/// library brings its own.
class Tokenizer {
public:
  static constexpr std::size_t no_bound = ~std::size_t{0};

  /// @throws Error{model} naming file and field; a component it does not implement is an error that
  /// names it, never a silently different tokenisation.
  static Tokenizer load(const std::filesystem::path& model_dir);
  /// The same from files that were read already.
  static Tokenizer load(const TextFiles& files);
  /// Parses the text of a tokenizer.json; `file` appears in messages. Exposed for fuzzing.
  static Tokenizer parse(std::string_view json, const std::string& file);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of `text` (UTF-8). Added and special tokens inside the text are recognised.
  /// `add_special_tokens`: also what the post-processor puts around it, e.g. BOS.
  /// `most`: the work ends where there are surely more ids than these, often before it begins;
  /// time and memory are then bounded by `most`, not by the text.
  /// @throws Error{usage} with the byte offset if `text` is not valid UTF-8, TextTooLong.
  std::vector<u32> encode(std::string_view text, bool add_special_tokens,
                          std::size_t most = no_bound) const;
  /// Ids of a prompt whose stretches are marked with who wrote them. Where nothing that a user
  /// wrote holds a token that `limits` keeps from users, these are the ids of encode(text, false).
  std::vector<u32> encode(const MarkedText& text, const OriginLimits& limits,
                          std::size_t most = no_bound) const;
  /// Which added tokens text of which origin may become: special ones (and those that
  /// tokenizer_config.json names) only the author's; of the others those that look like a marker
  /// and stand in the text of the template (DeepSeek's turns, Qwen3's <think>) not a user's.
  OriginLimits limits(std::string_view template_text) const;
  /// The exact bytes `ids` stand for; may end inside a UTF-8 character. An id without a token
  /// stands for nothing, one beyond vocab_size() too: the matrices of many models (Qwen2, Qwen2.5,
  /// Qwen3) have more rows than their tokenizer has tokens, and any row can be sampled.
  std::string decode_bytes(std::span<const u32> ids, bool skip_special) const;
  /// decode_bytes with each maximal ill-formed subsequence replaced by one U+FFFD.
  std::string decode(std::span<const u32> ids, bool skip_special) const;

  /// The bytes of one token that is not the first of a text, special ones too; none if it stands
  /// for nothing.
  std::string token_bytes(u32 id) const;

  /// One more than the largest id that has a token.
  u32 vocab_size() const noexcept;
  std::optional<u32> token_id(std::string_view token) const;
  /// The token as written in the file (byte-level alphabet), empty if the id has none.
  std::string_view token(u32 id) const;
  bool is_special(u32 id) const;

private:
  friend class StreamDecoder;
  friend class TokenTable;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  /// Appends the bytes of one token that follows what led to `state`.
  void append_bytes(u32 id, bool skip_special, DecodeState& state, std::string& out) const;
  /// The bytes of one token; nothing if it stands for nothing.
  std::optional<std::string> bytes_of(u32 id, bool skip_special, bool first) const;
  /// Appends them behind what led to `state`.
  void join(std::string_view bytes, DecodeState& state, std::string& out) const;
  std::unique_ptr<Impl> impl_;
};

/// Turns the ids of one generation into text piece by piece: bytes are held back until they
/// complete a UTF-8 character, so that what has been shown never changes. The pieces plus finish()
/// equal Tokenizer::decode of all ids.
class StreamDecoder {
public:
  /// `table`, if not null, is where tokens are looked up, by a pass over it; made of the same
  /// tokenizer and `skip_special`.
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special,
                std::shared_ptr<const TokenTable> table = nullptr);
  std::string push(u32 id);
  /// What is still held back, ill-formed parts replaced by U+FFFD.
  std::string finish();

private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::shared_ptr<const TokenTable> table_;
  DecodeState state_;
  std::string pending_;
};

/// `bytes` with each maximal ill-formed UTF-8 subsequence replaced by one U+FFFD (Unicode 15, 3.9).
std::string replace_invalid_utf8(std::string_view bytes);
/// Offset of the first ill-formed byte, or nothing.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

} // namespace talaria::model
