#include <boost/test/unit_test.hpp>

#include <memory>

#include "model/token_table.hpp"
#include "pipeline/text_stream.hpp"
#include "tests/oblivious/poison.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::tests;

BOOST_AUTO_TEST_SUITE(secrets_of_text)

BOOST_AUTO_TEST_CASE(the_text_is_found_without_a_look_at_the_token) {
  const auto tokenizer = model::Tokenizer::load(model_folder("mistral"));
  const auto ids = tokenizer.encode("Once upon a time there was", true);
  const auto table = std::make_shared<const model::TokenTable>(tokenizer, true);
  const auto text_of = [&](std::shared_ptr<const model::TokenTable> from, unsigned& leaks) {
    pipeline::TextStream stream(tokenizer, {"was"}, std::move(from));
    std::vector<u32> secret = ids;
    poison(secret);
    std::string text;
    leaks = leaks_of([&] {
      for (const u32 id : secret) text += stream.push(id);
    });
    return text + stream.finish();
  };
  unsigned leaks = 0;
  BOOST_TEST(text_of(table, leaks) == "Once upon a time there ");
  BOOST_TEST(leaks == 0u);
  BOOST_TEST(text_of(nullptr, leaks) == "Once upon a time there ");
  BOOST_TEST(leaks > 0u, "the ordinary decoder is not seen to leak");
}

BOOST_AUTO_TEST_SUITE_END()
