#include "core/large_memory.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/matrix.hpp"
#include "core/secret.hpp"

namespace talaria {

namespace {

constexpr std::size_t kKilobyte = 1024;
constexpr std::size_t kMegabyte = 1024 * kKilobyte;

bool begins_on(const void* block, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(large_memory)

BOOST_AUTO_TEST_CASE(a_block_is_taken_again_by_its_size_the_youngest_first) {
  LargeMemory store(kMegabyte);
  void* const first = store.take(100 * kKilobyte);
  void* const second = store.take(100 * kKilobyte);
  void* const other = store.take(200 * kKilobyte);
  store.give(first, 100 * kKilobyte);
  store.give(other, 200 * kKilobyte);
  store.give(second, 100 * kKilobyte);
  BOOST_TEST(store.kept_bytes() >= 400 * kKilobyte);
  BOOST_TEST(store.take(100 * kKilobyte) == second);
  BOOST_TEST(store.take(100 * kKilobyte) == first);
  void* const fresh = store.take(100 * kKilobyte);
  BOOST_TEST(fresh != other);
  BOOST_TEST(store.take(200 * kKilobyte) == other);
  BOOST_TEST(store.kept_bytes() == 0U);
  for (void* block : {first, second, fresh}) store.give(block, 100 * kKilobyte);
  store.give(other, 200 * kKilobyte);
}

BOOST_AUTO_TEST_CASE(blocks_hold_what_was_asked_for_and_begin_on_a_page) {
  LargeMemory store(64 * kMegabyte);
  for (std::size_t bytes = LargeMemory::kLeast; bytes < 20 * kMegabyte; bytes += bytes / 3 + 1) {
    void* const block = store.take(bytes);
    BOOST_TEST(begins_on(block, bytes < 2 * kMegabyte ? 4 * kKilobyte : 2 * kMegabyte), bytes);
    std::memset(block, 0x5a, bytes); // seen by the address sanitizer if it is too short
    store.give(block, bytes);
    void* const again = store.take(bytes);
    BOOST_TEST(again == block, bytes);
    std::memset(again, 0xa5, bytes);
    store.give(again, bytes);
  }
}

BOOST_AUTO_TEST_CASE(a_little_less_than_a_huge_page_leaves_one_for_the_next) {
  LargeMemory store(64 * kMegabyte);
  const std::size_t less = 2 * kMegabyte - 64;
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(store.take(less));
  for (void* block : blocks) store.give(block, less);
  for (void*& block : blocks) {
    block = store.take(2 * kMegabyte);
    BOOST_TEST(begins_on(block, 2 * kMegabyte));
  }
  BOOST_TEST(store.kept_bytes() == 0U); // they are the same
  for (void* block : blocks) store.give(block, 2 * kMegabyte);
}

BOOST_AUTO_TEST_CASE(nearly_equal_sizes_share_blocks_and_waste_an_eighth_at_most) {
  for (std::size_t bytes = LargeMemory::kLeast; bytes < 30 * kMegabyte; bytes += bytes / 5 + 1) {
    LargeMemory store(64 * kMegabyte);
    store.give(store.take(bytes), bytes);
    const std::size_t alignment = bytes < 2 * kMegabyte ? 4 * kKilobyte : 2 * kMegabyte;
    BOOST_TEST(store.kept_bytes() >= bytes);
    BOOST_TEST(store.kept_bytes() - bytes < std::max(bytes / 8, alignment), bytes);
  }
  LargeMemory store(kMegabyte);
  void* const block = store.take(1000 * kKilobyte);
  store.give(block, 1000 * kKilobyte);
  void* const smaller = store.take(990 * kKilobyte);
  BOOST_TEST(smaller == block);
  store.give(smaller, 990 * kKilobyte);
}

BOOST_AUTO_TEST_CASE(what_is_too_much_is_let_go_the_oldest_first) {
  LargeMemory store(256 * kKilobyte);
  void* const old = store.take(128 * kKilobyte);
  void* const young = store.take(64 * kKilobyte);
  void* const last = store.take(128 * kKilobyte);
  store.give(old, 128 * kKilobyte);
  store.give(young, 64 * kKilobyte);
  store.give(last, 128 * kKilobyte); // 320: one too many
  BOOST_TEST(store.kept_bytes() == 192 * kKilobyte);
  BOOST_TEST(store.take(128 * kKilobyte) == last);
  BOOST_TEST(store.take(64 * kKilobyte) == young);
  store.give(last, 128 * kKilobyte);
  store.give(young, 64 * kKilobyte);

  store.give(store.take(512 * kKilobyte), 512 * kKilobyte); // never fits, and drives nobody out
  BOOST_TEST(store.kept_bytes() == 192 * kKilobyte);
}

BOOST_AUTO_TEST_CASE(an_allowance_ends_with_its_owner) {
  LargeMemory store(0);
  store.give(store.take(kMegabyte), kMegabyte);
  BOOST_TEST(store.kept_bytes() == 0U);
  {
    const LargeMemory::Allowance some(store, kMegabyte);
    {
      const LargeMemory::Allowance more(store, kMegabyte);
      void* const first = store.take(kMegabyte);
      void* const second = store.take(kMegabyte);
      store.give(first, kMegabyte);
      store.give(second, kMegabyte);
      BOOST_TEST(store.kept_bytes() == 2 * kMegabyte);
    }
    BOOST_TEST(store.kept_bytes() == kMegabyte);
  }
  BOOST_TEST(store.kept_bytes() == 0U);
}

BOOST_AUTO_TEST_CASE(threads_share_it) {
  LargeMemory store(kMegabyte);
  std::vector<std::thread> threads;
  for (unsigned char t = 1; t <= 4; ++t)
    threads.emplace_back([&store, t] {
      for (std::size_t i = 0; i < 500; ++i) {
        const std::size_t bytes = LargeMemory::kLeast * (1 + i % 4);
        auto* const block = static_cast<unsigned char*>(store.take(bytes));
        std::memset(block, t, bytes);
        std::this_thread::yield();
        for (const std::size_t at : {std::size_t{0}, bytes / 2, bytes - 1})
          if (block[at] != t) std::abort(); // two owners at once
        store.give(block, bytes);
      }
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(store.kept_bytes() <= kMegabyte);
}

BOOST_AUTO_TEST_CASE(large_buffers_lie_in_the_store_of_the_process_and_small_ones_do_not) {
  const std::size_t before = LargeMemory::process().kept_bytes();
  { const AlignedBuffer<unsigned char> small(LargeMemory::kLeast / 2); }
  BOOST_TEST(LargeMemory::process().kept_bytes() == before);
  const unsigned char* where = nullptr;
  {
    AlignedBuffer<unsigned char> large(5 * kMegabyte);
    where = large.data();
    std::memset(large.data(), 1, large.size());
  }
  BOOST_TEST(LargeMemory::process().kept_bytes() > before);
  const AlignedBuffer<unsigned char> again(5 * kMegabyte); // zeros, and zeros behind the end
  BOOST_TEST(again.data() == where);
  bool zero = true;
  for (std::size_t i = 0; i < again.size() + 64; ++i) zero = zero && again.data()[i] == 0;
  BOOST_TEST(zero);
}

#ifndef __SANITIZE_ADDRESS__
BOOST_AUTO_TEST_CASE(blocks_are_in_no_core_dump_and_in_no_child) {
  LargeMemory store(kMegabyte);
  for (const std::size_t bytes : {100 * kKilobyte, 3 * kMegabyte}) {
    void* const block = store.take(bytes);
    std::memset(block, 1, bytes);
    std::ifstream maps("/proc/self/smaps");
    std::string flags;
    bool inside = false;
    for (std::string line; std::getline(maps, line);) {
      std::size_t begin = 0;
      std::size_t end = 0;
      char permissions[5];
      if (std::sscanf(line.c_str(), "%zx-%zx %4s", &begin, &end, permissions) == 3)
        inside = reinterpret_cast<std::uintptr_t>(block) >= begin &&
                 reinterpret_cast<std::uintptr_t>(block) < end;
      if (inside && line.starts_with("VmFlags:")) flags = line;
    }
    BOOST_TEST(flags.find(" dd") != std::string::npos, flags); // do not dump
    BOOST_TEST(flags.find(" dc") != std::string::npos, flags); // do not copy
    store.give(block, bytes);
  }
}
#endif

BOOST_AUTO_TEST_CASE(a_secret_leaves_nothing_in_the_store) {
  constexpr std::size_t kCount = 3 * kMegabyte / sizeof(unsigned);
  {
    SecretBuffer<unsigned> secret(kCount);
    for (std::size_t i = 0; i < kCount; ++i) secret[i] = 0xdeadbeefU;
  }
  const AlignedBuffer<unsigned> next(kCount, Unwritten{});
  bool zero = true;
  for (const unsigned value : next) zero = zero && value == 0;
  BOOST_TEST(zero);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
