#include <boost/test/unit_test.hpp>

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <string>

#include "core/error.hpp"
#include "launch/child_process.hpp"
#include "launch/control_socket.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using launch::ControlServer;

namespace {

/// A runtime folder of the test's own, and a pipeline file.
struct Runtime : tests::TemporaryFolder {
  Runtime() {
    ::setenv("XDG_RUNTIME_DIR", path().c_str(), 1);
    std::ofstream(file()) << "model: m\n";
  }
  ~Runtime() { ::unsetenv("XDG_RUNTIME_DIR"); }
  std::filesystem::path file() const { return path() / "pipeline.yaml"; }

  std::unique_ptr<ControlServer> serve() {
    return std::make_unique<ControlServer>(
        file(), ControlServer::Handlers{[] { return std::string(R"({"state":"running"})"); },
                                        [this] { stopped = true; }});
  }
  /// A gateway in a process of its own, listening.
  std::unique_ptr<launch::ChildProcess> other_gateway() const {
    auto helper = std::make_unique<launch::ChildProcess>(
        std::vector<std::string>{LAUNCH_HELPER, "gateway", file().string()});
    BOOST_REQUIRE(
        tests::eventually([&] { return launch::running_gateway(file()) == helper->pid(); }));
    char byte = 0;
    BOOST_REQUIRE(tests::eventually([&] { return ::read(helper->out().get(), &byte, 1) == 1; }));
    return helper;
  }
  std::atomic<bool> stopped{false};
};

auto config_error(const std::string& part) {
  return [part](const Error& error) {
    BOOST_TEST(std::string(error.what()).find(part) != std::string::npos, error.what());
    return error.code() == Errc::config;
  };
}

/// Sends bytes to a socket and gives what comes back.
std::string raw_answer(const std::filesystem::path& socket, const std::string& bytes) {
  const FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, socket.c_str());
  BOOST_REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  BOOST_TEST(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0);
  ::shutdown(fd.get(), SHUT_WR);
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(n));
  return answer;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(control_sockets, Runtime)

BOOST_AUTO_TEST_CASE(a_running_gateway_tells_its_status) {
  const auto server = serve();
  BOOST_TEST(launch::ask_status(file()) == R"({"state":"running"})");
  BOOST_TEST(launch::running_gateway(file()).value() == ::getpid());
  // The same file by another way.
  BOOST_TEST(launch::ask_status(path() / "." / "pipeline.yaml") == R"({"state":"running"})");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_not_running_says_so) {
  BOOST_CHECK_EXCEPTION(launch::ask_status(file()), Error,
                        [](const Error& error) { return error.code() == Errc::no_worker; });
  BOOST_TEST(!launch::ask_stop(file()));
  BOOST_TEST(!launch::running_gateway(file()).has_value());
  serve().reset();
  BOOST_TEST(!launch::ask_stop(file()));
}

BOOST_AUTO_TEST_CASE(a_second_launch_of_the_same_file_is_refused_with_the_pid_of_the_first) {
  const auto helper = other_gateway();
  BOOST_CHECK_EXCEPTION(serve(), Error,
                        config_error("is running already (pid " + std::to_string(helper->pid())));
  BOOST_TEST(launch::ask_status(file()) == R"({"state":"running"})");
}

BOOST_AUTO_TEST_CASE(stop_returns_when_the_gateway_has_ended) {
  const auto helper = other_gateway();
  BOOST_TEST(launch::ask_stop(file()));
  BOOST_TEST(tests::eventually([&] { return helper->poll_death().has_value(); }));
  BOOST_TEST(!launch::running_gateway(file()).has_value());
}

BOOST_AUTO_TEST_CASE(what_a_killed_gateway_left_behind_is_replaced) {
  const auto helper = other_gateway();
  const auto paths = launch::control_paths(file());
  helper->signal(SIGKILL);
  BOOST_TEST(tests::eventually([&] { return helper->poll_death().has_value(); }));
  BOOST_TEST(std::filesystem::exists(paths.socket));
  BOOST_TEST(!launch::running_gateway(file()).has_value());
  const auto server = serve();
  BOOST_TEST(launch::ask_status(file()) == R"({"state":"running"})");
}

BOOST_AUTO_TEST_CASE(two_files_do_not_meet) {
  const auto server = serve();
  std::ofstream(path() / "other.yaml") << "model: m\n";
  BOOST_TEST(!launch::running_gateway(path() / "other.yaml").has_value());
  BOOST_CHECK_EXCEPTION(launch::control_paths(path() / "absent.yaml"), Error,
                        config_error("absent.yaml"));
}

BOOST_AUTO_TEST_CASE(questions_that_are_none_do_no_harm) {
  const auto server = serve();
  const auto socket = launch::control_paths(file()).socket;
  for (const std::string question : {"\n", "{}\n", "[]\n", "{\"ask\":7}\n", "\xFF\n"})
    BOOST_TEST(raw_answer(socket, question).starts_with("{\"error\":"));
  raw_answer(socket, "");
  raw_answer(socket, std::string(100'000, 'x'));
  BOOST_TEST(launch::ask_status(file()) == R"({"state":"running"})");
  BOOST_TEST(!stopped);
  BOOST_TEST(raw_answer(socket, "{\"ask\":\"stop\"}\n").starts_with("{\"ok\":true,\"pid\":"));
  BOOST_TEST(tests::eventually([&] { return stopped.load(); }));
}

BOOST_AUTO_TEST_CASE(the_socket_lies_in_a_folder_that_only_this_user_can_enter) {
  const auto folder = launch::control_paths(file()).socket.parent_path();
  struct stat info {};
  BOOST_REQUIRE(::stat(folder.c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777u) == 0700u);
  ::chmod(folder.c_str(), 0755);
  BOOST_CHECK_EXCEPTION(serve(), Error, config_error("is not a folder of yours alone"));
  std::filesystem::remove(folder);
  std::filesystem::create_directory(path() / "elsewhere");
  std::filesystem::create_directory_symlink(path() / "elsewhere", folder);
  BOOST_CHECK_EXCEPTION(serve(), Error, config_error("is not a folder of yours alone"));
}

BOOST_AUTO_TEST_SUITE_END()
