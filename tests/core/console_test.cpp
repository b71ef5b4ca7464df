#include "core/console.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "core/error.hpp"

namespace talaria {

namespace {

/// Gives a standard descriptor another meaning for as long as it lives.
class Redirected {
public:
  Redirected(int standard, int to) : standard_(standard), before_(::dup(standard)) {
    if (before_ < 0 || ::dup2(to, standard) != standard) std::abort();
  }
  ~Redirected() {
    ::dup2(before_, standard_);
    ::close(before_);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;

private:
  int standard_;
  int before_;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) std::abort();
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    ::close(write);
    if (read >= 0) ::close(read);
  }
  /// What can be read now.
  std::string drain() const {
    ::fcntl(read, F_SETFL, O_NONBLOCK);
    std::string text(1 << 20, '\0');
    std::string all;
    for (ssize_t n = 0; (n = ::read(read, text.data(), text.size())) > 0;)
      all.append(text.data(), static_cast<std::size_t>(n));
    return all;
  }
  /// Until nothing fits any more.
  void fill() const {
    ::fcntl(write, F_SETFL, O_NONBLOCK);
    const std::string some(4096, '.');
    while (::write(write, some.data(), some.size()) > 0) {
    }
    ::fcntl(write, F_SETFL, 0);
  }
  int read;
  int write;
};

int open_full() {
  return ::open("/dev/full", O_WRONLY | O_CLOEXEC);
}

} // namespace

BOOST_AUTO_TEST_SUITE(console)

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_written_is_an_error_that_says_why) {
  const int full = open_full();
  std::string message;
  Errc code = Errc::internal;
  {
    const Redirected out(STDOUT_FILENO, full);
    try {
      write_out("result");
    } catch (const Error& error) {
      message = error.what();
      code = error.code();
    }
  }
  ::close(full);
  BOOST_TEST(exit_status(code) == exit_status(Errc::io));
  BOOST_TEST(message.find("No space left on device") != std::string::npos, message);
}

BOOST_AUTO_TEST_CASE(a_result_is_written_before_the_call_returns) {
  const Pipe pipe;
  {
    const Redirected out(STDOUT_FILENO, pipe.write);
    print_out("{} and {}\n", 1, "two");
  }
  BOOST_TEST(pipe.drain() == "1 and two\n");
}

BOOST_AUTO_TEST_CASE(
    a_result_larger_than_a_pipe_arrives_whole_on_a_descriptor_that_does_not_block) {
  const Pipe pipe;
  const std::string large(std::size_t{1} << 20, 'x');
  std::string seen;
  std::thread reader([&] {
    std::string text(65536, '\0');
    while (seen.size() < large.size()) {
      const ssize_t n = ::read(pipe.read, text.data(), text.size());
      if (n > 0) seen.append(text.data(), static_cast<std::size_t>(n));
    }
  });
  ::fcntl(pipe.write, F_SETFL, O_NONBLOCK);
  BOOST_TEST(write_fully(pipe.write, large));
  reader.join();
  BOOST_TEST((seen == large));
}

BOOST_AUTO_TEST_CASE(a_log_line_that_cannot_be_written_is_dropped) {
  const int full = open_full();
  {
    const Redirected err(STDERR_FILENO, full);
    write_log("a line");
  }
  ::close(full);
  Pipe gone;
  ::close(gone.read);
  gone.read = -1;
  std::signal(SIGPIPE, SIG_IGN);
  const Redirected err(STDERR_FILENO, gone.write);
  write_log("a line");
}

BOOST_AUTO_TEST_CASE(a_log_that_nobody_reads_does_not_stop_the_program_and_says_so_later) {
  const Pipe pipe;
  const Redirected err(STDERR_FILENO, pipe.write);
  write_log("what was dropped by other tests is told here");
  pipe.fill();
  for (int i = 0; i < 3; ++i) write_log("dropped");
  pipe.drain();
  ::fcntl(pipe.read, F_SETFL, O_NONBLOCK);
  print_log("line {}", 4);
  BOOST_TEST(pipe.drain() == "talaria: 3 lines could not be written here\nline 4\n");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
