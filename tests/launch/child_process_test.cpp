#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <string>
#include <vector>

#include "core/error.hpp"
#include "launch/child_process.hpp"
#include "launch/line_reader.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using launch::ChildProcess;
using launch::Death;

namespace {

Death wait_for_death(ChildProcess& child) {
  std::optional<Death> death;
  BOOST_REQUIRE(tests::eventually([&] { return (death = child.poll_death()).has_value(); }));
  return *death;
}

/// All that the child writes to its standard output until it closes it.
std::string output_of(ChildProcess& child) {
  std::string text;
  for (;;) {
    pollfd waiting{child.out().get(), POLLIN, 0};
    ::poll(&waiting, 1, -1);
    char buffer[4096];
    const ssize_t count = ::read(child.out().get(), buffer, sizeof buffer);
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

std::vector<std::string> shell(const std::string& script) {
  return {"/bin/sh", "-c", script};
}

} // namespace

BOOST_AUTO_TEST_CASE(a_death_is_told_with_its_exit_code_or_signal) {
  ChildProcess exits(shell("exit 7"));
  BOOST_TEST(launch::to_text(wait_for_death(exits)) == "exit code 7");
  ChildProcess dies(shell("kill -SEGV $$"));
  BOOST_TEST(launch::to_text(wait_for_death(dies)) == "killed by SIGSEGV");
  BOOST_TEST(!dies.poll_death().has_value());
}

BOOST_AUTO_TEST_CASE(a_program_that_cannot_be_executed_is_an_error_that_names_it) {
  const auto names = [](const char* name) {
    return [name](const Error& error) {
      return error.code() == Errc::config &&
             std::string(error.what()).find(name) != std::string::npos;
    };
  };
  BOOST_CHECK_EXCEPTION(ChildProcess({"/nowhere/program"}), Error, names("/nowhere/program"));
  BOOST_CHECK_EXCEPTION(ChildProcess({"/etc/passwd"}), Error, names("Permission denied"));
  BOOST_CHECK_EXCEPTION(ChildProcess({"no-such-program-in-path"}), Error, names("not in PATH"));
}

BOOST_AUTO_TEST_CASE(a_program_is_found_in_path_and_gets_its_words_unchanged) {
  ChildProcess child({"printf", "%s|", "a b", "", "$HOME", "'"});
  BOOST_TEST(output_of(child) == "a b||$HOME|'|");
}

BOOST_AUTO_TEST_CASE(a_child_inherits_no_descriptor_and_no_blocked_signal) {
  const FileDescriptor open_on_exec(::open("/dev/null", O_RDONLY));
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, nullptr);
  ChildProcess child(shell("ls /proc/self/fd | wc -l; grep SigBlk /proc/self/status"));
  pthread_sigmask(SIG_UNBLOCK, &term, nullptr);
  // ls has one of its own, for the folder.
  BOOST_TEST(output_of(child) == "4\nSigBlk:\t0000000000000000\n");
}

BOOST_AUTO_TEST_CASE(what_a_child_leaves_behind_in_its_group_dies_with_it) {
  ChildProcess child(shell("sleep 1000 >/dev/null 2>&1 & echo $!"));
  const pid_t grandchild = std::stoi(output_of(child));
  wait_for_death(child);
  BOOST_TEST(tests::eventually([&] { return !tests::is_running(grandchild); }));
}

BOOST_AUTO_TEST_CASE(a_child_ends_with_its_object) {
  pid_t pid = 0;
  {
    ChildProcess child(shell("trap '' TERM; sleep 1000"));
    pid = child.pid();
    BOOST_TEST(tests::is_running(pid));
  }
  BOOST_TEST(!tests::is_running(pid));
}

BOOST_AUTO_TEST_CASE(a_child_ends_when_its_input_is_closed_if_it_reads_it) {
  ChildProcess child({"cat"});
  child.close_input();
  BOOST_TEST(wait_for_death(child).signal == 0);
}

BOOST_AUTO_TEST_CASE(lines_are_cut_wherever_the_bytes_come_apart) {
  const std::string text = "one\n\nthree\nand the rest";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    std::string found;
    const auto take = [&](const std::string& line) { found += line + "|"; };
    launch::LineReader lines(100);
    for (std::size_t at = 0; at < text.size(); at += piece)
      lines.feed(std::string_view(text).substr(at, piece), take);
    BOOST_TEST(found == "one||three|");
    lines.finish(take);
    BOOST_TEST(found == "one||three|and the rest|");
  }
}

BOOST_AUTO_TEST_CASE(a_line_beyond_the_limit_is_cut_and_the_next_one_is_whole) {
  std::string found;
  launch::LineReader lines(4);
  for (const char* piece : {"abc", "def", "g\nhi", "\n"})
    lines.feed(piece, [&](const std::string& line) { found += line + "|"; });
  BOOST_TEST(found == "abcd|hi|");
}

BOOST_AUTO_TEST_CASE(what_others_say_cannot_steer_a_terminal) {
  BOOST_TEST(launch::one_line("a\033[2Jb\nc\x7F") == "a?[2Jb?c?");
  BOOST_TEST(launch::one_line("caf\xC3\xA9 \xC2\x9B") == "caf\xC3\xA9 ?");
  BOOST_TEST(launch::one_line("caf\xC3\xA9!", 4) == "caf...");
}
