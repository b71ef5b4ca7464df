#include "pipeline/text_stream.hpp"

#include <boost/test/unit_test.hpp>

namespace talaria::pipeline {

namespace {

const model::Tokenizer& tokenizer() {
  static const auto loaded = model::Tokenizer::load(TALARIA_SOURCE_DIR "/models/talaria-tiny");
  return loaded;
}

struct Streamed {
  std::string text;
  bool stopped = false;
  bool shown_is_prefix = true; ///< what was shown never had to be taken back
};

Streamed stream(const std::string& text, const std::vector<std::string>& stops) {
  TextStream out(tokenizer(), stops);
  Streamed result;
  for (const u32 id : tokenizer().encode(text, false)) {
    result.text += out.push(id);
    result.shown_is_prefix &= text.starts_with(result.text);
    if (out.stopped()) break;
  }
  result.text += out.finish();
  result.stopped = out.stopped();
  return result;
}

} // namespace

BOOST_AUTO_TEST_CASE(text_without_stop_strings_arrives_whole) {
  for (const std::string text :
       {"", "plain", "naïve café, 日本語 and 🙂🙂", "a\n\nb  c"}) {
    const auto out = stream(text, {});
    BOOST_TEST(out.text == text);
    BOOST_TEST(!out.stopped);
    BOOST_TEST(out.shown_is_prefix);
  }
}

BOOST_AUTO_TEST_CASE(the_answer_ends_before_the_first_stop_string_wherever_tokens_are_cut) {
  const std::string text = "In the beginning was the word, and the word was with the others.";
  for (std::size_t begin = 0; begin < text.size(); ++begin)
    for (const std::size_t length : {1U, 2U, 5U, 11U}) {
      if (begin + length > text.size()) continue;
      const std::string stop = text.substr(begin, length);
      const auto out = stream(text, {"absent", stop});
      BOOST_TEST(out.text == text.substr(0, text.find(stop)));
      BOOST_TEST(out.stopped);
      BOOST_TEST(out.shown_is_prefix);
    }
}

BOOST_AUTO_TEST_CASE(the_beginning_of_a_stop_string_is_held_back_and_given_out_at_the_end) {
  TextStream out(tokenizer(), {"lazy cat"});
  std::string shown;
  for (const u32 id : tokenizer().encode("the lazy ca", false)) shown += out.push(id);
  BOOST_TEST(shown == "the ");
  BOOST_TEST(out.finish() == "lazy ca");
}

BOOST_AUTO_TEST_CASE(empty_stop_strings_mean_nothing) {
  const auto out = stream("words", {""});
  BOOST_TEST(out.text == "words");
  BOOST_TEST(!out.stopped);
}

BOOST_AUTO_TEST_CASE(without_a_tokenizer_there_is_no_text) {
  TextStream out;
  BOOST_TEST(out.push(5).empty());
  BOOST_TEST(!out.stopped());
  BOOST_TEST(out.finish().empty());
}

} // namespace talaria::pipeline
