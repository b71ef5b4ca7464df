#include "model/tokenizer.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/one_line.hpp"
#include "model/tokenization/added_tokens.hpp"
#include "model/tokenization/bpe.hpp"
#include "model/tokenization/normalizer.hpp"
#include "model/tokenization/post_processor.hpp"
#include "model/tokenization/pre_tokenizer.hpp"
#include "model/tokenization/token_decoder.hpp"

namespace talaria::model {

namespace {

/// Ids that are being collected, no more than were asked for.
class IdList {
public:
  explicit IdList(std::size_t most) : most_(most) {}

  std::vector<u32>& ids() noexcept { return ids_; }
  /// @throws Error{usage} once there are too many, or `coming` more would be.
  void check(std::size_t coming = 0) const {
    if (ids_.size() > most_ || coming > most_ - ids_.size()) refuse(most_);
  }
  void push(u32 id) {
    ids_.push_back(id);
    check();
  }
  void append(const std::vector<u32>& more) {
    ids_.insert(ids_.end(), more.begin(), more.end());
    check();
  }
  [[noreturn]] static void refuse(std::size_t most) { throw TextTooLong(most); }

private:
  std::size_t most_;
  std::vector<u32> ids_;
};

} // namespace

TextTooLong::TextTooLong(std::size_t most)
    : Error(Errc::usage, fmt::format("the text has more than {} tokens; shorten it", most)) {}

struct Tokenizer::Impl {
  explicit Impl(const JsonNode& root);
  void place(const AddedToken& token, const JsonNode& root);
  void check_ids(const std::vector<u32>& ids, const JsonNode& root) const;
  void check_decoder(const JsonNode& root) const;
  void measure();
  void encode_plain(std::string_view text, bool at_start, IdList& ids) const;
  void encode_stretch(std::string_view text, bool at_start, IdList& ids) const;

  Bpe bpe;
  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  std::vector<AddedToken> added;
  AddedTokenMatcher raw_tokens;        // looked for in the text as it comes
  AddedTokenMatcher normalized_tokens; // looked for behind the normalizer
  PostProcessor post_processor;
  TokenDecoder decoder;
  std::vector<std::string> tokens; // by id, added ones included
  std::vector<const AddedToken*> added_by_id;
  std::unordered_map<std::string_view, u32> added_ids; // views into `added`
  std::size_t longest_piece = 0; // bytes of a piece that one id can stand for; 0: no such bound
  std::size_t longest_text = 0;  // bytes of a text that one id can stand for; 0: no such bound
};

Tokenizer::Impl::Impl(const JsonNode& root)
    : bpe(Bpe::parse(root["model"])), normalizer(parse_normalizer(root["normalizer"])),
      pre_tokenizer(parse_pre_tokenizer(root["pre_tokenizer"])),
      added(parse_added_tokens(root["added_tokens"])), raw_tokens(added, false, nullptr),
      normalized_tokens(added, true, normalizer.get()),
      post_processor(parse_post_processor(root["post_processor"])),
      decoder(TokenDecoder::parse(root["decoder"])), tokens(bpe.tokens()) {
  added_by_id.resize(tokens.size());
  for (const AddedToken& token : added) place(token, root);
  check_ids(post_processor.before, root);
  check_ids(post_processor.after, root);
  check_decoder(root);
  measure();
}

void Tokenizer::Impl::place(const AddedToken& token, const JsonNode& root) {
  const auto in_vocabulary = bpe.id(token.content);
  if (in_vocabulary && *in_vocabulary != token.id)
    root["added_tokens"].fail(fmt::format("gives {} the id {}, model.vocab the id {}",
                                          token.content, token.id, *in_vocabulary));
  if (token.id >= tokens.size()) {
    tokens.resize(token.id + 1);
    added_by_id.resize(token.id + 1);
  }
  std::string& name = tokens[token.id];
  if (!name.empty() && name != token.content)
    root["added_tokens"].fail(
        fmt::format("gives {} the id {}, which is that of {}", token.content, token.id, name));
  name = token.content;
  added_by_id[token.id] = &token;
  const auto [known, fresh] = added_ids.try_emplace(token.content, token.id);
  if (!fresh && known->second != token.id)
    root["added_tokens"].fail(fmt::format("lists {} twice", token.content));
}

void Tokenizer::Impl::check_ids(const std::vector<u32>& ids, const JsonNode& root) const {
  for (const u32 id : ids) {
    if (id >= tokens.size())
      root["post_processor"].fail(fmt::format("adds the id {}, which no token has", id));
  }
}

/// A pattern of the decoder that is too much work fails here, not in the middle of an answer.
void Tokenizer::Impl::check_decoder(const JsonNode& root) const {
  if (!decoder.has_expressions()) return;
  try {
    for (const std::string& token : tokens)
      for (const bool first : {false, true}) decoder.bytes(token, false, first);
  } catch (const Error& error) {
    root["decoder"].fail(error.what());
  }
}

/// How many bytes one id can stand for, where no step leaves out text or makes it much shorter.
void Tokenizer::Impl::measure() {
  longest_piece = bpe.longest_piece(pre_tokenizer && pre_tokenizer->is_byte_level());
  const std::size_t shrinks = normalizer ? normalizer->shrinks() : 1;
  const bool keeps =
      longest_piece != 0 && shrinks != 0 && (!pre_tokenizer || pre_tokenizer->keeps());
  const bool strips = std::any_of(added.begin(), added.end(), [](const AddedToken& token) {
    return token.left_strip || token.right_strip;
  });
  if (!keeps || strips) return;
  longest_text = longest_piece * shrinks;
  for (const AddedToken& token : added)
    longest_text = std::max(longest_text, token.content.size() * shrinks);
}

/// `text` holds no added token that is looked for in raw text.
void Tokenizer::Impl::encode_stretch(std::string_view text, bool at_start, IdList& ids) const {
  const std::string normalized =
      normalizer ? normalizer->apply(std::string(text)) : std::string(text);
  for (const Stretch& stretch : normalized_tokens.cut(normalized)) {
    const std::size_t size = stretch.end - stretch.begin;
    if (stretch.token != nullptr)
      ids.push(stretch.token->id);
    else
      encode_plain(std::string_view(normalized).substr(stretch.begin, size),
                   at_start && stretch.begin == 0, ids);
  }
}

void Tokenizer::Impl::encode_plain(std::string_view text, bool at_start, IdList& ids) const {
  std::vector<Piece> pieces;
  pieces.push_back({std::string(text), at_start});
  if (pre_tokenizer) pieces = pre_tokenizer->apply(std::move(pieces));
  for (const Piece& piece : pieces) {
    if (longest_piece != 0) ids.check(piece.text.size() / longest_piece);
    bpe.tokenize(piece.text, ids.ids());
    ids.check();
  }
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "tokenizer.json";
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw Error(Errc::model, path.string() + " cannot be read; a model folder needs it");
  return parse(text.view(), path.string());
}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& file) {
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(json);
  } catch (const nlohmann::json::exception& error) {
    throw Error(Errc::model, one_line(fmt::format("{} is not valid JSON: {}", file, error.what())));
  }
  return Tokenizer(std::make_unique<Impl>(JsonNode(document, file)));
}

std::vector<u32> Tokenizer::encode(std::string_view text, bool add_special_tokens,
                                   std::size_t most) const {
  if (impl_->longest_text != 0 && text.size() / impl_->longest_text > most) IdList::refuse(most);
  if (const auto bad = find_invalid_utf8(text))
    throw Error(Errc::usage, fmt::format("the text is not valid UTF-8 at byte {}", *bad));
  IdList ids(most);
  const PostProcessor& around = impl_->post_processor;
  if (add_special_tokens) ids.append(around.before);
  for (const Stretch& stretch : impl_->raw_tokens.cut(text)) {
    if (stretch.token != nullptr)
      ids.push(stretch.token->id);
    else
      impl_->encode_stretch(text.substr(stretch.begin, stretch.end - stretch.begin),
                            stretch.begin == 0, ids);
  }
  if (add_special_tokens) ids.append(around.after);
  return std::move(ids.ids());
}

void Tokenizer::append_bytes(u32 id, bool skip_special, DecodeState& state,
                             std::string& out) const {
  const std::string_view name = token(id);
  if (name.empty() || (skip_special && is_special(id))) return;
  std::string bytes = impl_->decoder.bytes(name, impl_->added_by_id[id] != nullptr, state.first);
  state.first = false;
  std::size_t dropped = 0;
  while (state.at_start && dropped < bytes.size()) {
    state.at_start = state.blanks_dropped < impl_->decoder.strip_left() &&
                     bytes[dropped] == impl_->decoder.blank();
    if (!state.at_start) break;
    ++dropped;
    ++state.blanks_dropped;
  }
  out.append(bytes, dropped);
}

std::string Tokenizer::decode_bytes(std::span<const u32> ids, bool skip_special) const {
  std::string out;
  DecodeState state;
  for (const u32 id : ids) append_bytes(id, skip_special, state, out);
  return out;
}

std::string Tokenizer::decode(std::span<const u32> ids, bool skip_special) const {
  return replace_invalid_utf8(decode_bytes(ids, skip_special));
}

u32 Tokenizer::vocab_size() const noexcept {
  return static_cast<u32>(impl_->tokens.size());
}

std::optional<u32> Tokenizer::token_id(std::string_view token) const {
  const auto added = impl_->added_ids.find(token);
  return added != impl_->added_ids.end() ? std::optional(added->second) : impl_->bpe.id(token);
}

std::string_view Tokenizer::token(u32 id) const {
  return id < vocab_size() ? std::string_view(impl_->tokens[id]) : std::string_view();
}

bool Tokenizer::is_special(u32 id) const {
  const AddedToken* added = id < vocab_size() ? impl_->added_by_id[id] : nullptr;
  return added != nullptr && added->special;
}

} // namespace talaria::model
