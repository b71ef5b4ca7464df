#include "export/output_folder.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <set>

#include "core/error.hpp"
#include "tests/export/read_back.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

namespace fs = std::filesystem;
using exporting::write_output;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

} // namespace

BOOST_AUTO_TEST_CASE(files_are_written_with_their_folders_and_modes) {
  const tests::TemporaryFolder folder;
  write_output(folder.path() / "a/b/", {{"x", "1\n"}, {"c/d/y.sh", "2\n", true}}, false);
  const fs::path out = folder.path() / "a/b";
  BOOST_TEST(tests::content(out / "x") == "1\n");
  BOOST_TEST(tests::content(out / "c/d/y.sh") == "2\n");
  const auto executable = [&](const char* file) {
    return (fs::status(out / file).permissions() & fs::perms::owner_exec) != fs::perms::none;
  };
  BOOST_TEST(executable("c/d/y.sh"));
  BOOST_TEST(!executable("x"));
  BOOST_TEST(names_in(folder.path() / "a") == std::set<std::string>{"b"});
}

BOOST_AUTO_TEST_CASE(an_empty_folder_is_taken) {
  const tests::TemporaryFolder folder;
  fs::create_directory(folder.path() / "out");
  write_output(folder.path() / "out", {{"x", "1"}}, false);
  BOOST_TEST(tests::content(folder.path() / "out/x") == "1");
}

BOOST_AUTO_TEST_CASE(an_earlier_export_is_replaced_as_a_whole_when_asked) {
  const tests::TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  write_output(out, {{"old", "1"}}, false);
  BOOST_CHECK_THROW(write_output(out, {{"new", "2"}}, false), Error);
  BOOST_TEST(tests::content(out / "old") == "1");
  write_output(out, {{"new", "2"}}, true);
  BOOST_TEST(names_in(out) == (std::set<std::string>{exporting::kMarkerFile, "new"}));
  BOOST_TEST(names_in(folder.path()) == std::set<std::string>{"out"});
}

BOOST_AUTO_TEST_CASE(a_folder_of_somebody_else_is_never_touched) {
  const tests::TemporaryFolder folder;
  std::ofstream(folder.path() / "thesis.txt") << "years";
  for (const bool replace : {false, true})
    BOOST_CHECK_EXCEPTION(write_output(folder.path(), {{"x", "1"}}, replace), Error,
                          [](const Error& error) { return error.code() == Errc::usage; });
  BOOST_CHECK_THROW(write_output(folder.path() / "thesis.txt", {{"x", "1"}}, true), Error);
  BOOST_TEST(names_in(folder.path()) == std::set<std::string>{"thesis.txt"});
}

BOOST_AUTO_TEST_CASE(what_cannot_be_written_leaves_nothing) {
  const tests::TemporaryFolder folder;
  // "x" is a file, and cannot be a folder as well.
  BOOST_CHECK_THROW(write_output(folder.path() / "out", {{"x", "1"}, {"x/y", "2"}}, false), Error);
  BOOST_TEST(names_in(folder.path()).empty());
}

} // namespace talaria
