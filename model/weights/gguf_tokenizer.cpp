#include "model/weights/gguf_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/token_parts.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

/// Of tokenizer.ggml.token_type.
enum TokenType : u64 { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6 };

constexpr const char* kBlank = "\xe2\x96\x81"; // U+2581, a blank in SentencePiece

// The expressions by which published tokenizers cut text before BPE.
constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepseekLetters =
    R"(\s?(?:(?![\x{10D0}-\x{10FF}])[\p{Lu}\p{Ll}\p{Lt}])+)"; // cased ones, but for Georgian's
constexpr const char* kDeepseekMarks =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr const char* kDeepseekHan = R"([\x{0800}-\x{9FA5}\x{AC00}-\x{D7FF}]+)";
constexpr const char* kDeepseekKana = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr const char* kDeepseekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kPunctuation = R"([\p{P}\$\+<=>\^~\|]+)";

/// What a name of tokenizer.ggml.pre stands for.
struct PreTokenizerKind {
  std::string_view name;
  std::vector<const char*> cuts; ///< one after the other
  bool ignore_merges = false;    ///< a piece that is a token is that token
  bool add_bos = false;          ///< unless the file says otherwise
  bool nfc = false;
};

const std::vector<PreTokenizerKind>& pre_tokenizers() {
  static const std::vector<PreTokenizerKind> kinds = {
      {"llama-bpe", {kLlama3}, true, true},
      {"llama3", {kLlama3}, true, true},
      {"llama-v3", {kLlama3}, true, true},
      {"falcon3", {kLlama3}, true, true},
      {"dbrx", {kLlama3}},
      {"smaug-bpe", {kLlama3}},
      {"glm4", {kLlama3}},
      {"chatglm-bpe", {kLlama3}},
      {"qwen2", {kQwen2}, false, false, true},
      {"qwen35", {kQwen35}, false, false, true},
      {"deepseek-r1-qwen", {kQwen2}, false, false, true},
      {"tekken", {kTekken}, true, true},
      {"gpt-4o", {kGpt4o}},
      {"llama4", {kGpt4o}, false, true},
      {"gpt-2", {kGpt2}},
      {"phi-2", {kGpt2}},
      {"olmo", {kGpt2}},
      {"smollm", {R"(\p{N})", kGpt2}},
      {"starcoder", {R"(\p{N})", kGpt2}},
      {"refact", {R"(\p{N})", kGpt2}},
      {"command-r", {R"(\p{N})", kGpt2}},
      {"codeshell", {R"(\p{N})", kGpt2}},
      {"exaone", {R"(\p{N})", kGpt2}},
      {"deepseek-llm",
       {R"([\r\n])", kDeepseekLetters, kDeepseekMarks, R"(\s+$)", kDeepseekHan, R"(\p{N}+)"}},
      {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekHan, R"(\p{N})"}},
      {"deepseek-v3", {R"(\p{N}{1,3})", kDeepseekKana, kDeepseekV3}},
      {"default", {kPunctuation, kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
  };
  return kinds;
}

/// Number of characters of UTF-8 text.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

/// The tokens of a file, and the JSON that says the same.
class TokenizerWriter {
public:
  explicit TokenizerWriter(const GgufFields& fields) : fields_(fields) {
    const auto* const tokens = fields.texts("tokenizer.ggml.tokens");
    if (tokens == nullptr || tokens->empty())
      fields.refuse("tokenizer.ggml.tokens", "a list of strings; it is missing");
    types_ = fields.integers("tokenizer.ggml.token_type");
    if (!types_.empty() && types_.size() != tokens->size())
      fields.refuse("tokenizer.ggml.token_type",
                    fmt::format("{} numbers, one for each token", tokens->size()));
    for (const GgufValue& token : *tokens) tokens_.push_back(std::get<std::string>(token.is));
    types_.resize(tokens_.size(), kNormal);
  }

  GgufTokenizer run() {
    const std::string kind = fields_.required_text("tokenizer.ggml.model");
    if (kind == "gpt2")
      write_byte_level();
    else if (kind == "llama")
      write_sentence_piece();
    else if (kind == "gemma4")
      write_gemma4();
    else
      fields_.refuse("tokenizer.ggml.model",
                     fmt::format("gpt2, llama or gemma4; {} is not supported", printable(kind)));
    if (fields_.boolean("tokenizer.ggml.add_eos_token").value_or(false))
      after_.push_back(required_id("eos"));
    write_around();
    return {dump(out_), dump(config())};
  }

private:
  std::string dump(const json& value) const {
    try {
      return value.dump();
    } catch (const json::exception&) {
      throw Error(Errc::model,
                  fmt::format("{}: metadata key tokenizer.ggml.tokens, tokenizer.ggml.merges or "
                              "tokenizer.chat_template: a text is not valid UTF-8",
                              fields_.file()));
    }
  }

  bool is_token(u64 id) const { return id < tokens_.size() && !tokens_[id].empty(); }

  /// Nothing if the key is absent. Some files say -1, or a padding id beyond the tokens.
  std::optional<u64> id_of(const char* name) const {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    const GgufValue* const value = fields_.find(key);
    if (value == nullptr) return std::nullopt;
    if (const i64* const number = std::get_if<i64>(&value->is); number != nullptr && *number < 0)
      return std::nullopt;
    const auto id = fields_.integer(key);
    return id && is_token(*id) ? id : std::nullopt;
  }

  u64 required_id(const char* name) const {
    const auto id = id_of(name);
    if (!id)
      fields_.refuse(fmt::format("tokenizer.ggml.{}_token_id", name),
                     fmt::format("a token, because add_{}_token is true", name));
    return *id;
  }

  void add_bos(bool otherwise) {
    if (fields_.boolean("tokenizer.ggml.add_bos_token").value_or(otherwise && id_of("bos")))
      before_.push_back(required_id("bos"));
  }

  void add_token(u64 id, bool special, bool strips_right) {
    out_["added_tokens"].push_back({{"id", id},
                                    {"content", tokens_[id]},
                                    {"special", special},
                                    {"normalized", false},
                                    {"lstrip", false},
                                    {"rstrip", strips_right},
                                    {"single_word", false}});
  }

  /// Tokens of control and of the author's choice are found in the text itself. Of two with the
  /// same text the first counts; unused ones are none.
  void write_vocabulary(bool strips_right) {
    json vocabulary = json::object();
    out_["added_tokens"] = json::array();
    for (u64 id = 0; id < tokens_.size(); ++id) {
      const std::string& token = tokens_[id];
      const u64 type = types_[id];
      const bool counts = type == kNormal || type == kUnknown || type == kByte ||
                          type == kControl || type == kUserDefined;
      if (!counts || token.empty() || !ids_.try_emplace(token, id).second) continue;
      const bool added = type == kControl || type == kUserDefined;
      if (added) add_token(id, type == kControl, strips_right && strips(token));
      if (type != kControl) vocabulary[token] = id;
    }
    out_["model"]["vocab"] = std::move(vocabulary);
  }

  /// Phi-3's markers of turns take the blanks behind them.
  static bool strips(const std::string& token) {
    return token != "<unk>" && token != "<s>" && token != "<|endoftext|>";
  }

  void write_byte_level() {
    const std::string key = "tokenizer.ggml.pre";
    const std::string name = fields_.text(key).value_or("");
    const auto& kinds = pre_tokenizers();
    const auto kind = std::find_if(kinds.begin(), kinds.end(),
                                   [&](const PreTokenizerKind& each) { return each.name == name; });
    if (kind == kinds.end())
      fields_.refuse(key, fmt::format("one of {}; {}", known_gguf_pre_tokenizers(),
                                      name.empty() ? "it is missing: convert the model again"
                                                   : printable(name) + " is not supported"));
    write_vocabulary(false);
    json& model = out_["model"];
    model["type"] = "BPE";
    model["merges"] = merges();
    model["ignore_merges"] = kind->ignore_merges;
    json steps = json::array();
    for (const char* cut : kind->cuts)
      steps.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", cut}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
    steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
    out_["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
    out_["normalizer"] = kind->nfc ? json{{"type", "NFC"}} : json();
    out_["decoder"] = {{"type", "ByteLevel"}};
    add_bos(kind->add_bos);
  }

  json merges() const {
    const GgufValue::List* const list = fields_.texts("tokenizer.ggml.merges");
    if (list == nullptr) fields_.refuse("tokenizer.ggml.merges", "a list; it is missing");
    json pairs = json::array();
    for (const GgufValue& pair : *list) pairs.push_back(std::get<std::string>(pair.is));
    return pairs;
  }

  /// Gemma 4: pieces of SentencePiece, put together by merges.
  void write_gemma4() {
    write_vocabulary(false);
    out_["model"]["merges"] = merges();
    write_pieces(fields_.boolean("tokenizer.ggml.add_space_prefix").value_or(false));
  }

  void write_sentence_piece() {
    const bool prefix = fields_.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
    restore_blanks();
    write_vocabulary(fields_.text("general.architecture") == "phi3");
    out_["model"]["merges"] = merges_by_score();
    write_pieces(prefix);
  }

  /// What stands around the vocabulary and the merges of SentencePiece.
  void write_pieces(bool prefix) {
    json& model = out_["model"];
    model["type"] = "BPE";
    model["byte_fallback"] = true;
    model["fuse_unk"] = true;
    const auto unknown = std::find(types_.begin(), types_.end(), u64{kUnknown});
    if (unknown != types_.end())
      model["unk_token"] = tokens_[static_cast<std::size_t>(unknown - types_.begin())];
    const json blank{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kBlank}};
    json normalizers = json::array();
    if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kBlank}});
    normalizers.push_back(blank);
    out_["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
    out_["pre_tokenizer"] = nullptr;
    json decoders =
        json::array({{{"type", "Replace"}, {"pattern", {{"String", kBlank}}}, {"content", " "}},
                     {{"type", "ByteFallback"}},
                     {{"type", "Fuse"}}});
    if (prefix)
      decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    out_["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
    add_bos(true);
  }

  /// Runs of blanks that a converter took for tokens of the author's choice are pieces like others.
  void restore_blanks() {
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      std::string& token = tokens_[id];
      if (types_[id] != kUserDefined || token.empty() ||
          token.find_first_not_of(' ') != std::string::npos)
        continue;
      std::string blanks;
      for (std::size_t i = 0; i < token.size(); ++i) blanks += kBlank;
      token = std::move(blanks);
      types_[id] = kNormal;
    }
  }

  struct Merge {
    double score;
    std::size_t left, right; ///< characters
    u64 token;
    std::size_t cut; ///< bytes of the left part
    u64 left_id, right_id;
  };

  /// In the order of tokens, and of those with the same in that of their parts.
  std::vector<Merge> all_merges(const GgufValue::List& scores) const {
    std::vector<std::string_view> texts;
    std::vector<u64> ids;
    for (u64 id = 0; id < tokens_.size(); ++id) {
      if (!in_vocabulary(id) || !is_first(id)) continue;
      texts.emplace_back(tokens_[id]);
      ids.push_back(id);
    }
    const TokenParts parts(texts);
    std::vector<Merge> merges;
    std::size_t bytes = 0;
    for (std::size_t index = 0; index < ids.size(); ++index) {
      const u64 id = ids[index];
      if (!is_piece(id)) continue;
      const std::string_view token = texts[index];
      const double score = std::get<double>(scores[id].is);
      std::vector<Merge> here;
      for (const auto& [cut, left, right] : parts.cuts(index))
        if ((static_cast<unsigned char>(token[cut]) & 0xC0) != 0x80)
          here.push_back({score, characters(token.substr(0, cut)), characters(token.substr(cut)),
                          id, cut, ids[left], ids[right]});
      bytes += here.size() * token.size();
      if (merges.size() + here.size() > kMaxMerges || bytes > kMaxMergeBytes)
        fields_.refuse("tokenizer.ggml.tokens",
                       fmt::format("a vocabulary whose tokens are made of others in at most {} "
                                   "ways, and of {} MiB together",
                                   kMaxMerges, kMaxMergeBytes >> 20));
      std::sort(here.begin(), here.end(), [](const Merge& a, const Merge& b) {
        return std::tie(a.left_id, a.right_id) < std::tie(b.left_id, b.right_id);
      });
      merges.insert(merges.end(), here.begin(), here.end());
    }
    return merges;
  }

  /// Every way to put a token together from two others; the highest score first, then the longest
  /// left part, then the longest right one.
  json merges_by_score() const {
    const GgufValue::List* const scores = fields_.list_of<double>("tokenizer.ggml.scores");
    if (scores == nullptr || scores->size() != tokens_.size())
      fields_.refuse("tokenizer.ggml.scores",
                     fmt::format("{} numbers, one for each token", tokens_.size()));
    std::vector<Merge> merges = all_merges(*scores);
    std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
      return std::tie(a.score, a.left, a.right) > std::tie(b.score, b.left, b.right);
    });
    json out = json::array();
    for (const Merge& merge : merges) {
      const std::string& token = tokens_[merge.token];
      out.push_back({token.substr(0, merge.cut), token.substr(merge.cut)});
    }
    return out;
  }

  bool in_vocabulary(u64 id) const { return types_[id] != kControl; }
  /// The first of its text, and not unused.
  bool is_first(u64 id) const {
    const auto at = ids_.find(tokens_[id]);
    return at != ids_.end() && at->second == id;
  }
  /// A token that merges make: neither a byte nor one of control.
  bool is_piece(u64 id) const {
    return (types_[id] == kNormal || types_[id] == kUserDefined) && is_first(id);
  }

  void write_around() {
    json single = json::array();
    json special = json::object();
    const auto add = [&](u64 id) {
      const std::string& token = tokens_[id];
      single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
      special[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
    };
    for (const u64 id : before_) add(id);
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    for (const u64 id : after_) add(id);
    out_["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", std::move(single)},
                              {"special_tokens", std::move(special)}};
  }

  json config() const {
    json out{{"tokenizer_class", "PreTrainedTokenizerFast"}};
    constexpr std::pair<const char*, const char*> kNamed[] = {{"bos", "bos_token"},
                                                              {"eos", "eos_token"},
                                                              {"unknown", "unk_token"},
                                                              {"padding", "pad_token"}};
    for (const auto& [key, name] : kNamed)
      if (const auto id = id_of(key); id && ids_.contains(tokens_[*id])) out[name] = tokens_[*id];
    if (auto text = fields_.text("tokenizer.chat_template"))
      out["chat_template"] = std::move(*text);
    return out;
  }

  static constexpr std::size_t kMaxMerges = std::size_t{1} << 23;
  /// Of the texts of all of them; vocabularies of 256,000 pieces have 10 MiB.
  static constexpr std::size_t kMaxMergeBytes = std::size_t{1} << 28;

  const GgufFields& fields_;
  std::vector<std::string> tokens_;
  std::vector<u64> types_;
  std::unordered_map<std::string_view, u64> ids_; ///< views into tokens_
  std::vector<u64> before_, after_;
  json out_ = json::object();
};

} // namespace

std::string known_gguf_pre_tokenizers() {
  std::string list;
  for (const PreTokenizerKind& kind : pre_tokenizers())
    list += fmt::format("{}{}", list.empty() ? "" : ", ", kind.name);
  return list;
}

GgufTokenizer gguf_tokenizer(const GgufFields& fields) {
  return TokenizerWriter(fields).run();
}

} // namespace talaria::model
