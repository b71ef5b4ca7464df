// The programs in bad surroundings: descriptors that are closed, full or not read, an environment
// that weakens the file, other users who look at the list of processes.
#include <sys/stat.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/site.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/wire_proxy.hpp"
#include "tests/support/worker_process.hpp"

namespace talaria {

namespace {

const std::filesystem::path kBin = TALARIA_BIN;
const std::string kTiny = tests::model_folder("talaria-tiny").string();
constexpr const char* kAnswerOf = R"({"messages":[{"role":"user","content":"Who are you?"}],)"
                                  R"("max_tokens":4,"temperature":0})";

/// Runs a program through a shell that applies `redirections` to it.
tests::Finished redirected(const std::string& redirections, std::vector<std::string> command) {
  command.insert(command.begin(),
                 {"/bin/sh", "-c", "exec \"$0\" \"$@\" " + redirections, command.front()});
  command.erase(command.begin() + 4);
  return tests::run_program(command);
}

std::vector<std::string> talaria(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), (kBin / "talaria").string());
  return arguments;
}

std::vector<std::string> run_of_tiny(const std::vector<std::string>& more = {}) {
  auto command = talaria({"run", "--model", kTiny, "--prompt", "Hello", "--max-tokens", "3"});
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

/// Everything that writes a result.
std::vector<std::vector<std::string>> commands_with_results() {
  return {run_of_tiny(),
          run_of_tiny({"--json"}),
          talaria({"tokenize", "--model", kTiny, "text"}),
          talaria({"tokenize", "--model", kTiny, "--json", "text"}),
          talaria({"logits", "--model", kTiny, "--tokens", "1,2", "--json"}),
          talaria({"logits", "--model", kTiny, "--tokens", "1,2"}),
          talaria({"inspect", kTiny}),
          talaria({"inspect", kTiny, "--json"}),
          talaria({"--version"}),
          talaria({"run", "--help"})};
}

std::string written(const tests::TemporaryFolder& folder, const std::string& yaml) {
  const auto file = folder.path() / "pipeline.yaml";
  std::ofstream(file) << "model: " << kTiny << "\n" << yaml;
  return file.string();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_written_is_a_failure) {
  for (const std::string where : {">/dev/full", ">&-"})
    for (const auto& command : commands_with_results()) {
      const auto done = redirected(where, command);
      BOOST_TEST(done.status == 2, command.at(1) << " " << where << ": " << done.err);
      BOOST_TEST(done.err.find("standard output cannot be written") != std::string::npos,
                 command.at(1) << " " << where << ": " << done.err);
    }
}

BOOST_AUTO_TEST_CASE(a_reader_that_has_enough_ends_a_command_quietly) {
  const auto done = tests::run_program(
      {"/bin/sh", "-c", "{ \"$0\" inspect \"$1\"; echo $? >&2; } | head -c1 >/dev/null",
       (kBin / "talaria").string(), kTiny});
  BOOST_TEST((done.err == "141\n" || done.err == "0\n"), done.err); // it may have been faster
}

BOOST_AUTO_TEST_CASE(an_answer_never_reaches_a_worker_through_a_closed_descriptor) {
  const tests::Site site(kBin);
  const tests::WorkerProcess worker(kBin / "talaria-worker", site.worker_arguments());
  tests::WireProxy wire;
  wire.lead_to(worker.port());
  wire.record();
  const auto file =
      site.write_pipeline(tests::worker_line("a", wire.port(), "layers: all, start: never"));
  const auto command = talaria({"run", "--config", file, "--chat", "--prompt", "Who are you?",
                                "--temperature", "0", "--max-tokens", "16"});
  for (const std::string closed : {">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-", "<&-"}) {
    const auto done = redirected(closed, command);
    const bool has_output = closed.find(">&-") == std::string::npos || closed == "2>&-";
    BOOST_TEST(done.status == (has_output ? 0 : 2), closed << ": " << done.err);
    BOOST_TEST((done.out.find("I am Talaria") != std::string::npos) == has_output, closed);
  }
  const std::string seen = wire.recorded();
  BOOST_TEST(seen.size() > 100'000U); // the runs did reach the worker
  for (const char* piece : {"Talaria", " small", " language", "standard output"})
    BOOST_TEST(seen.find(piece) == std::string::npos, piece);
}

BOOST_AUTO_TEST_CASE(a_server_outlives_its_log_and_its_output) {
  for (const std::string where :
       {"2>/dev/full", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>&1 | head -c1 >/dev/null"}) {
    const bool piped = where.find('|') != std::string::npos;
    // The shell of a pipeline is another process: the server is found behind a fifo instead.
    const tests::TemporaryFolder folder;
    const std::string fifo = (folder.path() / "log").string();
    if (piped) BOOST_TEST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    tests::ServerProcess server(kBin, piped ? "2>" + fifo : where,
                                piped ? "(head -c1 <" + fifo + " >/dev/null; exec true) & "
                                      : std::string());
    for (int i = 0; i < 3; ++i) BOOST_TEST(!server.post("/v1/chat/completions", kAnswerOf).empty());
    BOOST_TEST(server.stop() == 0, where);
  }
}

BOOST_AUTO_TEST_CASE(a_worker_outlives_its_log) {
  const tests::Site site(kBin);
  for (const std::string where : {"2>/dev/full", "2>&-"}) {
    auto command = site.worker_arguments(
        {"--listen", "127.0.0.1:0", "--progress", "json", "--exit-with-stdin"});
    command.insert(command.begin(), (kBin / "talaria-worker").string());
    const auto done = redirected(where, command); // its standard input ends at once
    BOOST_TEST((done.status == 0 || done.status == 130), where << ": " << done.status);
  }
}

BOOST_AUTO_TEST_CASE(the_list_of_processes_does_not_show_a_prompt) {
  std::string seen;
  const auto done = tests::run_program(
      talaria({"run", "--model", kTiny, "--prompt", "Once upon a marker", "--stop", "other marker",
               "--ignore-eos", "--max-tokens", "64"}),
      {}, [&seen](pid_t pid) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
        seen.assign(std::istreambuf_iterator<char>(file), {});
      });
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(seen.find("--prompt") != std::string::npos); // it was still running
  BOOST_TEST(seen.find("marker") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_trace_is_readable_by_its_owner_alone) {
  const tests::TemporaryFolder folder;
  const auto trace = folder.path() / "trace.json";
  ::umask(0022);
  const auto done = tests::run_program(run_of_tiny({"--trace", trace.string()}));
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  struct stat about {};
  BOOST_TEST_REQUIRE(::stat(trace.c_str(), &about) == 0);
  BOOST_TEST((about.st_mode & 0777) == 0600U);
}

BOOST_AUTO_TEST_CASE(a_server_without_full_protection_needs_a_flag_of_this_start) {
  const struct {
    const char* yaml;
    const char* flag;
  } weak[] = {{"masking: { scheme: hybrid }\n", "--allow-hybrid"},
              {"masking: { scheme: clear }\n", "--allow-clear"},
              {"masking: { integrity: none }\n", "--allow-unverified"}};
  for (const auto& [yaml, flag] : weak)
    for (const char* command : {"serve", "launch"}) {
      const tests::TemporaryFolder folder;
      const auto file = written(folder, std::string(yaml) + "serve: { listen: 127.0.0.1:1 }\n");
      const auto refused = tests::run_program(talaria({command, file}));
      BOOST_TEST(refused.status == 2, refused.err);
      BOOST_TEST(refused.err.find(flag) != std::string::npos, refused.err);
      // With the flag the next thing that is wrong is the port, which only root could bind; as root
      // nothing is wrong, so the file asks for a model that is not there instead.
      const auto allowed = tests::run_program(
          talaria({command, written(folder, std::string(yaml) + "serve: { listen: 192.0.2.1:9 }\n"),
                   flag}));
      BOOST_TEST(allowed.status != 0);
      BOOST_TEST(allowed.err.find(flag) == std::string::npos, allowed.err);
    }
}

BOOST_AUTO_TEST_CASE(the_environment_cannot_weaken_what_the_file_says) {
  const tests::TemporaryFolder folder;
  const auto file = written(folder, "serve: { listen: 127.0.0.1:1 }\n");
  const struct {
    const char* assignment;
    const char* named;
  } weaker[] = {{"TALARIA_SCHEME=hybrid", "TALARIA_SCHEME"},
                {"TALARIA_SCHEME=clear", "TALARIA_SCHEME"},
                {"TALARIA_PARAMETERS=S46", "TALARIA_PARAMETERS"}};
  for (const auto& [assignment, named] : weaker)
    for (const auto& command : {std::vector<std::string>{"serve", file},
                                {"launch", file},
                                {"run", "--config", file, "--prompt", "x"}}) {
      std::vector<std::string> words{"/usr/bin/env", assignment, (kBin / "talaria").string()};
      words.insert(words.end(), command.begin(), command.end());
      const auto refused = tests::run_program(words);
      BOOST_TEST(refused.status == 2, refused.err);
      BOOST_TEST(refused.err.find(named) != std::string::npos, refused.err);
      BOOST_TEST(refused.err.find("protects less") != std::string::npos, refused.err);
    }
}

BOOST_AUTO_TEST_CASE(unverified_answers_are_announced_by_every_command_that_gives_them) {
  const tests::TemporaryFolder folder;
  const auto file = written(folder, "masking: { integrity: none }\n");
  const auto done = tests::run_program(
      talaria({"run", "--config", file, "--prompt", "Hello", "--max-tokens", "1"}));
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(done.err.find("not checked") != std::string::npos, done.err);
}

} // namespace talaria
