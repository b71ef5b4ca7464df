#include "cli/reload_watch.hpp"

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include "tests/support/eventually.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::cli {

BOOST_AUTO_TEST_SUITE(reload_watch)

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// A watch, and how often it has acted.
class Watched {
public:
  explicit Watched(const fs::path& file)
      : watch_(
            hangup_, file, FileLook::at(file), [this] { ++actions_; }, milliseconds(5)) {}
  bool acts(int times) const {
    return tests::eventually([&] { return actions_ >= times; }) && actions_ == times;
  }
  int actions() const { return actions_; }
  /// Longer than it takes to look twice.
  static void wait() { std::this_thread::sleep_for(milliseconds(100)); }

private:
  struct NoTerminal { // where one is standard input, SIGHUP ends the test
    NoTerminal() {
      const int nothing = ::open("/dev/null", O_RDONLY);
      ::dup2(nothing, STDIN_FILENO);
      ::close(nothing);
    }
  };
  NoTerminal no_terminal_;
  HangupSignal hangup_;
  std::atomic<int> actions_{0};
  ReloadWatch watch_;
};

void write(const fs::path& file, const std::string& text) {
  std::ofstream(file) << text;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_file_that_is_written_to_or_replaced_is_noticed_once) {
  const tests::TemporaryFolder folder;
  const fs::path file = folder.path() / "pipeline.yaml";
  write(file, "one");
  const Watched watched(file);
  Watched::wait();
  BOOST_TEST(watched.acts(0));
  write(folder.path() / "new", "one"); // the same length, another file
  fs::rename(folder.path() / "new", file);
  BOOST_TEST(watched.acts(1));
  Watched::wait();
  BOOST_TEST(watched.acts(1));
  write(file, "another"); // which may be looked at while it is empty
  BOOST_TEST(tests::eventually([&] { return watched.actions() >= 2; }));
}

// A ConfigMap is a folder of links through one link, which is exchanged.
BOOST_AUTO_TEST_CASE(a_link_on_the_way_that_leads_elsewhere_is_noticed) {
  const tests::TemporaryFolder folder;
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(folder.path() / version);
    write(folder.path() / version / "pipeline.yaml", "the same bytes");
  }
  fs::create_symlink("v1", folder.path() / "..data");
  fs::create_symlink("..data/pipeline.yaml", folder.path() / "pipeline.yaml");
  const Watched watched(folder.path() / "pipeline.yaml");
  Watched::wait();
  fs::create_symlink("v2", folder.path() / "..data_tmp");
  fs::rename(folder.path() / "..data_tmp", folder.path() / "..data");
  BOOST_TEST(watched.acts(1));
}

BOOST_AUTO_TEST_CASE(a_file_that_goes_is_no_change_until_it_is_back) {
  const tests::TemporaryFolder folder;
  const fs::path file = folder.path() / "pipeline.yaml";
  write(file, "one");
  const Watched watched(file);
  fs::remove(file);
  Watched::wait();
  BOOST_TEST(watched.acts(0));
  write(folder.path() / "new", "two");
  fs::rename(folder.path() / "new", file);
  BOOST_TEST(watched.acts(1));
}

BOOST_AUTO_TEST_CASE(what_has_changed_before_the_watch_begins_is_noticed) {
  const tests::TemporaryFolder folder;
  const fs::path file = folder.path() / "pipeline.yaml";
  write(file, "as it was read");
  const FileLook read = FileLook::at(file);
  write(file, "as it is now that the model is loaded");
  const HangupSignal hangup;
  std::atomic<int> actions{0};
  const ReloadWatch watch(
      hangup, file, read, [&] { ++actions; }, milliseconds(5));
  BOOST_TEST(tests::eventually([&] { return actions == 1; }));
}

BOOST_AUTO_TEST_CASE(a_hangup_is_another_look_and_never_the_end) {
  const tests::TemporaryFolder folder;
  const fs::path file = folder.path() / "pipeline.yaml";
  write(file, "one");
  {
    const Watched watched(file);
    ::kill(::getpid(), SIGHUP);
    BOOST_TEST(watched.acts(1));
    ::kill(::getpid(), SIGHUP);
    BOOST_TEST(watched.acts(2));
  }
  ::kill(::getpid(), SIGHUP); // nobody looks any more, and nothing ends
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
