#include "model/tokenizer.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/one_line.hpp"
#include "model/tokenization/added_tokens.hpp"
#include "model/tokenization/normalizer.hpp"
#include "model/tokenization/post_processor.hpp"
#include "model/tokenization/pre_tokenizer.hpp"
#include "model/tokenization/token_decoder.hpp"
#include "model/tokenization/token_model.hpp"
#include "model/tokenizer_config.hpp"
#include "model/utf8.hpp"
#include "model/weights/model_files.hpp"

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
  Impl(const JsonNode& root, const TokenizerConfig* config);
  void place(const AddedToken& token);
  std::optional<u32> id_of(std::string_view token) const;
  void put_around(const TokenizerConfig& config);
  void check_ids(const std::vector<u32>& ids, const JsonNode& root) const;
  void check_decoder(const JsonNode& root) const;
  void check_text(std::string_view text, std::size_t most) const;
  void measure();
  bool keeps_first_character(std::string_view text) const;
  void encode(const MarkedText& text, const OriginLimits* limits, IdList& ids) const;
  void encode_stretch(MarkedText text, bool at_start, const OriginLimits* limits,
                      IdList& ids) const;
  void encode_plain(std::string_view text, bool at_start, const OriginLimits* limits,
                    IdList& ids) const;

  std::unique_ptr<const TokenModel> model;
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

Tokenizer::Impl::Impl(const JsonNode& root, const TokenizerConfig* config)
    : model(parse_token_model(root["model"])), normalizer(parse_normalizer(root["normalizer"])),
      pre_tokenizer(parse_pre_tokenizer(root["pre_tokenizer"])),
      added(read_added_tokens(root["added_tokens"], config, *model)),
      raw_tokens(added, false, nullptr), normalized_tokens(added, true, normalizer.get()),
      post_processor(parse_post_processor(root["post_processor"])),
      decoder(TokenDecoder::parse(root["decoder"])), tokens(model->tokens()) {
  added_by_id.resize(tokens.size());
  for (const AddedToken& token : added) place(token);
  if (config != nullptr && config->adds_around) put_around(*config);
  check_ids(post_processor.before, root);
  check_ids(post_processor.after, root);
  check_decoder(root);
  measure();
}

void Tokenizer::Impl::place(const AddedToken& token) {
  const auto refuse = [&](const std::string& what) {
    throw Error(Errc::model, one_line(token.where + " " + what));
  };
  const auto in_vocabulary = model->id(token.content);
  if (in_vocabulary && *in_vocabulary != token.id)
    refuse(fmt::format("gives {} the id {}, model.vocab the id {}", token.content, token.id,
                       *in_vocabulary));
  if (token.id >= tokens.size()) {
    tokens.resize(token.id + 1);
    added_by_id.resize(token.id + 1);
  }
  std::string& name = tokens[token.id];
  if (!name.empty() && name != token.content)
    refuse(fmt::format("gives {} the id {}, which is that of {}", token.content, token.id, name));
  name = token.content;
  added_by_id[token.id] = &token;
  const auto [known, fresh] = added_ids.try_emplace(token.content, token.id);
  if (!fresh && known->second != token.id) refuse(fmt::format("lists {} twice", token.content));
}

std::optional<u32> Tokenizer::Impl::id_of(std::string_view token) const {
  const auto found = added_ids.find(token);
  return found != added_ids.end() ? std::optional(found->second) : model->id(token);
}

/// What LlamaTokenizerFast and its kin put in the place of the file's post-processor.
void Tokenizer::Impl::put_around(const TokenizerConfig& config) {
  const auto ids = [&](bool wanted, const char* flag, const char* name) {
    std::vector<u32> out;
    if (!wanted) return out;
    const auto text = config.text_of(name);
    const auto id = text ? id_of(*text) : std::nullopt;
    if (!id)
      throw Error(Errc::model,
                  fmt::format("{}: {} asks for a {}, {}", config.file, flag, name,
                              text ? "which is not in the vocabulary" : "which is not declared"));
    out.push_back(*id);
    return out;
  };
  const auto bos = config.text_of("bos_token");
  if (!config.add_bos && !config.add_eos && (!bos || !id_of(*bos))) return; // a tokenizer without
  post_processor.before = ids(config.add_bos.value_or(true), "add_bos_token", "bos_token");
  post_processor.after = ids(config.add_eos, "add_eos_token", "eos_token");
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
  longest_piece = model->longest_piece(pre_tokenizer && pre_tokenizer->is_byte_level());
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

void Tokenizer::Impl::check_text(std::string_view text, std::size_t most) const {
  if (longest_text != 0 && text.size() / longest_text > most) IdList::refuse(most);
  if (const auto bad = find_invalid_utf8(text))
    throw Error(Errc::usage, fmt::format("the text is not valid UTF-8 at byte {}", *bad));
}

void Tokenizer::Impl::encode(const MarkedText& text, const OriginLimits* limits,
                             IdList& ids) const {
  for (const Stretch& stretch : raw_tokens.cut(text, limits)) {
    if (stretch.token != nullptr)
      ids.push(stretch.token->id);
    else
      encode_stretch(text.part(stretch.begin, stretch.end), stretch.begin == 0, limits, ids);
  }
}

/// A text whose first character the normalizer drops does not begin where the input does: the
/// library goes by the offset of what is left.
bool Tokenizer::Impl::keeps_first_character(std::string_view text) const {
  if (!normalizer || text.empty()) return true;
  const std::string first(text.substr(0, utf8::step(text, 0).length));
  return !normalizer->apply(MarkedText(first)).empty();
}

/// `text` holds no added token that is looked for in raw text.
void Tokenizer::Impl::encode_stretch(MarkedText text, bool at_start, const OriginLimits* limits,
                                     IdList& ids) const {
  at_start = at_start && keeps_first_character(text.text());
  const MarkedText normalized = normalizer ? normalizer->apply(std::move(text)) : std::move(text);
  for (const Stretch& stretch : normalized_tokens.cut(normalized, limits)) {
    const std::size_t size = stretch.end - stretch.begin;
    if (stretch.token != nullptr)
      ids.push(stretch.token->id);
    else
      encode_plain(std::string_view(normalized.text()).substr(stretch.begin, size),
                   at_start && stretch.begin == 0, limits, ids);
  }
}

void Tokenizer::Impl::encode_plain(std::string_view text, bool at_start, const OriginLimits* limits,
                                   IdList& ids) const {
  std::vector<Piece> pieces;
  pieces.push_back({std::string(text), at_start});
  if (pre_tokenizer) pieces = pre_tokenizer->apply(std::move(pieces));
  for (const Piece& piece : pieces) {
    if (longest_piece != 0) ids.check(piece.text.size() / longest_piece);
    model->tokenize(piece.text, ids.ids(), limits);
    ids.check();
  }
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

namespace {

nlohmann::json parse_document(std::string_view json, const std::string& file) {
  try {
    return nlohmann::json::parse(json);
  } catch (const nlohmann::json::exception& error) {
    throw Error(Errc::model, one_line(fmt::format("{} is not valid JSON: {}", file, error.what())));
  }
}

[[noreturn]] void refuse_without_tokenizer(const std::filesystem::path& path) {
  std::error_code ignored; // the folder may be none
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".model") || name.ends_with(".tiktoken") || name == "vocab.json")
      throw Error(Errc::model,
                  fmt::format("{} is missing; make it from {} by transformers: "
                              "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
                              path.string(), name));
  }
  throw Error(Errc::model, path.string() + " cannot be read; a model folder needs it");
}

/// PreTrainedTokenizerFast has its own mind about the blank before a text, if one step is all that
/// the pre-tokenizer is.
void set_prefix_space(nlohmann::json& document, const TokenizerConfig& config) {
  if (!document.is_object() || !config.add_prefix_space) return;
  nlohmann::json& step = document["pre_tokenizer"];
  if (step.is_object() && step.value("type", nlohmann::json()) == "ByteLevel")
    step["add_prefix_space"] = *config.add_prefix_space;
}

/// So have BertTokenizerFast and its kin about a BertNormalizer.
void set_bert_normalizer(nlohmann::json& document, const TokenizerConfig& config) {
  if (!document.is_object() || !config.bert) return;
  nlohmann::json& normalizer = document["normalizer"];
  if (!normalizer.is_object() || normalizer.value("type", nlohmann::json()) != "BertNormalizer")
    return;
  normalizer["lowercase"] = config.bert->lowercase;
  normalizer["handle_chinese_chars"] = config.bert->handle_chinese_chars;
  normalizer["strip_accents"] = nullptr;
  if (config.bert->strip_accents) normalizer["strip_accents"] = *config.bert->strip_accents;
}

} // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  return load(model_texts(model_dir));
}

Tokenizer Tokenizer::load(const TextFiles& files) {
  const PrivateFile* const file = files.find("tokenizer.json");
  if (file == nullptr) refuse_without_tokenizer(files.folder() / "tokenizer.json");
  const std::string name = file->path.string();
  nlohmann::json document = parse_document(file->text, name);
  const TokenizerConfig config = TokenizerConfig::load(files);
  set_prefix_space(document, config);
  set_bert_normalizer(document, config);
  return Tokenizer(std::make_unique<Impl>(JsonNode(document, name), &config));
}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& file) {
  const nlohmann::json document = parse_document(json, file);
  return Tokenizer(std::make_unique<Impl>(JsonNode(document, file), nullptr));
}

std::vector<u32> Tokenizer::encode(std::string_view text, bool add_special_tokens,
                                   std::size_t most) const {
  impl_->check_text(text, most);
  IdList ids(most);
  const PostProcessor& around = impl_->post_processor;
  if (add_special_tokens) ids.append(around.before);
  impl_->encode(MarkedText(std::string(text)), nullptr, ids);
  if (add_special_tokens) ids.append(around.after);
  return std::move(ids.ids());
}

std::vector<u32> Tokenizer::encode(const MarkedText& text, const OriginLimits& limits,
                                   std::size_t most) const {
  impl_->check_text(text.text(), most);
  IdList ids(most);
  impl_->encode(text, text.stretches().empty() ? nullptr : &limits, ids);
  return std::move(ids.ids());
}

OriginLimits Tokenizer::limits(std::string_view template_text) const {
  // A token of blanks or of one word is no marker, wherever a template has it.
  const auto is_marker = [&](const std::string& content) {
    return content.find_first_of("<>[]{}|") != std::string::npos ||
           content.find("｜") != std::string::npos;
  };
  OriginLimits out(vocab_size(), Origin::input);
  for (const AddedToken& token : impl_->added) {
    if (token.special || token.named)
      out[token.id] = Origin::author;
    else if (is_marker(token.content) &&
             template_text.find(token.content) != std::string_view::npos)
      out[token.id] = Origin::answer;
  }
  return out;
}

std::optional<std::string> Tokenizer::bytes_of(u32 id, bool skip_special, bool first) const {
  const std::string_view name = token(id);
  if (name.empty() || (skip_special && is_special(id))) return std::nullopt;
  return impl_->decoder.bytes(name, impl_->added_by_id[id] != nullptr, first);
}

void Tokenizer::append_bytes(u32 id, bool skip_special, DecodeState& state,
                             std::string& out) const {
  if (const auto bytes = bytes_of(id, skip_special, state.first)) join(*bytes, state, out);
}

void Tokenizer::join(std::string_view bytes, DecodeState& state, std::string& out) const {
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

std::string Tokenizer::token_bytes(u32 id) const {
  return bytes_of(id, /*skip_special=*/false, /*first=*/false).value_or(std::string());
}

std::string Tokenizer::decode(std::span<const u32> ids, bool skip_special) const {
  return replace_invalid_utf8(decode_bytes(ids, skip_special));
}

u32 Tokenizer::vocab_size() const noexcept {
  return static_cast<u32>(impl_->tokens.size());
}

std::optional<u32> Tokenizer::token_id(std::string_view token) const {
  return impl_->id_of(token);
}

std::string_view Tokenizer::token(u32 id) const {
  return id < vocab_size() ? std::string_view(impl_->tokens[id]) : std::string_view();
}

bool Tokenizer::is_special(u32 id) const {
  const AddedToken* added = id < vocab_size() ? impl_->added_by_id[id] : nullptr;
  return added != nullptr && added->special;
}

} // namespace talaria::model
