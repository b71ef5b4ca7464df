// Tokens and flags that stand beside tokenizer.json. The expected cuts are those of the library's
// own add_tokens (its Node package 0.23), the order of files that of transformers 4.45 and later.
#include "model/tokenizer_config.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "model/chat_template.hpp"
#include "model/tokenizer.hpp"
#include "tests/model/model_folder.hpp"

using namespace talaria;
using namespace talaria::model;
using talaria::test::check_error;
using talaria::test::TemporaryFolder;
using Json = nlohmann::json;
using Ids = std::vector<u32>;

BOOST_AUTO_TEST_SUITE(tokenizer_config)

namespace {

Json read_json(const std::string& path) {
  std::ifstream file(TALARIA_SOURCE_DIR + path);
  return Json::parse(file);
}

/// A folder with talaria-tiny's tokenizer, to be changed.
class Folder {
public:
  Folder()
      : tokenizer(read_json("/models/talaria-tiny/tokenizer.json")),
        config({{"tokenizer_class", "PreTrainedTokenizerFast"}}) {}

  Tokenizer load() const {
    write();
    return Tokenizer::load(folder_.path());
  }
  void write() const {
    folder_.write("tokenizer.json", tokenizer.dump());
    folder_.write("tokenizer_config.json", config.dump());
    if (!special_map.is_null()) folder_.write("special_tokens_map.json", special_map.dump());
    if (!added.is_null()) folder_.write("added_tokens.json", added.dump());
  }
  /// Takes the turn markers out of added_tokens of tokenizer.json.
  void drop_markers() {
    Json kept = Json::array();
    for (const Json& token : tokenizer["added_tokens"])
      if (token["id"] < 4094) kept.push_back(token);
    tokenizer["added_tokens"] = kept;
  }
  std::string render(const std::string& text) {
    config["chat_template"] = text;
    write();
    return ChatTemplate::load(folder_.path())->render({{"user", "x"}}, true);
  }
  const std::filesystem::path& path() const { return folder_.path(); }

  Json tokenizer, config, special_map, added;

private:
  TemporaryFolder folder_;
};

Json declared(const std::string& content, bool special = true, const Json& flags = Json::object()) {
  Json out = {{"content", content}, {"special", special}, {"normalized", false},
              {"lstrip", false},    {"rstrip", false},    {"single_word", false}};
  out.update(flags);
  return out;
}

std::vector<std::string> cut(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::string> out;
  for (const u32 id : tokenizer.encode(text, false)) out.emplace_back(tokenizer.token(id));
  return out;
}

using Texts = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(tokens_of_added_tokens_decoder_are_added) {
  Folder folder;
  folder.drop_markers();
  BOOST_TEST(folder.load().encode("<|im_start|>hi", false).size() > 5u);
  folder.config["added_tokens_decoder"] = {{"4094", declared("<|im_start|>")},
                                           {"4095", declared("<|im_end|>")}};
  const Tokenizer tokenizer = folder.load();
  BOOST_TEST(tokenizer.encode("<|im_start|>", false) == (Ids{4094}),
             boost::test_tools::per_element());
  BOOST_TEST(tokenizer.encode("<|im_end|>", false) == (Ids{4095}),
             boost::test_tools::per_element());
  BOOST_TEST(tokenizer.is_special(4094));
  BOOST_TEST(tokenizer.vocab_size() == 4096u);

  Folder in_vocabulary; // the tokens are ordinary entries of the vocabulary
  in_vocabulary.drop_markers();
  in_vocabulary.tokenizer["model"]["vocab"].update({{"<|im_start|>", 4094}, {"<|im_end|>", 4095}});
  in_vocabulary.config["added_tokens_decoder"] = folder.config["added_tokens_decoder"];
  BOOST_TEST(in_vocabulary.load().encode("<|im_start|>", false) == (Ids{4094}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(flags_of_added_tokens_decoder_count) {
  Folder folder;
  const auto with = [&](const Json& flags, bool special) {
    folder.config["added_tokens_decoder"] = {{"4095", declared("<|im_end|>", special, flags)}};
    return folder.load();
  };
  const std::string text = "a  <|im_end|>  b";
  BOOST_TEST(cut(with({{"lstrip", true}, {"rstrip", true}}, true), text) ==
                 (Texts{"a", "<|im_end|>", "b"}),
             boost::test_tools::per_element());
  BOOST_TEST(cut(with({{"rstrip", true}}, false), text) == (Texts{"a", "ĠĠ", "<|im_end|>", "b"}),
             boost::test_tools::per_element());
  BOOST_TEST(with(Json::object(), false).is_special(4095)); // once special, special for good
  BOOST_TEST((cut(with({{"single_word", true}}, true), "a<|im_end|>") != Texts{"a", "<|im_end|>"}));
}

BOOST_AUTO_TEST_CASE(named_and_additional_tokens_are_added_where_nothing_else_has_them) {
  Folder folder;
  folder.drop_markers();
  folder.config["eos_token"] = "<|im_end|>";
  folder.config["pad_token"] = {{"__type", "AddedToken"}, {"content", "<pad>"}, {"rstrip", true}};
  folder.config["additional_special_tokens"] = {"<|im_start|>", "<extra>"};
  folder.config["extra_special_tokens"] = {{"image_token", "<image>"}};
  folder.tokenizer["model"]["vocab"]["<|im_start|>"] = 4094;
  const Tokenizer tokenizer = folder.load();
  // The vocabulary's id, then the next ones in the order of the names.
  BOOST_TEST(tokenizer.token_id("<|im_start|>").value() == 4094u);
  BOOST_TEST(tokenizer.token_id("<|im_end|>").value() == 4095u);
  BOOST_TEST(tokenizer.token_id("<pad>").value() == 4096u);
  BOOST_TEST(tokenizer.token_id("<extra>").value() == 4097u);
  BOOST_TEST(tokenizer.token_id("<image>").value() == 4098u);
  BOOST_TEST(tokenizer.is_special(4098));
  BOOST_TEST(cut(tokenizer, "<pad>  a") == (Texts{"<pad>", "a"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_special_tokens_map_counts_only_without_added_tokens_decoder) {
  Folder folder;
  folder.special_map = {{"bos_token", {{"content", "<|begin_of_text|>"}, {"lstrip", false}}},
                        {"additional_special_tokens", {"<map>"}}};
  folder.config["bos_token"] = "<|end_of_text|>";
  BOOST_TEST(folder.load().token_id("<map>").has_value());
  BOOST_TEST(folder.render("{{ bos_token }}") == "<|begin_of_text|>");
  folder.config.erase("bos_token"); // an older folder
  BOOST_TEST(folder.render("{{ bos_token }}{{ additional_special_tokens }}") ==
             "<|begin_of_text|>['<map>']");
  folder.config["added_tokens_decoder"] = {{"4095", declared("<|im_end|>")}};
  BOOST_TEST(!folder.load().token_id("<map>").has_value());
  BOOST_TEST(folder.render("{{ bos_token }}") == "");
}

BOOST_AUTO_TEST_CASE(added_tokens_json_of_older_folders_is_read) {
  Folder folder;
  folder.drop_markers();
  folder.config["eos_token"] = "<|im_end|>";
  folder.added = {{"<|im_start|>", 4094}, {"<|im_end|>", 4095}};
  const Tokenizer tokenizer = folder.load();
  BOOST_TEST(tokenizer.encode("<|im_start|><|im_end|>", false) == (Ids{4094, 4095}),
             boost::test_tools::per_element());
  BOOST_TEST(tokenizer.is_special(4095));
  BOOST_TEST(!tokenizer.is_special(4094));
}

BOOST_AUTO_TEST_CASE(classes_that_build_their_post_processor_follow_the_flags) {
  Folder folder;
  folder.config["bos_token"] = "<|begin_of_text|>";
  folder.config["eos_token"] = "<|im_end|>";
  const auto around = [&](const std::string& name, const Json& bos, const Json& eos) {
    folder.config["tokenizer_class"] = name;
    folder.config["add_bos_token"] = bos;
    folder.config["add_eos_token"] = eos;
    return folder.load().encode("", true);
  };
  const auto check = [&](const Ids& ids, const Ids& expected) {
    BOOST_TEST(ids == expected, boost::test_tools::per_element());
  };
  for (const char* name : {"LlamaTokenizerFast", "LlamaTokenizer", "CodeLlamaTokenizerFast"}) {
    check(around(name, true, nullptr), {4092});
    check(around(name, nullptr, nullptr), {4092});
    check(around(name, false, false), {});
    check(around(name, true, true), {4092, 4095});
    check(around(name, false, true), {4095});
  }
  // tokenizer.json has BOS in its template; this class leaves that alone.
  for (const char* name : {"PreTrainedTokenizerFast", "Qwen2Tokenizer", "SomethingElse"})
    check(around(name, false, true), {4092});
  // The layout of the DeepSeek-R1 distills.
  folder.tokenizer["post_processor"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}};
  check(around("LlamaTokenizerFast", true, false), {4092});
  check(around("PreTrainedTokenizerFast", true, false), {});

  folder.config.erase("bos_token");
  check_error([&] { around("LlamaTokenizer", true, false); }, Errc::model,
              {"tokenizer_config.json: add_bos_token", "bos_token"});
}

BOOST_AUTO_TEST_CASE(a_byte_level_step_alone_gets_the_blank_that_the_config_asks_for) {
  Folder folder;
  folder.tokenizer["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", true}};
  BOOST_TEST(cut(folder.load(), "the") == (Texts{"the"}), boost::test_tools::per_element());
  folder.config["add_prefix_space"] = true;
  BOOST_TEST(cut(folder.load(), "the") == (Texts{"Ġthe"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(berts_classes_set_its_normalizer) {
  Folder folder;
  folder.tokenizer = read_json("/tests/golden/token_model_vectors.json")["tokenizers"][0]["whole"];
  const auto text_of = [&](const std::string& text) {
    const Tokenizer tokenizer = folder.load();
    return tokenizer.decode(tokenizer.encode(text, false), false);
  };
  folder.config["do_lower_case"] = false; // another class: tokenizer.json counts
  BOOST_TEST(text_of("The quick") == "the quick");
  folder.config["tokenizer_class"] = "BertTokenizer";
  BOOST_TEST(text_of("The quick") == "[UNK] quick");
  BOOST_TEST(text_of("é") == "é");
  folder.config["strip_accents"] = true;
  BOOST_TEST(text_of("é") == "e");
  folder.config.erase("do_lower_case");
  folder.config["tokenize_chinese_chars"] = false;
  folder.tokenizer["normalizer"]["lowercase"] = false;
  BOOST_TEST(text_of("The 漢") == "the 漢");
  BOOST_TEST(text_of("漢hello") == "[UNK]");
}

BOOST_AUTO_TEST_CASE(what_contradicts_itself_is_refused_by_name) {
  const auto refused = [](const std::function<void(Folder&)>& damage,
                          const std::vector<std::string>& parts) {
    Folder folder;
    damage(folder);
    check_error([&] { folder.load(); }, Errc::model, parts);
  };
  refused(
      [](Folder& f) {
        f.config["added_tokens_decoder"] = {{"4090", declared("<|im_end|>")}};
      },
      {"tokenizer_config.json: added_tokens_decoder.4090", "4095"});
  refused(
      [](Folder& f) {
        f.config["added_tokens_decoder"] = {{"300", declared("<new>")}};
      },
      {"tokenizer_config.json: added_tokens_decoder.300", "<new>"});
  refused(
      [](Folder& f) {
        f.config["added_tokens_decoder"] = {{"x", declared("<new>")}};
      },
      {"added_tokens_decoder.x"});
  refused(
      [](Folder& f) {
        f.config["added_tokens_decoder"] = {{"99999999", declared("<new>")}};
      },
      {"added_tokens_decoder.99999999"});
  refused(
      [](Folder& f) {
        f.config["added_tokens_decoder"] = {{"4096", {{"special", true}}}};
      },
      {"added_tokens_decoder.4096.content"});
  refused([](Folder& f) { f.config["added_tokens_decoder"] = 3; }, {"added_tokens_decoder"});
  refused([](Folder& f) { f.config["bos_token"] = 3; }, {"tokenizer_config.json: bos_token"});
  refused([](Folder& f) { f.config["add_bos_token"] = "yes"; }, {"add_bos_token"});
  refused([](Folder& f) { f.config["additional_special_tokens"] = "x"; },
          {"additional_special_tokens"});
  refused(
      [](Folder& f) {
        f.special_map = {{"eos_token", Json::array()}};
      },
      {"special_tokens_map.json: eos_token"});
  refused([](Folder& f) { f.added = {{"<new>", -1}}; }, {"added_tokens.json"});
  refused([](Folder& f) { f.added = Json::array(); }, {"added_tokens.json"});
}

BOOST_AUTO_TEST_CASE(a_folder_without_tokenizer_json_says_how_to_make_it) {
  for (const char* name : {"tokenizer.model", "qwen.tiktoken", "vocab.json"}) {
    const TemporaryFolder folder;
    folder.write(name, "x");
    check_error([&] { Tokenizer::load(folder.path()); }, Errc::model,
                {"tokenizer.json is missing", name, "save_pretrained"});
  }
}

BOOST_AUTO_TEST_SUITE_END()
