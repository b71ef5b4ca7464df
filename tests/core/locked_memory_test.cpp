#include "core/locked_memory.hpp"

#include <boost/test/unit_test.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>

#include "tests/support/temporary_folder.hpp"

using namespace talaria;

namespace {

/// What /proc/self/smaps says of the mapping that holds `address`.
std::string smaps_of(const void* address) {
  std::ifstream in("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::string text;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::istringstream head(line);
    if (line.find('-') < line.find(' ') && head >> std::hex >> first >> dash >> end)
      inside = first <= wanted && wanted < end;
    if (inside) text += line + '\n';
  }
  return text;
}

/// Runs `body` in a child that may lock `limit` bytes, and gives its exit status: others' locks
/// stay as they are.
int in_child_with_limit(std::size_t limit, const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit lower{limit, limit};
    if (::setrlimit(RLIMIT_MEMLOCK, &lower) != 0) ::_exit(2);
    // Root may lock whatever the limit says.
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr std::size_t kPages = 3 * 4096;

} // namespace

BOOST_AUTO_TEST_SUITE(locked_memory)

BOOST_AUTO_TEST_CASE(a_locked_buffer_is_zero_private_and_in_no_dump) {
  LockedBuffer buffer(kPages);
  BOOST_TEST(buffer.size() == kPages);
  BOOST_TEST(std::all_of(buffer.span().begin(), buffer.span().end(), [](u8 x) { return x == 0; }));
  BOOST_TEST(buffer.data()[kPages + 63] == 0); // slack for vector loads
  const std::string smaps = smaps_of(buffer.data());
  const auto flags = smaps.find("VmFlags:");
  BOOST_REQUIRE(flags != std::string::npos);
  BOOST_TEST(smaps.find(" dd", flags) != std::string::npos); // MADV_DONTDUMP
  if (buffer.report().unlocked == 0) {
    BOOST_TEST(smaps.find(" lo", flags) != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(moving_a_locked_buffer_moves_its_memory) {
  LockedBuffer first(100);
  first.data()[7] = 9;
  const u8* const at = first.data();
  LockedBuffer second(std::move(first));
  BOOST_TEST(second.data() == at);
  BOOST_TEST(second.data()[7] == 9);
  LockedBuffer third;
  BOOST_TEST(third.data() == nullptr);
  third = std::move(second);
  BOOST_TEST(third.data() == at);
  BOOST_TEST(LockedBuffer(0).data() == nullptr);
}

BOOST_AUTO_TEST_CASE(what_the_limit_allows_is_locked_without_a_word) {
  BOOST_TEST(in_child_with_limit(std::size_t{1} << 20, [] {
               const LockedBuffer buffer(kPages);
               return buffer.report().unlocked == 0 && buffer.report().locked > kPages &&
                      unlocked_bytes() == 0 && lock_warning().empty();
             }) == 0);
}

BOOST_AUTO_TEST_CASE(what_the_limit_forbids_is_counted_and_named) {
  BOOST_TEST(in_child_with_limit(std::size_t{64} << 10, [] {
               std::string warning;
               {
                 const LockedBuffer small(4000);
                 const LockedBuffer large(std::size_t{1} << 20);
                 if (small.report().unlocked != 0 || large.report().unlocked == 0) return false;
                 if (large.report().error == 0) return false;
                 if (unlocked_bytes() != large.report().unlocked) return false;
                 warning = lock_warning();
               }
               // 4096 and 1 MiB with its slack, which takes a page more.
               return unlocked_bytes() == 0 && lock_warning().empty() &&
                      warning.find("1028 KiB") != std::string::npos &&
                      warning.find("RLIMIT_MEMLOCK is 64 KiB") != std::string::npos &&
                      warning.find("1032 KiB are needed") != std::string::npos &&
                      warning.find("swap") != std::string::npos;
             }) == 0);
}

/// Two folders that look like the kernel's /proc.
struct Machines {
  Machines() {
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0755)); // for another user
    for (const auto& [name, kib] : {std::pair{"swapping", "8388604"}, {"quiet", "0"}}) {
      std::filesystem::create_directories(folder.path() / name / "proc");
      std::ofstream(folder.path() / name / "proc" / "meminfo")
          << "MemTotal: 1000 kB\nSwapTotal: " << kib << " kB\n";
    }
  }
  tests::TemporaryFolder folder;
  std::filesystem::path swapping = folder.path() / "swapping";
  std::filesystem::path quiet = folder.path() / "quiet";
};

BOOST_FIXTURE_TEST_CASE(a_process_that_cannot_be_locked_is_told_where_the_machine_swaps, Machines) {
  BOOST_TEST(in_child_with_limit(std::size_t{64} << 10, [this] {
               if (lock_process_memory()) return false;
               const std::string warning = lock_warning(swapping);
               return warning.find("RLIMIT_MEMLOCK is 64 KiB") != std::string::npos &&
                      warning.find("8191 MiB of swap are on") != std::string::npos &&
                      lock_warning(quiet).empty();
             }) == 0);
}

// One sentence about one thing: what it asks for covers both.
BOOST_FIXTURE_TEST_CASE(two_reasons_are_one_warning, Machines) {
  BOOST_TEST(in_child_with_limit(std::size_t{64} << 10, [this] {
               const LockedBuffer large(std::size_t{1} << 20);
               lock_process_memory();
               const std::string warning = lock_warning(swapping);
               return warning.find("KiB are needed") != std::string::npos &&
                      warning.find("RLIMIT_MEMLOCK") == warning.rfind("RLIMIT_MEMLOCK") &&
                      warning.find('\n') == std::string::npos;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(memory_of_an_allocator_is_locked_and_given_back) {
  const std::size_t before = unlocked_bytes();
  void* const memory = std::aligned_alloc(4096, kPages);
  const LockReport report = lock_memory(memory, kPages);
  BOOST_TEST(report.locked + report.unlocked == kPages);
  BOOST_TEST(unlocked_bytes() == before + report.unlocked);
  unlock_memory(memory, kPages, report);
  BOOST_TEST(unlocked_bytes() == before);
  BOOST_TEST(smaps_of(memory).find(" dd") == std::string::npos);
  std::free(memory);
  BOOST_TEST(lock_memory(nullptr, 0).unlocked == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
