#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <string>

#include "core/error.hpp"
#include "launch/node_log.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using launch::NodeLog;

BOOST_FIXTURE_TEST_SUITE(node_logs, tests::TemporaryFolder)

BOOST_AUTO_TEST_CASE(each_line_has_its_time_and_its_source) {
  NodeLog(path() / "a" / "b", "w").write("err", "went\nwrong\033");
  const std::string text = tests::text_of(path() / "a/b/w.log");
  int year = 0;
  int length = 0;
  BOOST_TEST(std::sscanf(text.c_str(), "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n", &year, &length) ==
             1);
  BOOST_TEST(year > 2000);
  BOOST_TEST(text.substr(static_cast<std::size_t>(length)) == "err     went?wrong?\n");
}

BOOST_AUTO_TEST_CASE(the_log_of_the_run_before_is_kept) {
  NodeLog(path(), "w").write("out", "first");
  NodeLog(path(), "w").write("out", "second");
  BOOST_TEST(tests::text_of(path() / "w.log").find("second") != std::string::npos);
  BOOST_TEST(tests::text_of(path() / "w.log").find("first") == std::string::npos);
  BOOST_TEST(tests::text_of(path() / "w.log.1").find("first") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_log_does_not_grow_without_end) {
  NodeLog log(path(), "w", 10'000);
  const std::string line(100, 'x');
  for (int i = 0; i < 1000; ++i) log.write("out", line);
  for (const char* file : {"w.log", "w.log.1"})
    BOOST_TEST(std::filesystem::file_size(path() / file) < 10'200u);
  BOOST_TEST(std::filesystem::file_size(path() / "w.log.1") > 10'000u);
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_made_is_an_io_error_that_names_the_setting) {
  std::ofstream(path() / "file") << "x";
  BOOST_CHECK_EXCEPTION(NodeLog(path() / "file" / "logs", "w"), Error, [](const Error& error) {
    return error.code() == Errc::io &&
           std::string(error.what()).find("launch.logs") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
