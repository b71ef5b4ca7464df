// Tokens that are two others put together, against looking at every place of every token.
#include "model/weights/token_parts.hpp"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <tuple>

#include "core/error.hpp"
#include "model/weights/gguf.hpp"
#include "model/weights/gguf_fields.hpp"
#include "model/weights/gguf_tokenizer.hpp"
#include "tests/model/gguf_writer.hpp"

namespace talaria::model {

namespace {

using Parts = std::vector<std::tuple<std::string, std::string>>;

Parts by_looking_everywhere(const std::vector<std::string>& texts, const std::string& text) {
  const std::set<std::string> all(texts.begin(), texts.end());
  Parts parts;
  for (std::size_t at = 1; at < text.size(); ++at)
    if (all.contains(text.substr(0, at)) && all.contains(text.substr(at)))
      parts.emplace_back(text.substr(0, at), text.substr(at));
  return parts;
}

void check_all_cuts(const std::vector<std::string>& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const TokenParts parts(views);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Parts found;
    for (const auto& [at, left, right] : parts.cuts(i)) {
      BOOST_TEST(texts[left].size() == at);
      found.emplace_back(texts[left], texts[right]);
    }
    BOOST_TEST((found == by_looking_everywhere(texts, texts[i])), texts[i]);
  }
}

/// The pairs that a SentencePiece vocabulary of these pieces is given.
nlohmann::json merges_of(const std::vector<std::string>& pieces) {
  using test::GgufWriter;
  std::vector<std::string> tokens{"<unk>"};
  tokens.insert(tokens.end(), pieces.begin(), pieces.end());
  std::vector<i32> types(tokens.size(), 1);
  types[0] = 2;
  GgufWriter file;
  file.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", tokens);
  file.list<i32>("tokenizer.ggml.token_type", GgufWriter::kI32, types);
  file.list<float>("tokenizer.ggml.scores", GgufWriter::kF32,
                   std::vector<float>(tokens.size(), -1));
  file.boolean("tokenizer.ggml.add_bos_token", false);
  const std::string bytes = file.file();
  const GgufHeader header = parse_gguf_header(
      std::span<const u8>(reinterpret_cast<const u8*>(bytes.data()), bytes.size()), "sp.gguf");
  const GgufTokenizer texts = gguf_tokenizer(GgufFields(header.metadata, "sp.gguf"));
  return nlohmann::json::parse(texts.tokenizer).at("model").at("merges");
}

} // namespace

BOOST_AUTO_TEST_SUITE(token_parts)

BOOST_AUTO_TEST_CASE(every_cut_of_every_token_is_found) {
  check_all_cuts({});
  check_all_cuts({"a"});
  check_all_cuts({"a", "aa", "aaa", "aaaa", "aaaaa"});
  check_all_cuts({"ab", "a", "b", "aba", "ba", "abab"});
  check_all_cuts({"\xff", "\x01", "\x01\xff", "\xff\x01", "\xff\xff"});
  std::mt19937 random(20240601);
  for (int round = 0; round < 200; ++round) {
    std::set<std::string> texts;
    const std::size_t count = 1 + random() % 60;
    while (texts.size() < count) {
      std::string text(1 + random() % 7, 'a');
      for (char& c : text) c = static_cast<char>('a' + random() % 2);
      texts.insert(text);
    }
    check_all_cuts({texts.begin(), texts.end()});
  }
}

// Looking at each place of it would read the token a million times.
BOOST_AUTO_TEST_CASE(a_token_of_a_megabyte_takes_no_more_than_its_bytes) {
  std::string text;
  while (text.size() < 1'000'000) text += "ab";
  std::string rest = text.substr(1);
  const auto merges = merges_of({"a", "b", "ab", text, rest});
  BOOST_TEST(merges.size() == 2U);
  BOOST_TEST(
      (merges.at(0) == nlohmann::json({"a", rest}) || merges.at(1) == nlohmann::json({"a", rest})));
}

BOOST_AUTO_TEST_CASE(tokens_that_are_made_of_too_many_others_are_refused) {
  std::vector<std::string> pieces;
  for (std::size_t length = 1; length <= 1000; ++length) pieces.emplace_back(length, 'a');
  BOOST_CHECK_EXCEPTION(merges_of(pieces), Error, [](const Error& error) {
    return error.code() == Errc::model &&
           std::string(error.what()).find("tokenizer.ggml.tokens") != std::string::npos;
  });
  pieces.resize(100);
  BOOST_TEST(merges_of(pieces).size() == 99U * 100 / 2);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::model
