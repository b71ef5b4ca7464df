#include <boost/test/unit_test.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "launch/detach.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;

namespace {

struct Detached : tests::TemporaryFolder {
  launch::DetachPlan plan(const std::string& role) {
    return {{LAUNCH_HELPER, role},
            path() / "logs/gateway.log",
            [this](std::string_view line) { told += std::string(line) + "\n"; },
            [this] { return cancelled; }};
  }
  std::string told;
  bool cancelled = false;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(detaching, Detached)

BOOST_AUTO_TEST_CASE(a_ready_program_goes_on_in_a_session_of_its_own) {
  const pid_t pid = launch::start_detached(plan("ready"));
  BOOST_TEST(tests::is_running(pid));
  BOOST_TEST(::getsid(pid) == pid);
  BOOST_TEST(told == "first line\n");
  BOOST_TEST(tests::text_of(path() / "logs/gateway.log") == "to the log\n");
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

BOOST_AUTO_TEST_CASE(the_error_of_a_program_is_passed_on) {
  BOOST_CHECK_EXCEPTION(launch::start_detached(plan("fail")), Error, [](const Error& error) {
    return error.code() == Errc::no_worker && std::string(error.what()) == "nobody came";
  });
}

BOOST_AUTO_TEST_CASE(a_program_that_dies_without_a_word_is_an_error_that_names_the_log) {
  BOOST_CHECK_EXCEPTION(launch::start_detached(plan("die")), Error, [](const Error& error) {
    const std::string text = error.what();
    return error.code() == Errc::internal && text.find("SIGABRT") != std::string::npos &&
           text.find("gateway.log") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(an_interrupt_ends_the_program_too) {
  cancelled = true;
  BOOST_CHECK_EXCEPTION(launch::start_detached(plan("wait")), Error,
                        [](const Error& error) { return error.code() == Errc::cancelled; });
  BOOST_TEST(::waitpid(-1, nullptr, WNOHANG) == -1); // no child is left
}

BOOST_AUTO_TEST_SUITE_END()
