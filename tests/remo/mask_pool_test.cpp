#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "remo/mask_pool.hpp"
#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

namespace {

std::atomic<u64> rows_alive{0};

class FakeBlock final : public MaskBlock {
public:
  FakeBlock(const MaskedLinear* owner, u64 id, std::size_t rows)
      : MaskBlock(owner), number(id), rows_(rows) {
    rows_alive += rows;
  }
  std::size_t rows() const noexcept override { return rows_; }
  void wipe_row(std::size_t) noexcept override { --rows_alive; }
  const u64 number;

private:
  std::size_t rows_;
};

/// Makes numbered blocks of nothing.
class FakeLinear final : public MaskedLinear {
public:
  FakeLinear(u32 matrix, std::size_t block_rows, std::size_t row_bytes)
      : matrix_(matrix), block_rows_(block_rows), row_bytes_(row_bytes) {}
  u32 matrix() const noexcept override { return matrix_; }
  const std::string& name() const noexcept override { return name_; }
  std::size_t d_in() const noexcept override { return 1; }
  std::size_t d_out() const noexcept override { return 1; }
  std::size_t hint_bytes() const noexcept override { return 0; }
  std::size_t mask_row_bytes() const noexcept override { return row_bytes_; }
  std::size_t block_rows() const noexcept override { return block_rows_; }
  std::vector<MaskRow> make_block(Rng& rng) const override {
    if (std::this_thread::get_id() != spared && failures > 0 && failures-- > 0)
      throw std::runtime_error("no entropy");
    if (together != nullptr) together->arrive_and_wait();
    if (log != nullptr) log->push_back(matrix_); // only with one filler
    u8 byte;
    rng.fill({&byte, 1});
    auto block = std::make_shared<FakeBlock>(this, next_block++, block_rows_);
    std::vector<MaskRow> rows;
    for (std::size_t r = 0; r < block_rows_; ++r) rows.emplace_back(block, r);
    return rows;
  }
  Masked mask(MatrixView<const float>, std::vector<MaskRow>) const override { return {}; }
  Result<Matrix<float>> unmask(std::unique_ptr<Opening>&, const WorkerProduct&,
                               MatrixView<const float>) const override {
    return Matrix<float>();
  }

  mutable std::atomic<int> failures{0};
  std::thread::id spared;             ///< never fails in this thread
  std::barrier<>* together = nullptr; ///< makers wait for each other
  std::vector<u32>* log = nullptr;
  static inline std::atomic<u64> next_block{0};

private:
  u32 matrix_;
  std::string name_ = "fake";
  std::size_t block_rows_;
  std::size_t row_bytes_;
};

std::unique_ptr<Rng> make_rng() {
  static std::atomic<u64> stream{0};
  return std::make_unique<ChaChaRng>(seeded_rng(1, stream++));
}

std::pair<u64, std::size_t> identity(const MaskRow& row) {
  return {static_cast<FakeBlock*>(row.block())->number, row.index()};
}

MaskPool::Options options(std::size_t rows_ahead, std::size_t memory, std::size_t threads) {
  MaskPool::Options out;
  out.rows_ahead = rows_ahead;
  out.memory_bytes = memory;
  out.threads = threads;
  return out;
}

constexpr std::size_t kPlenty = std::size_t{1} << 30;

} // namespace

BOOST_AUTO_TEST_SUITE(mask_pool)

BOOST_AUTO_TEST_CASE(many_takers_never_get_the_same_row) {
  const FakeLinear a(0, 16, 100), b(1, 8, 50), c(2, 4, 10);
  for (const std::size_t threads : {0u, 1u, 3u}) {
    std::set<std::pair<u64, std::size_t>> seen;
    std::mutex mutex;
    std::size_t taken = 0;
    {
      MaskPool pool({&a, &b, &c}, options(40, kPlenty, threads), make_rng);
      std::vector<std::thread> takers;
      for (std::size_t t = 0; t < 4; ++t)
        takers.emplace_back([&, t] {
          TestRandom random(t);
          for (int i = 0; i < 150; ++i) {
            const std::size_t rows = random.bits() % 40;
            const std::vector<MaskRow> masks = pool.take(random.bits() % 3, rows);
            const std::lock_guard lock(mutex);
            BOOST_REQUIRE_EQUAL(masks.size(), rows);
            taken += rows;
            for (const MaskRow& row : masks) seen.insert(identity(row));
          }
        });
      for (std::thread& taker : takers) taker.join();
      const MaskPool::Stats stats = pool.stats();
      BOOST_TEST(stats.rows_made_ahead + stats.rows_made_inline >= taken);
      if (threads == 0) BOOST_TEST(stats.rows_made_ahead == 0u);
    }
    BOOST_TEST(seen.size() == taken);
    BOOST_TEST(rows_alive == 0u); // what was left has been wiped
  }
}

namespace {

/// No generator makes masks twice: each is asked for once, and gone before the masks are taken.
class CountedRng final : public Rng {
public:
  CountedRng() {
    ++made;
    ++alive;
  }
  ~CountedRng() override { --alive; }
  void fill(std::span<u8> out) override {
    ++fills;
    std::fill(out.begin(), out.end(), u8{1});
  }
  static inline std::atomic<int> made{0}, alive{0}, fills{0};
};

} // namespace

BOOST_AUTO_TEST_CASE(every_making_has_a_generator_of_its_own) {
  for (const std::size_t threads : {0u, 1u}) {
    CountedRng::made = CountedRng::fills = 0;
    const u64 blocks_before = FakeLinear::next_block;
    const FakeLinear a(0, 4, 10);
    MaskPool pool({&a}, options(4, kPlenty, threads),
                  [] { return std::make_unique<CountedRng>(); });
    pool.wait_until_full();
    for (int i = 0; i < 6; ++i) pool.take(0, 4);
    pool.wait_until_full();
    BOOST_TEST(CountedRng::alive == 0);
    BOOST_TEST(CountedRng::made > 1);
    BOOST_TEST(CountedRng::fills == static_cast<int>(FakeLinear::next_block - blocks_before));
    BOOST_TEST(CountedRng::made <= CountedRng::fills);
  }
}

BOOST_AUTO_TEST_CASE(no_row_of_a_dropped_stock_is_handed_out_and_the_stock_is_made_anew) {
  for (const std::size_t threads : {0u, 1u, 2u}) {
    const FakeLinear a(0, 8, 10), b(1, 4, 10);
    {
      MaskPool pool({&a, &b}, options(16, kPlenty, threads), make_rng);
      pool.wait_until_full();
      pool.take(0, 3);
      const u64 first_after = FakeLinear::next_block;
      pool.drop_stock();
      for (const std::size_t index : {0u, 1u})
        for (const MaskRow& row : pool.take(index, 5))
          BOOST_TEST(identity(row).first >= first_after);
      pool.wait_until_full();
      if (threads != 0) BOOST_TEST(pool.stats().bytes > 0u);
      if (threads != 0) BOOST_TEST(pool.stats().rows_dropped > 0u);
      pool.drop_stock();
      if (threads == 0) BOOST_TEST(rows_alive == 0u); // dropped rows are wiped
    }
    BOOST_TEST(rows_alive == 0u);
  }
}

// Makers that were at work when the stock was dropped have keyed their generators before.
BOOST_AUTO_TEST_CASE(rows_that_were_being_made_when_the_stock_was_dropped_are_dropped_too) {
  const FakeLinear a(0, 8, 10);
  const u64 first = FakeLinear::next_block;
  MaskPool* the_pool = nullptr;
  bool dropped = false;
  // Dropped in the middle of the first making: its generator is there, its blocks are not.
  MaskPool pool({&a}, options(0, kPlenty, 0), [&] {
    if (!std::exchange(dropped, true)) the_pool->drop_stock();
    return make_rng();
  });
  the_pool = &pool;
  const auto rows = pool.take(0, 2);
  BOOST_TEST_REQUIRE(rows.size() == 2u);
  for (const MaskRow& row : rows) BOOST_TEST(identity(row).first == first + 1);
  BOOST_TEST(pool.stats().rows_dropped == 8u);
}

BOOST_AUTO_TEST_CASE(a_forked_child_is_refused_its_parents_masks) {
  const FakeLinear a(0, 4, 10);
  MaskPool pool({&a}, options(4, kPlenty, 0), make_rng);
  pool.take(0, 1);
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      pool.take(0, 1);
      ::_exit(1);
    } catch (const Error&) {
      ::_exit(0);
    }
  }
  int status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  BOOST_TEST(pool.take(0, 1).size() == 1u);
}

// A block of each comes first; then as many together as leave one to live on.
BOOST_AUTO_TEST_CASE(stocks_fill_evenly_the_lowest_first) {
  FakeLinear a(0, 4, 10), b(1, 4, 10), c(2, 4, 10);
  std::vector<u32> log;
  a.log = b.log = c.log = &log;
  MaskPool pool({&a, &b, &c}, options(12, kPlenty, 1), make_rng);
  pool.wait_until_full();
  BOOST_TEST(log == (std::vector<u32>{0, 1, 2, 0, 0, 1, 1, 2, 2}),
             boost::test_tools::per_element());
  log.clear();
  (void)pool.take(1, 9);
  pool.wait_until_full();
  BOOST_TEST(log == (std::vector<u32>{1, 1}), boost::test_tools::per_element());
  const MaskPool::Stats stats = pool.stats();
  BOOST_TEST(stats.stalls == 0u);
  BOOST_TEST(stats.rows_made_ahead == 44u);
  BOOST_TEST(stats.rows_made_inline == 0u);
}

BOOST_AUTO_TEST_CASE(at_first_stocks_are_filled_to_capacity) {
  FakeLinear a(0, 4, 10), b(1, 4, 10);
  MaskPool pool({&a, &b}, options(30, kPlenty, 1), make_rng); // eight blocks; refills of four
  pool.wait_until_full();
  BOOST_TEST(pool.stats().bytes == 2 * 8 * 40u);
  (void)pool.take(0, 14);
  pool.wait_until_full();
  BOOST_TEST(pool.stats().bytes == (5 + 8) * 40u); // three blocks are gone
  (void)pool.take(0, 2);
  pool.wait_until_full();
  BOOST_TEST(pool.stats().bytes == 2 * 8 * 40u);
}

// Row by row, as decoding takes them: one reading of the hint serves as many blocks as memory lets
// it, and there is always a row left.
BOOST_AUTO_TEST_CASE(a_refill_waits_until_blocks_can_be_made_together) {
  for (const std::size_t held : {2u, 3u, 4u, 5u, 9u}) {
    FakeLinear a(0, 8, 10), b(1, 8, 30);
    std::vector<u32> log;
    a.log = b.log = &log;
    MaskPool pool({&a, &b}, options(1000, held * (80 + 240), 1), make_rng);
    pool.wait_until_full();
    std::size_t refills = 0;
    log.clear();
    for (int token = 0; token < 400; ++token) {
      BOOST_TEST(pool.take(0, 1).size() == 1u);
      BOOST_TEST(pool.take(1, 1).size() == 1u);
      pool.wait_until_full();
      const std::size_t together = std::min<std::size_t>(held - 1, 4);
      BOOST_TEST(log.size() % together == 0u, "memory for " << held << ": " << log.size());
      refills += log.size() / together;
      log.clear();
      BOOST_TEST(pool.stats().bytes <= held * 320);
    }
    BOOST_TEST(pool.stats().stalls == 0u);
    BOOST_TEST(refills > 0u);
  }
}

// Else a small matrix takes whatever a large one gives back, and the large one gets single blocks.
BOOST_AUTO_TEST_CASE(the_lowest_stock_is_served_before_others_that_want_less) {
  FakeLinear large(0, 8, 1000), small(1, 8, 10);
  std::vector<u32> log;
  large.log = small.log = &log;
  MaskPool pool({&large, &small}, options(1000, 3 * 8000 + 10 * 80, 1), make_rng);
  std::size_t singles = 0;
  for (int token = 0; token < 400; ++token) {
    pool.wait_until_full();
    if (token > 0) singles += std::count(log.begin(), log.end(), 0u) == 1 ? 1 : 0;
    log.clear();
    BOOST_TEST(pool.take(0, 1).size() == 1u);
    BOOST_TEST(pool.take(1, 1).size() == 1u);
  }
  BOOST_TEST(singles == 0u);
  BOOST_TEST(pool.stats().stalls == 0u);
}

// What one matrix has used up waits for its own next refill: blocks of another size would need
// memory that the process never had.
BOOST_AUTO_TEST_CASE(a_matrix_never_lives_on_what_another_has_left) {
  FakeLinear head(0, 8, 1000), layer(1, 8, 100);
  std::vector<u32> log;
  head.log = layer.log = &log;
  MaskPool pool({&head, &layer}, options(1000, 6 * 8800, 1), make_rng);
  pool.wait_until_full();
  BOOST_TEST(pool.stats().bytes == 6 * 8800u);
  (void)pool.take(1, 3 * 8); // three of six: a refill of four has to wait
  (void)pool.take(0, 4 * 8 - 1);
  pool.wait_until_full();
  log.clear();
  for (int i = 0; i < 40; ++i) { // the head alone is used, and is the lowest
    (void)pool.take(0, 1);
    pool.wait_until_full();
    BOOST_TEST(pool.stats().bytes <= 6 * 8000 + 3 * 800u);
  }
  BOOST_TEST(std::count(log.begin(), log.end(), 0u) >= 4);
  BOOST_TEST(std::count(log.begin(), log.end(), 1u) == 0);
}

BOOST_AUTO_TEST_CASE(memory_stays_below_its_bound_whatever_is_taken) {
  const FakeLinear a(0, 16, 100), b(1, 16, 100), c(2, 4, 1000);
  const std::size_t bound = 3 * 1600 + 2 * 4000;
  MaskPool pool({&a, &b, &c}, options(1000, bound, 2), make_rng);
  pool.wait_until_full();
  BOOST_TEST(pool.stats().bytes <= bound);
  BOOST_TEST(pool.stats().bytes > bound - 4000);
  std::vector<std::thread> takers;
  for (std::size_t t = 0; t < 3; ++t)
    takers.emplace_back([&, t] {
      TestRandom random(t);
      for (int i = 0; i < 200; ++i) {
        (void)pool.take(t, random.bits() % 20);
        const std::size_t bytes = pool.stats().bytes;
        if (bytes > bound) throw std::logic_error("over the bound");
      }
    });
  for (std::thread& taker : takers) taker.join();
  pool.wait_until_full();
  BOOST_TEST(pool.stats().bytes <= bound);
}

BOOST_AUTO_TEST_CASE(waiting_ends_while_takers_make_blocks_themselves) {
  const FakeLinear a(0, 16, 100), b(1, 4, 1000);
  MaskPool pool({&a, &b}, options(40, 3 * 5600, 2), make_rng);
  std::vector<std::thread> takers;
  for (std::size_t t = 0; t < 2; ++t)
    takers.emplace_back([&, t] {
      TestRandom random(t);
      for (int i = 0; i < 400; ++i) {
        (void)pool.take(t, random.bits() % 60);
        pool.wait_until_full();
      }
    });
  for (std::thread& taker : takers) taker.join();
  BOOST_TEST(pool.stats().bytes <= 3 * 5600u);
}

BOOST_AUTO_TEST_CASE(one_block_of_each_matrix_is_kept_even_if_memory_is_given_as_none) {
  const FakeLinear a(0, 16, 100), b(1, 16, 100);
  MaskPool pool({&a, &b}, options(1000, 0, 0), make_rng);
  for (int i = 0; i < 16; ++i) {
    BOOST_TEST(pool.take(0, 1).size() == 1u);
    BOOST_TEST(pool.take(1, 1).size() == 1u);
  }
  const MaskPool::Stats stats = pool.stats();
  BOOST_TEST(stats.rows_made_inline == 32u); // one block each
  BOOST_TEST(stats.stalls == 2u);
  BOOST_TEST(stats.bytes == 0u);
}

BOOST_AUTO_TEST_CASE(without_fillers_rows_are_made_inline_and_the_rest_is_kept) {
  const FakeLinear a(0, 16, 100);
  MaskPool pool({&a}, options(64, kPlenty, 0), make_rng);
  pool.wait_until_full(); // aims at nothing
  BOOST_TEST(pool.take(0, 5).size() == 5u);
  BOOST_TEST(pool.stats().rows_made_inline == 16u);
  BOOST_TEST(pool.stats().bytes == 1600u);
  BOOST_TEST(pool.take(0, 11).size() == 11u);
  BOOST_TEST(pool.stats().stalls == 1u);
  BOOST_TEST(pool.take(0, 33).size() == 33u);
  const MaskPool::Stats stats = pool.stats();
  BOOST_TEST(stats.rows_made_inline == 64u);
  BOOST_TEST(stats.stalls == 2u);
  BOOST_TEST(stats.rows_made_ahead == 0u);
}

BOOST_AUTO_TEST_CASE(what_was_made_and_taken_is_counted_in_bytes) {
  const FakeLinear a(0, 16, 100), b(1, 4, 10);
  MaskPool pool({&a, &b}, options(16, kPlenty, 0), make_rng);
  (void)pool.take(0, 17); // two blocks
  (void)pool.take(1, 3);
  const MaskPool::Stats stats = pool.stats();
  BOOST_TEST(stats.bytes_made == 2 * 1600u + 40u);
  BOOST_TEST(stats.bytes_taken == 1730u);
  BOOST_TEST(stats.making_seconds > 0);
}

BOOST_AUTO_TEST_CASE(a_matrix_without_masks_costs_nothing) {
  const FakeLinear clear(0, 0, 0), a(1, 4, 10);
  MaskPool pool({&clear, &a}, options(4, kPlenty, 1), make_rng);
  pool.wait_until_full();
  BOOST_TEST(pool.take(0, 10).empty());
  BOOST_TEST(pool.take(1, 0).empty());
  BOOST_TEST(pool.take(1, 4).size() == 4u);
  BOOST_CHECK_THROW(pool.take(2, 1), std::out_of_range);
}

BOOST_AUTO_TEST_CASE(a_fillers_failure_is_told_to_the_next_taker_once) {
  const FakeLinear a(0, 4, 10);
  a.failures = 1;
  MaskPool pool({&a}, options(8, kPlenty, 1), make_rng);
  BOOST_CHECK_THROW(pool.wait_until_full(), std::runtime_error);
  pool.wait_until_full(); // it went on
  BOOST_TEST(pool.take(0, 8).size() == 8u);

  std::atomic<int> refusals{1};
  MaskPool poor({&a}, options(8, kPlenty, 1), [&]() -> std::unique_ptr<Rng> {
    if (refusals-- > 0) throw Error(Errc::internal, "no randomness");
    return make_rng();
  });
  BOOST_CHECK_THROW(poor.wait_until_full(), Error);
  poor.wait_until_full();
  BOOST_TEST(poor.take(0, 8).size() == 8u);
}

BOOST_AUTO_TEST_CASE(a_taker_is_told_of_a_fillers_failure_and_the_next_is_not) {
  FakeLinear a(0, 4, 10);
  a.spared = std::this_thread::get_id();
  a.failures = 1;
  MaskPool pool({&a}, options(8, kPlenty, 1), make_rng);
  std::size_t told = 0;
  while (told == 0) {
    try {
      (void)pool.take(0, 1);
    } catch (const std::runtime_error&) {
      ++told;
    }
  }
  BOOST_TEST(pool.take(0, 3).size() == 3u);
  pool.wait_until_full();
}

BOOST_AUTO_TEST_CASE(two_takers_at_once_leave_no_more_behind_than_memory_allows) {
  FakeLinear a(0, 16, 100);
  std::barrier both(2);
  a.together = &both;
  MaskPool pool({&a}, options(1000, 0, 0), make_rng);
  std::thread other([&] { (void)pool.take(0, 1); });
  (void)pool.take(0, 1);
  other.join();
  const MaskPool::Stats stats = pool.stats();
  BOOST_TEST(stats.rows_made_inline == 32u);
  BOOST_TEST(stats.bytes == 1600u);
}

BOOST_AUTO_TEST_CASE(an_inline_failure_reaches_its_own_taker) {
  const FakeLinear a(0, 4, 10);
  MaskPool pool({&a}, options(8, kPlenty, 0), make_rng);
  a.failures = 1;
  BOOST_CHECK_THROW(pool.take(0, 1), std::runtime_error);
  BOOST_TEST(pool.take(0, 1).size() == 1u);
}

BOOST_AUTO_TEST_CASE(real_masks_from_the_pool_open_their_replies) {
  const LatticeParameters toy = toy_parameters("S48", 16, 2);
  TestRandom random(1);
  const TestLinear linear(50, 20, false, Weights::uniform, true, random);
  SchemeOptions scheme_options;
  scheme_options.parameters = &toy;
  TestWorker worker(toy);
  worker.hold(linear.matrix, copy_of(linear.weights));
  auto rng = seeded_rng(1);
  SilentProgress progress;
  const auto masked_linear =
      make_scheme(scheme_options)->prepare(linear.spec(), worker, rng, progress);
  MaskPool pool({masked_linear.get()}, options(64, kPlenty, 2), make_rng);
  const Matrix<float> x = test_rows(5, 50, Activations::gaussian, random);
  Matrix<float> first;
  for (int i = 0; i < 40; ++i) {
    Masked masked = masked_linear->mask(x.view(), pool.take(0, 5));
    Matrix<float> y =
        masked_linear->unmask(masked.opening, worker.product(masked.tensor), {}).value();
    if (i == 0)
      first = std::move(y);
    else
      BOOST_TEST(same_bits(y, first));
  }
}

BOOST_AUTO_TEST_SUITE_END()
