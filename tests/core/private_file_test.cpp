// Files that are replaced as a whole, and what is written to instead, or refused.
#include "core/private_file.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

std::string read_all(int file) {
  std::string text;
  char piece[64];
  for (ssize_t count = 0; (count = ::read(file, piece, sizeof piece)) > 0;)
    text.append(piece, static_cast<std::size_t>(count));
  return text;
}

mode_t kind_of(const std::filesystem::path& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0 ? about.st_mode & S_IFMT : 0;
}

std::size_t entries_of(const std::filesystem::path& folder) {
  const std::filesystem::directory_iterator entries(folder);
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

} // namespace

BOOST_AUTO_TEST_SUITE(private_file)

BOOST_AUTO_TEST_CASE(a_private_file_is_replaced_as_a_whole) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  std::ofstream(path) << "old";
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  replace_private_file(path, "new");
  std::string text;
  std::ifstream(path) >> text;
  BOOST_TEST(text == "new");
  struct stat status {};
  BOOST_TEST(::stat(path.c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0600U);
  BOOST_CHECK_THROW(replace_private_file(folder.path() / "no" / "file", "x"), Error);
  std::filesystem::create_directory(folder.path() / "folder");
  BOOST_CHECK_THROW(replace_private_file(folder.path() / "folder", "x"), Error);
  std::size_t entries = 0; // and nothing is left beside
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder.path()))
    ++entries;
  BOOST_TEST(entries == 2U);
}

BOOST_AUTO_TEST_CASE(a_pipe_that_is_named_as_a_file_is_written_to_and_stays) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "pipe";
  BOOST_TEST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  for (const auto replace : {replace_private_file, replace_public_file}) {
    const FileDescriptor reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
    replace(path, "content");
    BOOST_TEST(read_all(reader.get()) == "content");
    BOOST_TEST(kind_of(path) == unsigned{S_IFIFO});
  }
  BOOST_TEST(entries_of(folder.path()) == 1U);
  if (::geteuid() != 0 || ::chown(path.c_str(), 1, 1) != 0) return;
  BOOST_CHECK_THROW(replace_private_file(path, "x"), Error); // and nobody waited for a reader
}

BOOST_AUTO_TEST_CASE(a_device_that_is_named_as_a_file_is_written_to) {
  const FileDescriptor terminal(::posix_openpt(O_RDWR | O_NOCTTY));
  BOOST_TEST_REQUIRE(
      (terminal && ::grantpt(terminal.get()) == 0 && ::unlockpt(terminal.get()) == 0));
  const std::string path = ::ptsname(terminal.get());
  const FileDescriptor held(::open(path.c_str(), O_RDWR | O_NOCTTY)); // keeps it from hanging up
  replace_private_file(path, "content\n");
  char seen[32] = {};
  BOOST_TEST(::read(terminal.get(), seen, sizeof seen - 1) == 9);
  BOOST_TEST(std::string(seen) == "content\r\n");
  BOOST_TEST(kind_of(path) == unsigned{S_IFCHR});
}

BOOST_AUTO_TEST_CASE(names_of_open_descriptors_go_on_where_those_are) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  for (const std::string name : {"/dev/fd/", "/proc/self/fd/", "/dev/../dev/fd/"}) {
    const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    BOOST_TEST_REQUIRE(::write(file.get(), "before ", 7) == 7);
    replace_private_file(name + std::to_string(file.get()), "content");
    BOOST_TEST(::lseek(file.get(), 0, SEEK_SET) == 0);
    BOOST_TEST(read_all(file.get()) == "before content");
  }
  BOOST_CHECK_THROW(replace_private_file("/dev/fd/987654", "x"), Error);
}

BOOST_AUTO_TEST_CASE(what_cannot_hold_a_file_is_refused_and_stays) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "socket";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  BOOST_TEST_REQUIRE(path.string().size() < sizeof address.sun_path);
  std::strcpy(address.sun_path, path.c_str());
  const FileDescriptor listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  BOOST_TEST_REQUIRE(
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  BOOST_CHECK_EXCEPTION(replace_private_file(path, "x"), Error, [&](const Error& error) {
    return std::string(error.what()).find("is a socket; name a file") != std::string::npos;
  });
  BOOST_CHECK_EXCEPTION(replace_private_file(folder.path(), "x"), Error, [](const Error& error) {
    return std::string(error.what()).find("is a folder; name a file") != std::string::npos;
  });
  BOOST_TEST(kind_of(path) == unsigned{S_IFSOCK});
  BOOST_TEST(entries_of(folder.path()) == 1U);
}

BOOST_AUTO_TEST_CASE(a_link_is_replaced_and_what_it_leads_to_is_not) {
  const tests::TemporaryFolder folder;
  const auto target = folder.path() / "target";
  const auto path = folder.path() / "link";
  std::ofstream(target) << "theirs";
  std::filesystem::create_symlink(target, path);
  replace_private_file(path, "ours");
  BOOST_TEST(kind_of(path) == unsigned{S_IFREG});
  std::string text;
  std::ifstream(target) >> text;
  BOOST_TEST(text == "theirs");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
