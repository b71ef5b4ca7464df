#include "model/token_table.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <memory>

#include "core/random.hpp"
#include "model/tokenizer.hpp"

using namespace talaria;
using namespace talaria::model;
namespace bdata = boost::unit_test::data;

namespace {

Tokenizer load(const std::string& name) {
  return Tokenizer::load(std::filesystem::path(TALARIA_SOURCE_DIR) / name);
}

std::string decode(StreamDecoder decoder, const std::vector<u32>& ids) {
  std::string text;
  for (const u32 id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

} // namespace

BOOST_AUTO_TEST_SUITE(token_table)

// First and second place in the text: the two ways a token can be decoded.
BOOST_DATA_TEST_CASE(streams_from_a_table_equal_ordinary_ones_for_every_token,
                     bdata::make({"tests/data/conformance/llama3", "tests/data/conformance/mistral",
                                  "tests/data/conformance/qwen2", "tests/data/conformance/qwen3",
                                  "models/talaria-tiny"}) *
                         bdata::make({false, true}),
                     name, skip_special) {
  const Tokenizer tokenizer = load(name);
  const auto table = std::make_shared<const TokenTable>(tokenizer, skip_special);
  for (u32 id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::vector<u32> ids{id, (id * 7 + 3) % tokenizer.vocab_size()};
    BOOST_TEST_REQUIRE(decode({tokenizer, skip_special, table}, ids) ==
                           decode({tokenizer, skip_special}, ids),
                       "token " << id);
  }
  auto rng = seeded_rng(2);
  for (int i = 0; i < 20; ++i) {
    std::vector<u32> ids(200);
    for (u32& id : ids) id = static_cast<u32>(rng.below(tokenizer.vocab_size()));
    BOOST_TEST(decode({tokenizer, skip_special, table}, ids) ==
               decode({tokenizer, skip_special}, ids));
  }
  BOOST_TEST(!table->find(tokenizer.vocab_size(), true).has_value());
  BOOST_TEST(!table->find(~0u, false).has_value());
}

BOOST_AUTO_TEST_CASE(tokens_of_any_length_are_found) {
  std::string vocab;
  for (std::size_t length : {1u, 15u, 16u, 17u, 32u, 33u, 700u})
    vocab +=
        (vocab.empty() ? "\"" : ",\"") + std::string(length, 'a') + "\":" + std::to_string(length);
  const Tokenizer tokenizer = Tokenizer::parse(R"({"model":{"type":"BPE","vocab":{)" + vocab +
                                                   R"(},"merges":[]},"added_tokens":[]})",
                                               "tokenizer.json");
  const TokenTable table(tokenizer, true);
  for (std::size_t length : {1u, 15u, 16u, 17u, 32u, 33u, 700u}) {
    const auto id = static_cast<u32>(length);
    BOOST_TEST(table.find(id, true).value() == std::string(length, 'a'));
    // Without a decoder the library puts a space between tokens.
    BOOST_TEST(table.find(id, false).value() == ' ' + std::string(length, 'a'));
    BOOST_TEST(!table.find(id + 1, true).has_value() ==
               (length != 15 && length != 16 && length != 32));
  }
}

BOOST_AUTO_TEST_SUITE_END()
