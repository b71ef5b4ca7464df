#include "core/kernel_random.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

#include "core/error.hpp"

namespace talaria {

namespace {

using Word = std::atomic<u64>;

u64 draw_epoch() {
  u64 epoch = 0;
  while (epoch == 0) kernel_random({reinterpret_cast<u8*>(&epoch), sizeof epoch});
  return epoch;
}

/// Memory that the kernel fills with zeros in a child, and the C library's fork() too, for kernels
/// that do not know how (before Linux 4.14).
Word& epoch_word() {
  static Word* const word = [] {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* memory =
        ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw Error(Errc::internal, "the system gives no page of memory");
    (void)::madvise(memory, page, MADV_WIPEONFORK);
    auto* made = new (memory) Word(draw_epoch());
    static Word* shared = made;
    ::pthread_atfork(nullptr, nullptr, [] { shared->store(0, std::memory_order_relaxed); });
    return made;
  }();
  return *word;
}

} // namespace

void kernel_random(std::span<u8> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw Error(Errc::internal, "the operating system gave no random bytes");
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

u64 process_epoch() {
  Word& word = epoch_word();
  u64 epoch = word.load(std::memory_order_acquire);
  if (epoch != 0) [[likely]]
    return epoch;
  // The first to look in a child decides; the others take its number.
  const u64 drawn = draw_epoch();
  return word.compare_exchange_strong(epoch, drawn) ? drawn : epoch;
}

} // namespace talaria
