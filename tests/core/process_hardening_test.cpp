#include "core/process_hardening.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

/// Runs `check` in a child process, whose limits and descriptors it may change; true if it
/// returned true.
bool holds_in_child(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// An argument vector as the kernel lays it out: writable, and the words stay after a test.
class Arguments {
public:
  explicit Arguments(std::vector<std::string> words) : words_(std::move(words)) {
    for (std::string& word : words_) pointers_.push_back(word.data());
  }
  int count() const { return static_cast<int>(pointers_.size()); }
  char** data() { return pointers_.data(); }
  const std::string& operator[](std::size_t i) const { return words_[i]; }

private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

std::string zeros(std::size_t count) {
  return std::string(count, '\0');
}

} // namespace

BOOST_AUTO_TEST_SUITE(process_hardening)

BOOST_AUTO_TEST_CASE(no_socket_gets_the_number_of_a_closed_standard_descriptor) {
  for (unsigned closed = 1; closed < 8; ++closed)
    BOOST_TEST(holds_in_child([closed] {
                 for (int fd = 0; fd < 3; ++fd)
                   if ((closed >> fd & 1) != 0) ::close(fd);
                 guard_standard_descriptors();
                 return ::socket(AF_INET, SOCK_STREAM, 0) > STDERR_FILENO;
               }),
               "closed: " << closed);
}

BOOST_AUTO_TEST_CASE(a_standard_descriptor_that_was_closed_still_fails_when_used) {
  BOOST_TEST(holds_in_child([] {
    for (int fd = 0; fd < 3; ++fd) ::close(fd);
    guard_standard_descriptors();
    char byte = 0;
    return ::read(0, &byte, 1) == -1 && ::write(1, "x", 1) == -1 && ::write(2, "x", 1) == -1;
  }));
}

BOOST_AUTO_TEST_CASE(open_standard_descriptors_are_left_alone) {
  BOOST_TEST(holds_in_child([] {
    std::array<int, 2> ends{};
    char byte = 0;
    if (::pipe(ends.data()) != 0 || ::dup2(ends[0], 0) != 0 || ::dup2(ends[1], 1) != 1)
      return false;
    guard_standard_descriptors();
    return ::write(1, "x", 1) == 1 && ::read(0, &byte, 1) == 1 && byte == 'x';
  }));
}

BOOST_AUTO_TEST_CASE(a_hardened_process_leaves_no_core_and_cannot_be_traced) {
  BOOST_TEST(holds_in_child([] {
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_CORE, &unlimited); // as systemd gives services
    harden_process();
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    return core.rlim_cur == 0 && core.rlim_max == 0 && ::prctl(PR_GET_DUMPABLE) == 0;
  }));
}

BOOST_AUTO_TEST_CASE(a_hardened_process_survives_a_reader_that_is_gone) {
  BOOST_TEST(holds_in_child([] {
    harden_process();
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return false;
    ::close(ends[0]);
    return ::write(ends[1], "x", 1) == -1 && errno == EPIPE;
  }));
}

BOOST_AUTO_TEST_CASE(values_of_secret_flags_leave_the_argument_vector) {
  Arguments arguments({"talaria", "run", "--prompt", "my secret", "--model", "m", "--prompt=other",
                       "--prompt-file", "f"});
  const std::string_view flags[] = {"--prompt"};
  hide_arguments(arguments.count(), arguments.data(), flags);
  BOOST_TEST(arguments[3] == zeros(9));
  BOOST_TEST(arguments[6] == "--prompt=" + zeros(5));
  BOOST_TEST(arguments[5] == "m");
  BOOST_TEST(arguments[8] == "f"); // another flag with the same beginning
}

BOOST_AUTO_TEST_CASE(a_secret_flag_without_a_value_is_no_reason_to_read_beyond_the_vector) {
  Arguments arguments({"talaria", "run", "--prompt"});
  const std::string_view flags[] = {"--prompt"};
  hide_arguments(arguments.count(), arguments.data(), flags);
  BOOST_TEST(arguments[2] == "--prompt");
}

BOOST_AUTO_TEST_CASE(positional_text_leaves_the_argument_vector) {
  Arguments arguments({"talaria", "tokenize", "--json", "some text"});
  hide_plain_arguments(arguments.count(), arguments.data());
  BOOST_TEST(arguments[1] == "tokenize");
  BOOST_TEST(arguments[2] == "--json");
  BOOST_TEST(arguments[3] == zeros(9));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
