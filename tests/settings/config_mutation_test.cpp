#include <boost/test/unit_test.hpp>

#include <array>
#include <random>
#include <string>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using tests::ConfigFolder;
using tests::kFullPipeline;

namespace {

constexpr std::array<std::string_view, 24> kSnippets{
    ":",    ": ",  "- ",     "? ",  "{",    "}",     "[",         "]",
    "&a ",  "*a ", "!!int ", "|\n", ">-\n", "---\n", "...\n",     "%YAML 1.2\n",
    "<<: ", "\"",  "'",      "#",   "\t",   "\n  ",  "workers: ", "18446744073709551616"};

/// One to four random edits: a byte changed, a stretch removed, repeated or moved, YAML's own marks
/// put in.
std::string mutated(std::string text, std::mt19937_64& random) {
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  for (std::size_t edits = 1 + below(4); edits > 0 && !text.empty(); --edits) {
    const std::size_t at = below(text.size());
    const std::size_t length = 1 + below(40);
    switch (below(5)) {
    case 0:
      text[at] = static_cast<char>(below(256));
      break;
    case 1:
      text.erase(at, length);
      break;
    case 2:
      text.insert(at, text.substr(below(text.size()), length));
      break;
    case 3:
      text.insert(at, kSnippets[below(kSnippets.size())]);
      break;
    default:
      text.resize(at);
      break;
    }
  }
  return text;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(a_mutated_file_is_read_or_refused_with_a_config_error, ConfigFolder) {
  std::mt19937_64 random(20240607);
  int accepted = 0;
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string yaml = mutated(std::string(kFullPipeline), random);
    try {
      parse(yaml);
      ++accepted;
    } catch (const Error& error) {
      ++refused;
      BOOST_TEST((error.code() == Errc::config), error.what());
      BOOST_TEST(std::string_view(error.what()).starts_with(file().string() + ":"), error.what());
    } catch (const std::exception& other) {
      BOOST_ERROR("mutation " << i << " escaped as " << other.what() << "\n" << yaml);
    }
  }
  BOOST_TEST(accepted > 20);
  BOOST_TEST(refused > 1000);
}
