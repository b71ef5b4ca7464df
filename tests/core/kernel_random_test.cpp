#include "core/kernel_random.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <functional>
#include <vector>

#include "core/aes_rng.hpp"

using namespace talaria;

namespace {

using Bytes = std::vector<u8>;

pid_t ordinary_fork() {
  return ::fork();
}
/// Past the C library: no handler of pthread_atfork() runs.
pid_t raw_fork() {
  return static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

/// What `draw` gives in a child.
Bytes in_child(pid_t (*fork)(), const std::function<Bytes()>& draw) {
  int pipe[2];
  BOOST_REQUIRE(::pipe(pipe) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const Bytes bytes = draw();
    ::_exit(::write(pipe[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) ? 0
                                                                                               : 1);
  }
  ::close(pipe[1]);
  Bytes out(4096);
  std::size_t have = 0;
  for (ssize_t got; (got = ::read(pipe[0], out.data() + have, out.size() - have)) > 0;)
    have += static_cast<std::size_t>(got);
  ::close(pipe[0]);
  int status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  out.resize(have);
  return out;
}

template <class Generator>
Bytes take(Generator& rng, std::size_t bytes = 64) {
  Bytes out(bytes);
  rng.fill(out);
  return out;
}

/// Generators that were drawn from before the fork: neither what comes next nor what came before is
/// in two processes.
template <class Generator>
void check_fork() {
  for (auto* fork : {ordinary_fork, raw_fork}) {
    Generator rng = Generator::from_system();
    const Bytes before = take(rng);
    const Bytes child = in_child(fork, [&] { return take(rng); });
    const Bytes second = in_child(fork, [&] { return take(rng); });
    const Bytes grandchild =
        in_child(fork, [&] { return in_child(fork, [&] { return take(rng); }); });
    const Bytes parent = take(rng);
    const std::vector<Bytes> all{before, child, second, grandchild, parent};
    for (std::size_t i = 0; i < all.size(); ++i) {
      BOOST_TEST(all[i].size() == 64U);
      for (std::size_t j = 0; j < i; ++j) BOOST_CHECK(all[i] != all[j]);
    }
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(kernel_random_bytes)

BOOST_AUTO_TEST_CASE(every_length_is_filled_and_never_alike) {
  for (const std::size_t bytes : {0U, 1U, 32U, 256U, 257U, 100000U}) {
    Bytes a(bytes + 1, 0xa5), b(bytes + 1, 0xa5);
    kernel_random({a.data(), bytes});
    kernel_random({b.data(), bytes});
    BOOST_TEST(a.back() == 0xa5);
    if (bytes >= 32) BOOST_CHECK(a != b);
  }
}

BOOST_AUTO_TEST_CASE(a_process_has_one_epoch_and_its_children_have_others) {
  const u64 mine = process_epoch();
  BOOST_TEST(mine != 0U);
  BOOST_TEST(process_epoch() == mine);
  for (auto* fork : {ordinary_fork, raw_fork}) {
    const Bytes child = in_child(fork, [&] {
      const u64 epoch = process_epoch();
      return Bytes{u8{epoch != mine}, u8{epoch != 0}, u8{process_epoch() == epoch}};
    });
    BOOST_CHECK(child == (Bytes{1, 1, 1}));
  }
  BOOST_TEST(process_epoch() == mine);
}

BOOST_AUTO_TEST_CASE(parent_and_child_draw_different_bytes_for_masks) {
  check_fork<AesRng>();
}

BOOST_AUTO_TEST_CASE(parent_and_child_draw_different_bytes_for_keys_and_checks) {
  check_fork<ChaChaRng>();
}

BOOST_AUTO_TEST_CASE(a_stream_whose_key_was_given_stays_that_stream_in_a_child) {
  ChaChaRng rng = seeded_rng(5);
  const Bytes child = in_child(ordinary_fork, [&] { return take(rng); });
  BOOST_CHECK(child == take(rng));
}

BOOST_AUTO_TEST_SUITE_END()
