#include "model/tokenizer.hpp"

#include <fstream>
#include <random>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "model/tokenization/pre_tokenizer.hpp"
#include "model/utf8.hpp"

using namespace talaria;
using namespace talaria::model;
using Json = nlohmann::json;
using Ids = std::vector<u32>;
namespace bdata = boost::unit_test::data;

namespace {

const std::string source_dir = TALARIA_SOURCE_DIR;

Json read_json(const std::string& path) {
  std::ifstream file(source_dir + path);
  BOOST_TEST_REQUIRE(file.good(), path);
  return Json::parse(file);
}

const Json& vectors() {
  static const Json all = read_json("/tests/data/references/tokenizer_vectors.json");
  return all;
}

const Json& tiny_json() {
  static const Json all = read_json("/models/talaria-tiny/tokenizer.json");
  return all;
}

std::string from_hex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return out;
}

std::string streamed(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string out;
  for (const u32 id : ids) {
    const std::string piece = decoder.push(id);
    BOOST_TEST(!find_invalid_utf8(piece));
    out += piece;
  }
  return out + decoder.finish();
}

/// A tokenizer.json that works, to be damaged: SentencePiece style with byte fallback.
Json sentence_piece() {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) {
    std::array<char, 8> name{};
    std::snprintf(name.data(), name.size(), "<0x%02X>", byte);
    vocab[name.data()] = 3 + byte;
  }
  int next = 259;
  for (const char* token : {"▁", "h", "e", "l", "o", "he", "ll", "hell", "hello", "▁hello", "▁h"})
    vocab[token] = next++;
  return {{"added_tokens",
           {{{"id", 0}, {"content", "<unk>"}, {"special", true}, {"normalized", false}},
            {{"id", 1}, {"content", "<s>"}, {"special", true}, {"normalized", false}},
            {{"id", 2}, {"content", "</s>"}, {"special", true}, {"normalized", false}}}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", "▁"}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}}},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", {"h e", "l l", "he ll", "hell o", "▁ hello", "▁ h"}}}}};
}

Tokenizer parse(const Json& json) {
  return Tokenizer::parse(json.dump(), "tokenizer.json");
}

std::vector<std::string> split(const Json& pre_tokenizer, const std::string& text) {
  const auto cutter = parse_pre_tokenizer(JsonNode(pre_tokenizer, "test"));
  std::vector<std::string> out;
  for (const Piece& piece : cutter->apply({{text, true}})) out.push_back(piece.text);
  return out;
}

const char* const model_dirs[] = {"/models/talaria-tiny", "/tests/data/conformance/llama3",
                                  "/tests/data/conformance/mistral",
                                  "/tests/data/conformance/qwen2", "/tests/data/conformance/qwen3"};

} // namespace

BOOST_DATA_TEST_CASE(shipped_tokenizers_reproduce_the_reference_ids, bdata::make(model_dirs), dir) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + dir);
  BOOST_TEST(tokenizer.vocab_size() == 4096u);
  for (const Json& one : vectors()["encode"]) {
    const std::string text = from_hex(one["utf8_hex"]);
    const Ids expected = one["ids"];
    BOOST_TEST_CONTEXT(one["text"].dump()) {
      BOOST_TEST(tokenizer.encode(text, false) == expected, boost::test_tools::per_element());
      Ids with_bos = expected;
      with_bos.insert(with_bos.begin(), vectors()["bos"].get<u32>());
      BOOST_TEST(tokenizer.encode(text, true) == with_bos, boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(reference_ids_decode_to_the_reference_text) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  for (const Json& one : vectors()["encode"]) {
    const Ids ids = one["ids"];
    BOOST_TEST(tokenizer.decode(ids, false) == one["decoded"].get<std::string>());
    BOOST_TEST(tokenizer.decode(ids, true) == one["decoded_skip_special"].get<std::string>());
    BOOST_TEST(tokenizer.decode_bytes(ids, false) == from_hex(one["utf8_hex"]));
  }
  for (const Json& one : vectors()["decode"]) {
    const Ids ids = one["ids"];
    BOOST_TEST(tokenizer.decode_bytes(ids, false) == from_hex(one["bytes_hex"]));
    BOOST_TEST(tokenizer.decode(ids, false) == one["text"].get<std::string>());
    BOOST_TEST(tokenizer.decode(ids, true) == one["text_skip_special"].get<std::string>());
  }
}

BOOST_AUTO_TEST_CASE(reference_texts_are_cut_into_the_reference_pieces) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  const Json llama3 = tiny_json()["pre_tokenizer"]["pretokenizers"][0];
  for (const Json& one : vectors()["encode"]) {
    const auto pieces = one["pieces"].get<std::vector<std::string>>();
    const std::string text = from_hex(one["utf8_hex"]);
    if (text.find("<|") == std::string::npos)
      BOOST_TEST(split(llama3, text) == pieces, boost::test_tools::per_element());
    Ids ids;
    for (const std::string& piece : pieces) {
      const Ids some = tokenizer.encode(piece, false);
      ids.insert(ids.end(), some.begin(), some.end());
    }
    BOOST_TEST(ids == one["ids"].get<Ids>(), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_streamed_text_equals_the_decoded_one) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  for (const char* list : {"encode", "decode"}) {
    for (const Json& one : vectors()[list]) {
      const Ids ids = one["ids"];
      for (const bool skip : {false, true})
        BOOST_TEST(streamed(tokenizer, ids, skip) == tokenizer.decode(ids, skip));
    }
  }
}

BOOST_AUTO_TEST_CASE(tokenizers_of_many_shapes_agree_with_the_tokenizers_library) {
  const Json golden = read_json("/tests/golden/tokenizer_vectors.json");
  BOOST_TEST_REQUIRE(golden["tokenizers"].size() > 30u);
  for (const Json& one : golden["tokenizers"]) {
    Json json = one["base"] == "talaria-tiny" ? tiny_json() : golden["sentence-piece"];
    json.update(one["fields"]);
    const Tokenizer tokenizer = parse(json);
    BOOST_TEST_CONTEXT(one["name"]) {
      for (std::size_t i = 0; i < golden["texts"].size(); ++i) {
        BOOST_TEST_CONTEXT(golden["texts"][i].dump())
        BOOST_TEST(tokenizer.encode(golden["texts"][i].get<std::string>(), true) ==
                       one["encoded"][i].get<Ids>(),
                   boost::test_tools::per_element());
      }
      for (std::size_t i = 0; i < one["ids"].size(); ++i) {
        const Ids ids = one["ids"][i];
        BOOST_TEST(tokenizer.decode(ids, true) == one["decoded"][i].get<std::string>());
        for (const bool skip : {false, true})
          BOOST_TEST(streamed(tokenizer, ids, skip) == tokenizer.decode(ids, skip));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(unigram_and_word_piece_agree_with_the_tokenizers_library) {
  const Json golden = read_json("/tests/golden/token_model_vectors.json");
  BOOST_TEST_REQUIRE(golden["tokenizers"].size() > 20u);
  for (const Json& one : golden["tokenizers"]) BOOST_TEST_CONTEXT(one["name"]) {
      const Tokenizer tokenizer = parse(one["whole"]);
      for (std::size_t i = 0; i < golden["texts"].size(); ++i) {
        BOOST_TEST_CONTEXT(golden["texts"][i].dump())
        BOOST_TEST(tokenizer.encode(golden["texts"][i].get<std::string>(), true) ==
                       one["encoded"][i].get<Ids>(),
                   boost::test_tools::per_element());
      }
      for (std::size_t i = 0; i < one["ids"].size(); ++i) {
        const Ids ids = one["ids"][i];
        BOOST_TEST(tokenizer.decode(ids, true) == one["decoded"][i].get<std::string>());
        BOOST_TEST(streamed(tokenizer, ids, true) == tokenizer.decode(ids, true));
      }
    }
}

// What a user wrote becomes no token that is kept back, and is no shorter for that.
BOOST_AUTO_TEST_CASE(unigram_and_word_piece_keep_tokens_from_users) {
  const Json golden = read_json("/tests/golden/token_model_vectors.json");
  for (const Json& one : golden["tokenizers"]) BOOST_TEST_CONTEXT(one["name"]) {
      Json json = one["whole"];
      json["added_tokens"] = Json::array();
      const Tokenizer tokenizer = parse(json);
      const auto kept_back = tokenizer.token_id(json["model"].contains("unk_id") ? "ab" : "the");
      BOOST_TEST_REQUIRE(kept_back.has_value());
      OriginLimits limits(tokenizer.vocab_size(), Origin::input);
      limits[*kept_back] = Origin::author;
      for (const std::string text : {"the ab aab", "ab", "The ababab"}) {
        const Ids ids = tokenizer.encode(MarkedText(text, Origin::input), limits);
        BOOST_TEST(std::count(ids.begin(), ids.end(), *kept_back) == 0);
        BOOST_TEST(!ids.empty());
      }
    }
}

BOOST_AUTO_TEST_CASE(gpt2_and_qwen2_cut_where_they_should) {
  const Json gpt2 = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  BOOST_TEST(
      split(gpt2, "Hello world's 123  x\n\n y!") ==
          (std::vector<std::string>{"Hello", "Ġworld", "'s", "Ġ123", "Ġ", "Ġx", "ĊĊ", "Ġy", "!"}),
      boost::test_tools::per_element());
  const Json qwen2 = {{"type", "Split"},
                      {"behavior", "Isolated"},
                      {"invert", false},
                      {"pattern",
                       {{"Regex", R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                                  R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}}}};
  BOOST_TEST(
      split(qwen2, "It'S 12 (ab)!?\n  x") ==
          (std::vector<std::string>{"It", "'S", " ", "1", "2", " (", "ab", ")!?\n", " ", " x"}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(white_space_is_what_unicode_says_it_is) {
  const Json words = {
      {"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", R"(\s|[^\S]|[\S]+)"}}}};
  // U+180E is not white space, U+0085 and U+3000 are.
  BOOST_TEST(split(words, "a\u180Eb\u0085c\u3000d") ==
                 (std::vector<std::string>{"a\u180Eb", "\u0085", "c", "\u3000", "d"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(byte_fallback_and_prefix_by_hand) {
  const Tokenizer tokenizer = parse(sentence_piece());
  // ▁ h e l l o: he, ll, hell, hello, then ▁hello.
  BOOST_TEST(tokenizer.encode("hello", false) == (Ids{268}), boost::test_tools::per_element());
  // é has no token: C3 A9; the space becomes ▁.
  BOOST_TEST(tokenizer.encode("hello é", true) == (Ids{1, 268, 259, 3 + 0xC3, 3 + 0xA9}),
             boost::test_tools::per_element());
  BOOST_TEST(tokenizer.encode("</s>", false) == (Ids{2}), boost::test_tools::per_element());
  BOOST_TEST(tokenizer.decode(Ids{268, 259, 3 + 0xC3, 3 + 0xA9}, false) == "hello é");
  BOOST_TEST(tokenizer.decode(Ids{1, 268, 268}, true) == "hello hello");
  BOOST_TEST(tokenizer.decode(Ids{1, 268}, false) == "<s> hello");
  BOOST_TEST(tokenizer.decode_bytes(Ids{3 + 0xC3}, false) == "\xC3");
  BOOST_TEST(streamed(tokenizer, {1, 268, 259, 3 + 0xC3, 3 + 0xA9, 3 + 0xC3}, true) ==
             "hello é\uFFFD");
  BOOST_TEST(tokenizer.encode("", false).empty());
}

BOOST_AUTO_TEST_CASE(any_valid_text_survives_a_byte_level_round_trip) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random() % 60, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (round % 2 == 0 ? 256 : 128));
    const std::string text = replace_invalid_utf8(bytes);
    BOOST_TEST_REQUIRE(!find_invalid_utf8(text));
    const Ids ids = tokenizer.encode(text, false);
    BOOST_TEST(tokenizer.decode_bytes(ids, false) == text);
    BOOST_TEST(streamed(tokenizer, ids, false) == text);
  }
}

// Would take hours if merging were quadratic.
BOOST_AUTO_TEST_CASE(a_word_of_a_megabyte_is_encoded) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  for (const char* unit : {"ab", "a", " ", "\n", "é", "the", "!"}) {
    std::string word;
    while (word.size() < (1 << 20)) word += unit;
    const Ids ids = tokenizer.encode(word, false);
    BOOST_TEST((tokenizer.decode_bytes(ids, false) == word));
    BOOST_TEST(ids.size() <= word.size());
  }
}

BOOST_AUTO_TEST_CASE(ill_formed_utf8_is_found_and_replaced_as_unicode_recommends) {
  const struct {
    std::string bytes, replaced;
    std::optional<std::size_t> at;
  } cases[] = {{"abc", "abc", std::nullopt},
               {"a\x80z", "a\uFFFDz", 1},
               {"\xC0\xAF", "\uFFFD\uFFFD", 0},
               {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD", 0},
               {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD", 0},
               {"\xF0\x9F\x98", "\uFFFD", 0},
               {"\xF0\x9F\x98x", "\uFFFDx", 0},
               {"\xE2\x82\xE2\x82\xAC", "\uFFFD€", 0},
               {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD", 0},
               {"€\xFF", "€\uFFFD", 3},
               {"\xF4\x8F\xBF\xBF", "\U0010FFFF", std::nullopt}};
  for (const auto& one : cases) {
    BOOST_TEST(replace_invalid_utf8(one.bytes) == one.replaced);
    BOOST_TEST((find_invalid_utf8(one.bytes) == one.at));
  }
}

BOOST_AUTO_TEST_CASE(text_that_is_not_utf8_is_refused_with_its_offset) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  BOOST_CHECK_EXCEPTION(tokenizer.encode("ab\xFFz", false), Error, [](const Error& error) {
    return error.code() == Errc::usage &&
           std::string(error.what()).find("byte 2") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(an_id_beyond_the_tokens_decodes_to_nothing) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  const Ids ids = {4096, 4095, 5000, 300, ~u32{0}};
  for (const bool skip_special : {false, true}) {
    const std::string text = tokenizer.decode(Ids{4095, 300}, skip_special);
    BOOST_TEST(tokenizer.decode(ids, skip_special) == text);
    BOOST_TEST(streamed(tokenizer, ids, skip_special) == text);
  }
  BOOST_TEST(parse(sentence_piece()).decode(Ids{999, 268, 999, 268}, false) == "hello hello");
}

BOOST_AUTO_TEST_CASE(encoding_ends_where_there_are_more_ids_than_asked_for) {
  for (const char* dir : {"/models/talaria-tiny", "/tests/data/conformance/qwen3"}) {
    const Tokenizer tokenizer = Tokenizer::load(source_dir + dir);
    for (const char* unit : {"ab", "a1", " ", "the ", "é", "<|im_end|>", "一"}) {
      std::string text;
      while (text.size() < 2000) text += unit;
      const Ids ids = tokenizer.encode(text, true);
      BOOST_TEST(tokenizer.encode(text, true, ids.size()) == ids, boost::test_tools::per_element());
      for (const std::size_t most : {ids.size() - 1, ids.size() / 2, std::size_t{0}})
        BOOST_CHECK_THROW(tokenizer.encode(text, true, most), TextTooLong);
    }
    BOOST_TEST(tokenizer.encode("", false, 0).empty());
  }
}

// A gigabyte of memory and half a minute, if it were encoded before its length is looked at.
BOOST_AUTO_TEST_CASE(a_text_far_too_long_is_refused_before_any_work) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  std::string invalid(std::size_t{64} << 20, '\xFF'); // nobody even looked at its characters
  BOOST_CHECK_THROW(tokenizer.encode(invalid, true, 8192), TextTooLong);
  // One piece, which no pre-tokenizer cuts.
  BOOST_CHECK_THROW(parse(sentence_piece()).encode(std::string(1 << 22, 'h'), true, 8192),
                    TextTooLong);
}

BOOST_AUTO_TEST_CASE(bounds_hold_only_where_no_text_is_left_out) {
  Json dropping = sentence_piece();
  dropping["model"]["byte_fallback"] = false; // unknown characters become one <unk>
  BOOST_TEST(parse(dropping).encode(std::string(100'000, 'Z'), false, 2).size() <= 2U);
  Json removing = sentence_piece();
  removing["pre_tokenizer"] = {{"type", "Split"},
                               {"pattern", {{"String", "Z"}}},
                               {"behavior", "Removed"},
                               {"invert", false}};
  BOOST_TEST(parse(removing).encode(std::string(100'000, 'Z'), false, 2).size() <= 2U);
  Json swallowing = sentence_piece();
  swallowing["added_tokens"][2]["rstrip"] = true;
  BOOST_TEST(parse(swallowing).encode("</s>" + std::string(100'000, ' '), false, 1) == (Ids{2}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_decoder_whose_pattern_is_too_much_work_is_refused_when_it_is_loaded) {
  Json json = sentence_piece();
  json["model"]["vocab"][std::string(40, 'a') + "!"] = 900;
  json["decoder"] = {{"type", "Replace"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"content", "b"}};
  BOOST_CHECK_EXCEPTION(parse(json), Error, [](const Error& error) {
    return error.code() == Errc::model &&
           std::string(error.what()).find("decoder") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(tokens_are_found_by_name_and_id) {
  const Tokenizer tokenizer = Tokenizer::load(source_dir + "/models/talaria-tiny");
  BOOST_TEST(tokenizer.token_id("<|im_end|>").value() == 4095u);
  BOOST_TEST(tokenizer.token_id("Ġthe").has_value());
  BOOST_TEST(!tokenizer.token_id("no such token").has_value());
  BOOST_TEST(tokenizer.token(4094) == "<|im_start|>");
  BOOST_TEST(tokenizer.token(4096) == "");
  BOOST_TEST(tokenizer.is_special(4095));
  BOOST_TEST(!tokenizer.is_special(300));
}

BOOST_AUTO_TEST_CASE(an_id_between_the_tokens_decodes_to_nothing) {
  Json json = sentence_piece();
  json["added_tokens"].push_back({{"id", 300}, {"content", "<far>"}, {"special", false}});
  const Tokenizer tokenizer = parse(json);
  BOOST_TEST(tokenizer.vocab_size() == 301u);
  BOOST_TEST(tokenizer.token(299) == "");
  BOOST_TEST(tokenizer.decode(Ids{299, 268, 299, 300}, false) == "hello<far>");
}

namespace {

struct Damage {
  const char* name;
  const char* patch; // JSON merge patch for sentence_piece()
  const char* message;
};

std::ostream& operator<<(std::ostream& out, const Damage& damage) {
  return out << damage.name;
}

const Damage damages[] = {
    {"no merges", R"~({"model":{"merges":null}})~", "has no merges"},
    {"no vocab", R"~({"model":{"vocab":null}})~", "has no vocab"},
    {"no model", R"~({"model":null})~", "model is not an object"},
    {"WordLevel", R"~({"model":{"type":"WordLevel"}})~", "model.type is WordLevel"},
    {"Unigram without scores", R"~({"model":{"type":"Unigram"}})~", "model.vocab is not a list"},
    {"Unigram of pairs", R"~({"model":{"type":"Unigram","vocab":[["a"]]}})~", "model.vocab[0]"},
    {"Unigram's unknown", R"~({"model":{"type":"Unigram","unk_id":1,"vocab":[["a",0]]}})~",
     "model.unk_id"},
    {"WordPiece without words", R"~({"model":{"type":"WordPiece","vocab":null}})~", "has no vocab"},
    {"base64", R"~({"normalizer":{"type":"Precompiled","precompiled_charsmap":"!!"}})~", "base64"},
    {"a trie beyond the end",
     R"~({"normalizer":{"type":"Precompiled","precompiled_charsmap":"CAAAAAAA"}})~",
     "normalizer.precompiled_charsmap"},
    {"unknown half", R"~({"model":{"merges":["h e","h zz"]}})~",
     "model.merges[1] needs the token zz"},
    {"unknown whole", R"~({"model":{"merges":[["h","l"]]}})~",
     "model.merges[0] needs the token hl"},
    {"one word", R"~({"model":{"merges":["he"]}})~", "model.merges[0]"},
    {"three words", R"~({"model":{"merges":["h e l"]}})~", "model.merges[0]"},
    {"merge of three", R"~({"model":{"merges":[["h","e","l"]]}})~", "model.merges[0]"},
    {"merge of numbers", R"~({"model":{"merges":[[1,2]]}})~", "model.merges[0][0]"},
    {"merges no list", R"~({"model":{"merges":{"a":1}}})~", "model.merges is not a list"},
    {"id twice", R"~({"model":{"vocab":{"h":260,"new":260}}})~", "260"},
    {"negative id", R"~({"model":{"vocab":{"h":-1}}})~", "model.vocab.h"},
    {"huge id", R"~({"model":{"vocab":{"h":4000000000}}})~", "model.vocab.h"},
    {"dropout", R"~({"model":{"dropout":0.1}})~", "model.dropout"},
    {"suffix", R"~({"model":{"end_of_word_suffix":"</w>"}})~", "model.end_of_word_suffix"},
    {"prefix", R"~({"model":{"continuing_subword_prefix":"##"}})~", "continuing_subword_prefix"},
    {"normalizer", R"~({"normalizer":{"type":"ByteLevel"}})~", "normalizer is of type ByteL"},
    {"pre-tokenizer", R"~({"pre_tokenizer":{"type":"UnicodeScripts"}})~",
     "pre_tokenizer is of type Uni"},
    {"decoder", R"~({"decoder":{"type":"CTC"}})~", "decoder is of type CTC"},
    {"post-processor", R"~({"post_processor":{"type":"RobertaProcessing"}})~",
     "post_processor.cls is not a list"},
    {"stripped end", R"~({"decoder":{"decoders":[{"type":"Fuse"},
       {"type":"Strip","content":" ","start":0,"stop":1}]}})~",
     "decoders[1].stop"},
    {"bad pattern", R"~({"pre_tokenizer":{"type":"Split","behavior":"Isolated",
       "pattern":{"Regex":"a(b"}}})~",
     "does not compile"},
    {"word class", R"~({"pre_tokenizer":{"type":"Split","behavior":"Isolated",
       "pattern":{"Regex":"\\w+"}}})~",
     "\\w"},
    {"intersection", R"~({"pre_tokenizer":{"type":"Split","behavior":"Isolated",
       "pattern":{"Regex":"[a-z&&[^b]]"}}})~",
     "&&"},
    {"named group", R"~({"pre_tokenizer":{"type":"Split","behavior":"Isolated",
       "pattern":{"Regex":"(?<x>a)"}}})~",
     "(?<x"},
    {"behavior", R"~({"pre_tokenizer":{"type":"Split","behavior":"Odd",
       "pattern":{"String":"a"}}})~",
     "pre_tokenizer.behavior"},
    {"empty pattern", R"~({"pre_tokenizer":{"type":"Split","behavior":"Isolated",
       "pattern":{"String":""}}})~",
     "pre_tokenizer.pattern.String"},
    {"added elsewhere", R"~({"added_tokens":[{"id":5,"content":"h","special":false}]})~",
     "gives h"},
    {"added on top", R"~({"added_tokens":[{"id":262,"content":"new","special":false}]})~", "new"},
    {"added empty", R"~({"added_tokens":[{"id":900,"content":"","special":false}]})~", "content"},
    {"template without text", R"~({"post_processor":{"single":[]}})~", "Sequence A"},
    {"template with pair", R"~({"post_processor":{"single":[{"Sequence":{"id":"B"}}]}})~",
     "single[0]"},
    {"unknown special", R"~({"post_processor":{"special_tokens":{"<s>":null}}})~",
     "special_tokens"},
    {"post-processor id", R"~({"post_processor":{"special_tokens":{"<s>":{"ids":[999]}}}})~",
     "999"},
};

} // namespace

BOOST_DATA_TEST_CASE(a_damaged_file_is_refused_by_name, bdata::make(damages), damage) {
  Json json = sentence_piece();
  json.merge_patch(Json::parse(damage.patch));
  // merge_patch drops what is null: so says the file, too.
  BOOST_CHECK_EXCEPTION(parse(json), Error, [&](const Error& error) {
    const std::string message = error.what();
    BOOST_TEST_INFO(message);
    BOOST_TEST(message.find(damage.message) != std::string::npos, message);
    BOOST_TEST(message.starts_with("tokenizer.json"));
    BOOST_TEST(message.find('\n') == std::string::npos);
    return error.code() == Errc::model;
  });
}

BOOST_AUTO_TEST_CASE(what_is_no_tokenizer_file_is_refused) {
  for (const char* text : {"", "{", "[]", "null", "\xFF", "{\"model\":3}"})
    BOOST_CHECK_EXCEPTION(Tokenizer::parse(text, "tokenizer.json"), Error,
                          [](const Error& error) { return error.code() == Errc::model; });
  BOOST_CHECK_EXCEPTION(Tokenizer::load(source_dir + "/tests"), Error, [](const Error& error) {
    return error.code() == Errc::model &&
           std::string(error.what()).find("tokenizer.json") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(nested_components_end_somewhere) {
  Json nested = {{"type", "NFC"}};
  for (int i = 0; i < 100; ++i)
    nested = {{"type", "Sequence"}, {"normalizers", Json::array({std::move(nested)})}};
  Json json = sentence_piece();
  json["normalizer"] = std::move(nested);
  BOOST_CHECK_THROW(parse(json), Error);
  const std::string brackets(1'000'000, '[');
  BOOST_CHECK_THROW(Tokenizer::parse(brackets, "tokenizer.json"), Error);
  BOOST_CHECK_THROW(Tokenizer::parse(brackets + std::string(1'000'000, ']'), "tokenizer.json"),
                    Error);
}
