#include "pipeline/public_prefix.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <string>
#include <sys/stat.h>

#include "core/error.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/model_files.hpp"
#include "tests/support/models.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::pipeline {

namespace {

struct PrefixFile {
  std::filesystem::path with(const std::string& text) const {
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  std::string refusal(const std::filesystem::path& file) const {
    try {
      public_prefix(file, &tokenizer);
    } catch (const Error& error) {
      BOOST_TEST((error.code() == Errc::config));
      return error.what();
    }
    return {};
  }

  tests::TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "prefix";
  model::Tokenizer tokenizer =
      model::Tokenizer::load(model::ModelFiles(tests::kSource / "models/talaria-tiny").texts());
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(public_prefix_file, PrefixFile)

BOOST_AUTO_TEST_CASE(texts_and_lists_of_ids_are_read) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "once upon a time ";
  BOOST_TEST((public_prefix(with(text), &tokenizer) == tokenizer.encode(text, true)));
  std::string list = "[0";
  for (int i = 1; i < 64; ++i) list += ", " + std::to_string(i);
  const auto ids = public_prefix(with(list + "]\n"), &tokenizer);
  BOOST_TEST_REQUIRE(ids.size() == 64U);
  for (u32 i = 0; i < 64; ++i) BOOST_TEST(ids[i] == i);
  BOOST_TEST(public_prefix({}, nullptr).empty());
}

BOOST_AUTO_TEST_CASE(what_is_wrong_with_a_file_is_said) {
  const auto says = [](const std::string& text, const char* part) {
    return text.find("pipeline.kv.public_prefix: ") == 0 && text.find(part) != std::string::npos;
  };
  BOOST_TEST(says(refusal(path), "is no file"));
  BOOST_TEST(says(refusal(folder.path()), "is no file"));
  BOOST_TEST(says(refusal(with("short")), "none is complete"));
  BOOST_TEST(says(refusal(with("[1, 99999999]")), "no token id"));
  BOOST_TEST(says(refusal(with("[1, -1]")), "no token id"));
  BOOST_TEST(says(refusal(with("[1, \"a\"]")), "no token id"));
  BOOST_TEST(says(refusal(with(std::string((std::size_t{4} << 20) + 1, 'a'))), "4 MiB"));
  std::filesystem::remove(path);
  BOOST_TEST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  BOOST_TEST(says(refusal(path), "is no file"));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
