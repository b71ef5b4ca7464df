// A command whose code is in another program: that program, with all that `talaria` was given.
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

namespace fs = std::filesystem;

/// A folder with `talaria` and, if asked for, the program that `audit` is.
class Programs {
public:
  explicit Programs(bool with_audit) {
    install(folder_.path(), "talaria");
    if (with_audit) install(folder_.path(), "talaria-audit");
  }
  static void install(const fs::path& folder, const char* name) {
    fs::copy_file(TALARIA_TESTS "/forwarding_program", folder / name);
  }
  fs::path operator/(const char* name) const { return folder_.path() / name; }
  tests::Finished run(std::vector<std::string> words,
                      std::function<void(pid_t)> on_output = nullptr) const {
    words.insert(words.begin(), (folder_.path() / "talaria").string());
    return tests::run_program(words, {}, std::move(on_output));
  }

private:
  tests::TemporaryFolder folder_;
};

std::string line_of(const tests::Finished& done, const std::string& name) {
  const std::size_t at = done.out.find(name + " ");
  BOOST_TEST_REQUIRE(at != std::string::npos, done.out << done.err);
  const std::size_t begin = at + name.size() + 1;
  return done.out.substr(begin, done.out.find('\n', at) - begin);
}

} // namespace

BOOST_AUTO_TEST_CASE(arguments_environment_and_exit_status_are_the_same) {
  const Programs programs(true);
  ::setenv("TALARIA_TEST_WORD", "from the environment", 1);
  const auto done = programs.run({"audit", "a b", "", "$HOME", "'"});
  BOOST_TEST(done.status == 7, done.err);
  BOOST_TEST(line_of(done, "words") == "[a b][][$HOME][']");
  BOOST_TEST(line_of(done, "variable") == "from the environment");
  BOOST_TEST(done.err.empty(), done.err);
}

BOOST_AUTO_TEST_CASE(other_users_see_no_prompt_in_the_program_that_was_started) {
  const Programs programs(true);
  for (const std::vector<std::string>& secret :
       {std::vector<std::string>{"--prompt", "marker"}, {"--prompt=marker"}}) {
    std::vector<std::string> words{"audit"};
    words.insert(words.end(), secret.begin(), secret.end());
    const auto done = programs.run(words);
    BOOST_TEST(line_of(done, "prompt") == "marker");
    BOOST_TEST(line_of(done, "visible").find("|audit|--prompt") != std::string::npos, done.out);
    BOOST_TEST(line_of(done, "visible").find("marker") == std::string::npos, done.out);
  }
}

BOOST_AUTO_TEST_CASE(a_signal_to_talaria_reaches_the_program) {
  const Programs programs(true);
  for (const int signal : {SIGINT, SIGTERM}) {
    const auto done =
        programs.run({"audit", "--wait"}, [signal](pid_t pid) { ::kill(pid, signal); });
    BOOST_TEST(done.status == 9, done.err);
  }
}

BOOST_AUTO_TEST_CASE(help_and_errors_speak_of_talaria) {
  const Programs programs(true);
  const auto help = programs.run({"audit", "--help"});
  BOOST_TEST(help.status == 0);
  BOOST_TEST(help.out.find("talaria audit") != std::string::npos, help.out);
  BOOST_TEST(help.out.find("talaria-audit") == std::string::npos, help.out);
  const auto wrong = programs.run({"audit", "--no-such-flag"});
  BOOST_TEST(wrong.status == 2);
  BOOST_TEST(wrong.err.starts_with("talaria: "), wrong.err);
  BOOST_TEST(wrong.err.find("(see talaria --help)") != std::string::npos, wrong.err);
  // Under its own name it speaks of itself.
  const auto own = tests::run_program({(programs / "talaria-audit").string(), "audit", "--help"});
  BOOST_TEST(own.out.find("talaria-audit audit") != std::string::npos, own.out);
}

BOOST_AUTO_TEST_CASE(a_missing_program_is_named_and_path_is_not_searched) {
  const Programs programs(false);
  const tests::TemporaryFolder elsewhere;
  Programs::install(elsewhere.path(), "talaria-audit");
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (elsewhere.path().string() + ":" + path).c_str(), 1);
  const auto done = programs.run({"audit"});
  ::setenv("PATH", path.c_str(), 1);
  BOOST_TEST(done.status == 2);
  BOOST_TEST(done.out.empty(), done.out);
  BOOST_TEST(done.err.find((programs / "talaria-audit").string() + " is missing") !=
                 std::string::npos,
             done.err);
  BOOST_TEST(done.err.find("--target talaria-audit") != std::string::npos, done.err);
}

BOOST_AUTO_TEST_CASE(a_program_that_cannot_be_executed_is_named) {
  const Programs programs(true);
  fs::permissions(programs / "talaria-audit", fs::perms::owner_read);
  const auto done = programs.run({"audit"});
  BOOST_TEST(done.status == 2);
  BOOST_TEST(done.err.find("Permission denied") != std::string::npos, done.err);
}

BOOST_AUTO_TEST_CASE(other_commands_are_not_forwarded) {
  const Programs programs(true);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"run", "audit"}, {"--help"}, {"audits"}})
    BOOST_TEST(programs.run(words).out == "not forwarded\n");
}

} // namespace talaria
