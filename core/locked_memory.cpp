#include "core/locked_memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <new>
#include <utility>

#include "core/large_memory.hpp"
#include "core/machine_memory.hpp"

namespace talaria {

namespace {

constexpr std::size_t kSlack = 64;

std::atomic<std::size_t> wanted_total{0};
std::atomic<std::size_t> unlocked_total{0};
std::atomic<bool> process_refused{false};

std::size_t page() noexcept {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

/// The pages that hold [memory, memory + bytes).
std::span<u8> pages_of(void* memory, std::size_t bytes) noexcept {
  const std::size_t before = reinterpret_cast<std::uintptr_t>(memory) % page();
  return {static_cast<u8*>(memory) - before, round_up(before + bytes, page())};
}

/// Straight to the kernel: sanitizers replace the library's functions by ones that do nothing.
bool lock(std::span<u8> pages) noexcept {
  return ::syscall(SYS_mlock, pages.data(), pages.size()) == 0;
}
void unlock(std::span<u8> pages) noexcept {
  ::syscall(SYS_munlock, pages.data(), pages.size());
}

/// In the unit that limits are given in.
std::size_t kib(std::size_t bytes) noexcept {
  return (bytes + 1023) / 1024;
}

std::string limit_text() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "unknown";
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return fmt::format("{} KiB", limit.rlim_cur / 1024);
}

/// The effective capabilities of this process; 0 if the kernel does not say.
unsigned long long effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:")) return std::strtoull(line.c_str() + 7, nullptr, 16);
  return 0;
}

bool may_lock_without_limit() {
  constexpr int kCapIpcLock = 14; // linux/capability.h
  rlimit limit{};
  return (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) ||
         (effective_capabilities() >> kCapIpcLock & 1) != 0;
}

std::string swap_text(std::size_t swap) {
  if (swap == 0) return "there is no swap now, so keep it off";
  return fmt::format("and {} MiB of swap are on: turn it off", swap >> 20);
}

} // namespace

LockReport lock_memory(void* memory, std::size_t bytes) noexcept {
  LockReport report;
  if (bytes == 0) return report;
  const std::span<u8> pages = pages_of(memory, bytes);
  ::madvise(pages.data(), pages.size(), MADV_DONTDUMP);
  if (lock(pages))
    report.locked = bytes;
  else
    report = {0, bytes, errno};
  wanted_total += bytes;
  unlocked_total += report.unlocked;
  return report;
}

void unlock_memory(void* memory, std::size_t bytes, const LockReport& report) noexcept {
  if (bytes == 0) return;
  const std::span<u8> pages = pages_of(memory, bytes);
  if (report.locked != 0) unlock(pages);
  ::madvise(pages.data(), pages.size(), MADV_DODUMP);
  wanted_total -= bytes;
  unlocked_total -= report.unlocked;
}

std::size_t unlocked_bytes() noexcept {
  return unlocked_total;
}

bool lock_process_memory() noexcept {
  process_refused =
      !(may_lock_without_limit() && ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0);
  return !process_refused;
}

std::string lock_warning(const std::filesystem::path& root) {
  const std::size_t unlocked = unlocked_total;
  const std::size_t swap = swap_of_machine(root);
  if (unlocked == 0 && (!process_refused || swap == 0)) return {};
  if (unlocked == 0)
    return fmt::format(
        "what requests hold in memory is not locked: RLIMIT_MEMLOCK is {} (ulimit -l "
        "unlimited, or LimitMEMLOCK=infinity of a systemd unit); {}",
        limit_text(), swap_text(swap));
  return fmt::format("{} KiB that should never leave memory are not locked: RLIMIT_MEMLOCK is {}, "
                     "{} KiB are needed (ulimit -l, or LimitMEMLOCK= of a systemd unit); {}",
                     kib(unlocked), limit_text(), kib(wanted_total), swap_text(swap));
}

LockedBuffer::LockedBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  mapped_ = round_up(bytes + kSlack, page());
  void* const memory =
      ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  if (mapped_ >= kHugePage) ::madvise(memory, mapped_, MADV_HUGEPAGE);
  data_ = static_cast<u8*>(memory);
  report_ = lock_memory(memory, mapped_);
}

LockedBuffer::~LockedBuffer() {
  if (data_ == nullptr) return;
  unlock_memory(data_, mapped_, report_);
  ::munmap(data_, mapped_);
}

void LockedBuffer::swap(LockedBuffer& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_, other.mapped_);
  std::swap(report_, other.report_);
}

} // namespace talaria
