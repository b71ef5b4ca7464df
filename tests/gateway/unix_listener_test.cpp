// A server behind a socket in the file system.
#include "gateway/unix_listener.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <fstream>
#include <string>

#include "core/error.hpp"
#include "tests/gateway/toy_server.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

BOOST_AUTO_TEST_SUITE(unix_listener)

namespace {

using gateway::UnixListener;

struct Folder {
  std::filesystem::path socket() const { return folder.path() / "api.sock"; }
  TemporaryFolder folder;
};

/// 0 once somebody listens at `path`, or the errno of connect(2).
int connect_to_path(int socket, const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
             ? 0
             : errno;
}

int try_to_connect(const std::filesystem::path& path) {
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect_to_path(socket.get(), path);
}

/// All that comes back for `request`.
std::string ask_at(const std::filesystem::path& path, const std::string& request) {
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BOOST_TEST_REQUIRE(connect_to_path(socket.get(), path) == 0);
  ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string out;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::recv(socket.get(), buffer, sizeof buffer, 0)) > 0;)
    out.append(buffer, static_cast<std::size_t>(n));
  return out;
}

std::string complaint_about(const std::filesystem::path& path) {
  try {
    const UnixListener listener(path);
  } catch (const Error& error) {
    BOOST_TEST((error.code() == Errc::io));
    return error.what();
  }
  return {};
}

/// As a server that was killed leaves it: a file that nobody listens at.
void leave_dead_socket(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BOOST_TEST_REQUIRE(
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

} // namespace

BOOST_FIXTURE_TEST_CASE(only_its_owner_may_open_it_whatever_the_umask, Folder) {
  for (const mode_t mask : {0000, 0022, 0077}) {
    const mode_t before = ::umask(mask);
    const UnixListener listener(socket());
    ::umask(before);
    struct stat info {};
    BOOST_TEST_REQUIRE(::lstat(socket().c_str(), &info) == 0);
    BOOST_TEST(S_ISSOCK(info.st_mode));
    BOOST_TEST((info.st_mode & 07777) == 0600U);
  }
}

BOOST_FIXTURE_TEST_CASE(it_is_gone_when_its_owner_is, Folder) {
  { const UnixListener listener(socket()); }
  BOOST_TEST(!std::filesystem::exists(socket()));
}

BOOST_FIXTURE_TEST_CASE(another_file_in_its_place_stays, Folder) {
  {
    const UnixListener listener(socket());
    std::filesystem::remove(socket());
    std::ofstream(socket()) << "x";
  }
  BOOST_TEST(std::filesystem::is_regular_file(socket()));
}

BOOST_FIXTURE_TEST_CASE(what_a_killed_server_left_is_replaced, Folder) {
  leave_dead_socket(socket());
  BOOST_TEST(try_to_connect(socket()) == ECONNREFUSED);
  const UnixListener listener(socket());
  BOOST_TEST(try_to_connect(socket()) == 0);
}

BOOST_FIXTURE_TEST_CASE(a_server_that_answers_keeps_its_place, Folder) {
  const UnixListener first(socket());
  BOOST_TEST(complaint_about(socket()) == "unix:" + socket().string() +
                                              ": somebody answers there already; choose another "
                                              "path");
  BOOST_TEST(try_to_connect(socket()) == 0);
}

BOOST_FIXTURE_TEST_CASE(a_server_that_is_too_busy_to_accept_keeps_its_place, Folder) {
  const FileDescriptor busy(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
  BOOST_TEST_REQUIRE(
      ::bind(busy.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  BOOST_TEST_REQUIRE(::listen(busy.get(), 0) == 0);
  const FileDescriptor waiting(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BOOST_TEST_REQUIRE(connect_to_path(waiting.get(), socket()) == 0); // fills its queue
  BOOST_TEST(complaint_about(socket()).find("somebody answers") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(what_is_no_socket_is_left_alone, Folder) {
  std::ofstream(socket()) << "precious";
  BOOST_TEST(complaint_about(socket()).find("not a socket") != std::string::npos);
  BOOST_TEST(std::filesystem::file_size(socket()) == 8U);
  std::filesystem::remove(socket());
  std::filesystem::create_symlink(folder.path() / "elsewhere", socket());
  BOOST_TEST(complaint_about(socket()).find("not a socket") != std::string::npos);
  BOOST_TEST(std::filesystem::is_symlink(socket()));
}

BOOST_FIXTURE_TEST_CASE(a_path_that_cannot_be_is_named, Folder) {
  const auto nowhere = folder.path() / "nowhere" / "api.sock";
  BOOST_TEST(complaint_about(nowhere).find((folder.path() / "nowhere").string() +
                                           " cannot be opened") != std::string::npos);
  const std::filesystem::path long_path = folder.path() / std::string(120, 'x');
  BOOST_TEST(complaint_about(long_path).find("a socket's path has at most 107") !=
             std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_folder_where_everybody_may_replace_it_is_refused, Folder) {
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  BOOST_TEST(complaint_about(socket()).find("chmod o-w") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(the_server_answers_there_and_whatever_name_a_client_gives_it, Folder) {
  UnixListener listener(socket());
  const ToyServer server({}, 4, nullptr, {}, listener.take());
  const std::string answer =
      ask_at(socket(), "POST /echo HTTP/1.1\r\nHost: whatever\r\nContent-Type: application/json\r\n"
                       "Content-Length: 5\r\nConnection: close\r\n\r\nhello");
  BOOST_TEST(answer.starts_with("HTTP/1.1 200 "));
  BOOST_TEST(answer.ends_with("\r\n\r\nhello"));
  const std::string page = ask_at(socket(), "GET /page HTTP/1.1\r\nHost: x\r\nOrigin: "
                                            "https://evil.example\r\nConnection: close\r\n\r\n");
  BOOST_TEST(page.starts_with("HTTP/1.1 403 "));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
