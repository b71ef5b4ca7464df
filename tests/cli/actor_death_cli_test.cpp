// What the programs do when an actor dies of an exception, and that a signal always ends them.
#include <httplib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "cli/interrupt.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/killable_graph.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

namespace {

const std::string kProgram = TALARIA_TESTS "/dying_talaria";
const std::string kServer = TALARIA_TESTS "/dying_enclave";

/// For programs started while this lives.
class ThrowsAt {
public:
  explicit ThrowsAt(int micro_batch) {
    ::setenv("TALARIA_TEST_THROWS_AT", std::to_string(micro_batch).c_str(), 1);
  }
  ~ThrowsAt() { ::unsetenv("TALARIA_TEST_THROWS_AT"); }
  ThrowsAt(const ThrowsAt&) = delete;
  ThrowsAt& operator=(const ThrowsAt&) = delete;
};

void check_told(const Finished& finished) {
  BOOST_TEST(finished.status == 70, finished.err);
  BOOST_TEST(finished.err.find("the engine is broken: its part 'entrance' ended (an exception of "
                               "type std::logic_error)") != std::string::npos,
             finished.err);
  BOOST_TEST(finished.err.find(kSecretText) == std::string::npos, finished.err);
}

} // namespace

BOOST_AUTO_TEST_CASE(run_ends_with_the_reason_and_its_status) {
  const ThrowsAt at(3);
  const std::string model = model_folder("talaria-tiny").string();
  check_told(run_program({kProgram, "run", "--model", model, "--prompt", "Once", "--ignore-eos"}));
  TemporaryFolder folder;
  const auto prompts = folder.path() / "prompts.txt";
  std::ofstream(prompts) << "Once\nupon\na time\n";
  check_told(run_program({kProgram, "run", "--model", model, "--prompt-file", prompts.string()}));
}

BOOST_AUTO_TEST_CASE(serve_answers_with_errors_and_ends_so_that_it_is_started_again) {
  const ThrowsAt at(3);
  const int port = free_port();
  TemporaryFolder folder;
  const auto file = folder.path() / "pipeline.yaml";
  std::ofstream(file) << "model: " << model_folder("talaria-tiny").string()
                      << "\nserve: { listen: '127.0.0.1:" << port << "' }\n";
  int status = 0;
  check_told(run_program({kServer, "serve", file.string()}, {}, [&](pid_t) {
    httplib::Client client("127.0.0.1", port);
    client.set_read_timeout(std::chrono::minutes(2));
    if (const auto result =
            client.Post("/v1/completions", R"({"prompt":"Once","max_tokens":50,"ignore_eos":true})",
                        "application/json"))
      status = result->status;
  })); // no signal: it ends by itself
  BOOST_TEST(status >= 500);
}

BOOST_AUTO_TEST_CASE(a_signal_ends_a_program_that_does_not_end) {
  const pid_t child = ::fork();
  if (child == 0) {
    cli::InterruptWatch watch(std::chrono::milliseconds(1));
    watch.on_interrupt([] {}); // and nothing comes of it
    ::kill(::getpid(), SIGTERM);
    for (;;) ::pause();
  }
  int status = 0;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST_REQUIRE(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 70);
}

} // namespace talaria::tests
