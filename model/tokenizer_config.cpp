#include "model/tokenizer_config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "model/one_line.hpp"
#include "model/tokenization/json_node.hpp"
#include "model/tokenization/token_model.hpp"
#include "model/weights/model_files.hpp"

namespace talaria::model {

namespace {

using Json = nlohmann::json;

/// In the order in which transformers adds them.
constexpr std::array<std::string_view, 7> names = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
constexpr const char* additional_name = "additional_special_tokens";

/// Classes whose constructor builds the post-processor itself, and has defaults for its tokens.
struct TokenizerClass {
  bool adds_around;
  std::map<std::string, std::string> defaults;
  bool sets_normalizer = false; ///< TokenizerConfig::bert
};

const std::map<std::string, std::string> kBertTokens = {{"unk_token", "[UNK]"},
                                                        {"sep_token", "[SEP]"},
                                                        {"pad_token", "[PAD]"},
                                                        {"cls_token", "[CLS]"},
                                                        {"mask_token", "[MASK]"}};

const TokenizerClass* class_named(std::string name) {
  static const std::map<std::string, TokenizerClass> classes = {
      {"LlamaTokenizer",
       {true, {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}}}},
      {"CodeLlamaTokenizer",
       {true, {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}}}},
      {"GemmaTokenizer",
       {true,
        {{"bos_token", "<bos>"},
         {"eos_token", "<eos>"},
         {"unk_token", "<unk>"},
         {"pad_token", "<pad>"}}}},
      {"CohereTokenizer",
       {true,
        {{"bos_token", "<BOS_TOKEN>"},
         {"eos_token", "<|END_OF_TURN_TOKEN|>"},
         {"unk_token", "<UNK>"}}}},
      {"Qwen2Tokenizer",
       {false,
        {{"eos_token", "<|endoftext|>"},
         {"unk_token", "<|endoftext|>"},
         {"pad_token", "<|endoftext|>"}}}},
      {"BertTokenizer", {false, kBertTokens, true}},
      {"DistilBertTokenizer", {false, kBertTokens, true}},
      {"ElectraTokenizer", {false, kBertTokens, true}},
      {"GPT2Tokenizer",
       {false,
        {{"bos_token", "<|endoftext|>"},
         {"eos_token", "<|endoftext|>"},
         {"unk_token", "<|endoftext|>"}}}}};
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  const auto found = classes.find(name);
  return found == classes.end() ? nullptr : &found->second;
}

/// The object in a JSON file; null if there is no such file.
Json parse(const PrivateFile* file) {
  if (file == nullptr) return nullptr;
  const std::string path = file->path.string();
  Json document;
  try {
    document = Json::parse(file->text);
  } catch (const Json::exception& error) {
    throw Error(Errc::model, one_line(fmt::format("{} is not valid JSON: {}", path, error.what())));
  }
  if (!document.is_object()) throw Error(Errc::model, path + " is not a JSON object");
  return document;
}

/// A token as a string, or as an object with content and flags.
DeclaredToken token_in(const JsonNode& node, bool special) {
  DeclaredToken out;
  out.where = node.where();
  out.special = special;
  if (!node.is_object()) {
    out.content = node.string();
  } else {
    out.content = node["content"].string();
    out.special = special || node["special"].boolean_or(false);
    out.normalized = node["normalized"].boolean_or(!out.special);
    out.left_strip = node["lstrip"].boolean_or(false);
    out.right_strip = node["rstrip"].boolean_or(false);
    out.single_word = node["single_word"].boolean_or(false);
  }
  if (out.content.empty()) node.fail("is an empty token");
  return out;
}

class Reader {
public:
  explicit Reader(const TextFiles& files)
      : files_(files), config_file_((files.folder() / "tokenizer_config.json").string()),
        map_file_((files.folder() / "special_tokens_map.json").string()),
        added_file_((files.folder() / "added_tokens.json").string()),
        config_json_(read("tokenizer_config.json")) {
    has_config_ = !config_json_.is_null();
    if (!has_config_) config_json_ = Json::object();
    if (root()["added_tokens_decoder"].is_null()) map_json_ = read("special_tokens_map.json");
    if (map_json_.is_null()) map_json_ = Json::object();
  }

  TokenizerConfig run() {
    TokenizerConfig out;
    const TokenizerClass* kind = find_class();
    read_named(kind, out);
    read_added(out);
    add_named(out);
    out.adds_around = kind != nullptr && kind->adds_around;
    const JsonNode add_bos = root()["add_bos_token"];
    if (!add_bos.is_null()) out.add_bos = add_bos.boolean();
    out.add_eos = root()["add_eos_token"].boolean_or(false);
    if (kind != nullptr && kind->sets_normalizer) out.bert = bert_flags();
    out.file = config_file_;
    if (has_config_) out.add_prefix_space = root()["add_prefix_space"].boolean_or(false);
    return out;
  }

private:
  Json read(std::string_view name) const { return parse(files_.find(name)); }
  JsonNode root() const { return {config_json_, config_file_}; }
  JsonNode map() const { return {map_json_, map_file_}; }

  /// The class that the config names; one that names none has that of the model's kind.
  const TokenizerClass* find_class() const {
    const JsonNode name = root()["tokenizer_class"];
    if (!name.is_null()) return class_named(name.string());
    const Json model = has_config_ ? read("config.json") : Json();
    const Json type = model.is_object() ? model.value("model_type", Json()) : Json();
    if (type == "llama" || type == "mistral") return class_named("LlamaTokenizer");
    return type == "qwen2" || type == "qwen3" ? class_named("Qwen2Tokenizer") : nullptr;
  }

  TokenizerConfig::BertFlags bert_flags() const {
    TokenizerConfig::BertFlags flags;
    flags.lowercase = root()["do_lower_case"].boolean_or(true);
    flags.handle_chinese_chars = root()["tokenize_chinese_chars"].boolean_or(true);
    const JsonNode accents = root()["strip_accents"];
    if (!accents.is_null()) flags.strip_accents = accents.boolean();
    return flags;
  }

  /// Of the two files the one that transformers listens to.
  JsonNode field(const std::string& name) const {
    const JsonNode in_map = map()[name];
    return in_map.is_null() ? root()[name] : in_map;
  }

  void read_named(const TokenizerClass* kind, TokenizerConfig& out) {
    for (const std::string_view each : names) {
      const std::string name(each);
      const JsonNode node = field(name);
      if (!node.is_null()) {
        declare(name, token_in(node, true), out);
      } else if (kind != nullptr && !root().raw().contains(name) && kind->defaults.contains(name)) {
        DeclaredToken token;
        token.content = kind->defaults.at(name);
        token.where = config_file_ + ": " + name;
        token.by_default = true;
        declare(name, std::move(token), out);
      }
    }
    for (const auto& entry : root().raw().items()) { // a name of the model's own, e.g. image_token
      const std::string& name = entry.key();
      const JsonNode node = root()[name];
      const bool known = std::find(names.begin(), names.end(), name) != names.end();
      const bool text = node.is_string() || (node.is_object() && node["content"].is_string());
      if (!known && name.ends_with("_token") && text) out.named.emplace_back(name, text_in(node));
    }
    for (const JsonNode& source :
         {root()[additional_name], map()[additional_name], root()["extra_special_tokens"]}) {
      read_list(source, out);
    }
  }

  static std::string text_in(const JsonNode& node) {
    return node.is_string() ? node.string() : node["content"].string();
  }

  /// A list, or an object of names and tokens.
  void read_list(const JsonNode& node, TokenizerConfig& out) {
    if (node.is_null()) return;
    if (node.is_object()) {
      for (const auto& entry : node.raw().items())
        declare(entry.key(), token_in(node[entry.key()], true), out);
      return;
    }
    for (const JsonNode& entry : node.elements()) {
      DeclaredToken token = token_in(entry, true);
      if (std::find(out.additional.begin(), out.additional.end(), token.content) !=
          out.additional.end())
        continue;
      out.additional.push_back(token.content);
      declared_.push_back(std::move(token));
    }
  }

  void declare(const std::string& name, DeclaredToken token, TokenizerConfig& out) {
    out.named.emplace_back(name, token.content);
    declared_.push_back(std::move(token));
  }

  bool is_declared(const std::string& content) const {
    return std::any_of(declared_.begin(), declared_.end(), [&](const DeclaredToken& token) {
      return token.content == content && !token.by_default;
    });
  }

  void read_added(TokenizerConfig& out) {
    const JsonNode decoder = root()["added_tokens_decoder"];
    if (!decoder.is_null()) {
      if (!decoder.is_object()) decoder.fail("is not an object");
      for (const auto& entry : decoder.raw().items()) {
        const JsonNode node = decoder[entry.key()];
        DeclaredToken token = token_in(node, false);
        token.special = token.special || is_declared(token.content);
        token.id = id_in(entry.key(), node);
        out.tokens.push_back(std::move(token));
      }
    } else if (const Json added = read("added_tokens.json"); !added.is_null()) {
      const JsonNode node(added, added_file_);
      for (const auto& entry : added.items()) {
        DeclaredToken token;
        token.content = entry.key();
        token.where = node[entry.key()].where();
        if (token.content.empty()) node.fail("has an empty token");
        token.id = static_cast<u32>(node[entry.key()].size_below(max_token_id));
        token.special = is_declared(token.content);
        token.normalized = !token.special;
        out.tokens.push_back(std::move(token));
      }
    }
    std::stable_sort(out.tokens.begin(), out.tokens.end(),
                     [](const auto& left, const auto& right) { return left.id < right.id; });
  }

  static u32 id_in(const std::string& text, const JsonNode& node) {
    u32 id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size() || id >= max_token_id)
      node.fail(fmt::format("has an id that is not a whole number below {}", max_token_id));
    return id;
  }

  void add_named(TokenizerConfig& out) const {
    for (const DeclaredToken& token : declared_) {
      const bool known = std::any_of(out.tokens.begin(), out.tokens.end(), [&](const auto& other) {
        return other.content == token.content;
      });
      if (!known) out.tokens.push_back(token);
    }
  }

  const TextFiles& files_;
  std::string config_file_, map_file_, added_file_;
  Json config_json_, map_json_;
  bool has_config_ = false;
  std::vector<DeclaredToken> declared_; // the named and the additional ones
};

} // namespace

TokenizerConfig TokenizerConfig::load(const std::filesystem::path& model_dir) {
  return load(model_texts(model_dir));
}

TokenizerConfig TokenizerConfig::load(const TextFiles& files) {
  return Reader(files).run();
}

std::optional<std::string> TokenizerConfig::text_of(const std::string& name) const {
  for (const auto& [key, text] : named) {
    if (key == name) return text;
  }
  return std::nullopt;
}

} // namespace talaria::model
