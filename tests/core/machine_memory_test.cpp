#include "core/machine_memory.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>

#include "tests/support/temporary_folder.hpp"

using namespace talaria;

namespace {

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

constexpr std::size_t kGiB = std::size_t{1} << 30;

} // namespace

BOOST_AUTO_TEST_SUITE(machine_memory)

BOOST_AUTO_TEST_CASE(without_a_limit_it_is_the_machines) {
  const tests::TemporaryFolder root;
  BOOST_TEST(memory_of_machine(root.path()) == 0u); // nothing is known
  BOOST_TEST(available_memory(root.path()) == 0u);
  BOOST_TEST(swap_of_machine(root.path()) == 0u);
  write(root.path() / "proc/meminfo",
        "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    2097152 kB\n");
  BOOST_TEST(memory_of_machine(root.path()) == 16 * kGiB);
  BOOST_TEST(available_memory(root.path()) == 2 * kGiB);
  write(root.path() / "proc/self/cgroup", "0::/\n");
  write(root.path() / "sys/fs/cgroup/memory.max", "max\n");
  BOOST_TEST(memory_of_machine(root.path()) == 16 * kGiB);
}

BOOST_AUTO_TEST_CASE(the_tightest_group_around_the_process_counts) {
  const tests::TemporaryFolder root;
  const auto groups = root.path() / "sys/fs/cgroup";
  write(root.path() / "proc/meminfo", "MemTotal: 16777216 kB\n");
  write(root.path() / "proc/self/cgroup", "5:memory:/old\n0::/machine/enclave\n");
  write(groups / "machine/enclave/memory.max", "8589934592\n");
  write(groups / "other/memory.max", "1\n");
  BOOST_TEST(memory_of_machine(root.path()) == 8 * kGiB);
  write(groups / "machine/memory.max", "4294967296\n");
  BOOST_TEST(memory_of_machine(root.path()) == 4 * kGiB);
  write(groups / "machine/memory.max", "1099511627776\n"); // more than there is
  write(groups / "machine/enclave/memory.max", "max\n");
  BOOST_TEST(memory_of_machine(root.path()) == 16 * kGiB);
}

BOOST_AUTO_TEST_CASE(this_machine_has_memory) {
  BOOST_TEST(memory_of_machine() >= available_memory() / 2);
  BOOST_TEST(memory_of_machine() > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
