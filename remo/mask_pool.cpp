#include "remo/mask_pool.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/cpu_time.hpp"
#include "core/kernel_random.hpp"
#include "core/thread_priority.hpp"

namespace talaria::remo {

namespace {
constexpr std::size_t kTogether = 4; ///< blocks that share a reading of the hint, at most
/// More rows than this from one reading gain next to nothing (ADR 7, ADR 22).
constexpr std::size_t kRowsTogether = 1024;
} // namespace

/// The rows of one matrix. Memory is charged by whole blocks, until the last row of a block is
/// taken.
struct MaskPool::Stock {
  explicit Stock(const MaskedLinear* masked_linear)
      : linear(masked_linear), block_rows(masked_linear->block_rows()),
        block_bytes(block_rows * masked_linear->mask_row_bytes()) {}

  bool needed() const noexcept { return block_bytes != 0; }
  /// Blocks that it may still get.
  std::size_t room() const {
    const std::size_t held = blocks.size() + in_production;
    return held < share ? share - held : 0;
  }
  /// Rows there are, or soon will be.
  std::size_t expected_rows() const { return rows + in_production * block_rows; }

  bool empty() const noexcept { return blocks.empty() && in_production == 0; }
  /// Blocks that are made together.
  std::size_t together() const {
    return std::clamp<std::size_t>(kRowsTogether / block_rows, 1, kTogether);
  }
  /// Whole blocks for so many rows, at least one.
  std::size_t blocks_for(std::size_t rows_wanted) const {
    return std::max<std::size_t>((rows_wanted + block_rows - 1) / block_rows, 1);
  }
  void add(std::vector<MaskRow> made) {
    const std::size_t count = made.size();
    blocks.push_back(std::move(made));
    rows += count;
    opened = true;
  }
  /// Moves up to `count` rows to `out`, oldest blocks first.
  void pop(std::size_t count, std::vector<MaskRow>& out) {
    for (; count != 0 && rows != 0; --count, --rows) {
      out.push_back(std::move(blocks.front().back()));
      blocks.front().pop_back();
      if (blocks.front().empty()) blocks.pop_front();
    }
  }

  const MaskedLinear* linear;
  std::size_t block_rows;
  std::size_t block_bytes;
  std::size_t share = 1; ///< blocks that it may hold at any time
  std::deque<std::vector<MaskRow>> blocks;
  std::size_t rows = 0;
  std::size_t in_production = 0; ///< blocks being made by fillers
  std::size_t inline_blocks = 1; ///< to make for the next taker who finds too little
  bool opened = false;           ///< has had a block
};

struct MaskPool::State {
  State(const std::vector<const MaskedLinear*>& linears, Options given,
        std::function<std::unique_ptr<Rng>()> make)
      : options(given), make_rng(std::move(make)) {
    for (const MaskedLinear* linear : linears) stocks.emplace_back(linear);
    share_memory();
  }

  /// A stock and how many blocks to make for it.
  struct Order {
    Stock* stock = nullptr;
    std::size_t blocks = 0;
  };

  void share_memory();
  std::size_t refill(const Stock& stock) const;
  std::size_t wanted_blocks(const Stock& stock) const;
  Order next_order();
  bool in_production() const;
  void fill();
  std::vector<std::vector<MaskRow>> make(const Stock& stock, std::size_t blocks);
  void make_ahead(const Order& order, std::unique_lock<std::mutex>& lock);
  bool made_before_drop(u64 begun, const std::vector<std::vector<MaskRow>>& made);
  std::pair<std::size_t, u64> inline_count(Stock& stock, std::size_t missing);
  void make_inline(Stock& stock, std::size_t rows, std::vector<MaskRow>& out);
  void drop();
  void stop() noexcept;

  const Options options;
  std::deque<Stock> stocks;

  mutable std::mutex mutex; ///< of everything below and of the stocks' rows
  std::condition_variable work;
  std::condition_variable progress;
  std::exception_ptr failure; ///< of a filler, waiting for the next take
  bool stopping = false;
  bool been_full = false;
  Stats counts;
  u64 drops = 0; ///< how often the stock was dropped

  const std::function<std::unique_ptr<Rng>()> make_rng;
  const u64 process = process_epoch();

  std::vector<std::thread> fillers;
};

/// Every matrix has its own part of the memory for good: what one leaves is of no use to another,
/// whose blocks have another size, without going through the system. One block of each is always
/// granted, for less would mean a block made for every row taken; the rest goes round until nothing
/// fits. A block is held until its last row is taken, hence one more than rows ahead need.
void MaskPool::State::share_memory() {
  std::size_t bytes = 0;
  for (const Stock& stock : stocks) bytes += stock.block_bytes;
  for (bool given = true; given;) {
    given = false;
    for (Stock& stock : stocks) {
      if (!stock.needed() || stock.share > stock.blocks_for(options.rows_ahead)) continue;
      if (bytes + stock.block_bytes > options.memory_bytes) continue;
      bytes += stock.block_bytes;
      ++stock.share;
      given = true;
    }
  }
}

/// Blocks to a refill. Together they cost up to half of what they cost one by one, so a refill
/// waits until so many fit; one block is what is left to live on meanwhile, hence one less than the
/// stock can hold.
std::size_t MaskPool::State::refill(const Stock& stock) const {
  const std::size_t held = std::min(stock.share, stock.blocks_for(options.rows_ahead));
  return std::clamp<std::size_t>(held - 1, 1, stock.together());
}

/// At the beginning all are filled to capacity, so that memory does not grow later, the first block
/// of each before any second. After that only whole refills, but a stock that is nearly out takes
/// what there is room for.
std::size_t MaskPool::State::wanted_blocks(const Stock& stock) const {
  if (!stock.needed() || options.rows_ahead == 0) return 0;
  const std::size_t missing =
      options.rows_ahead - std::min(options.rows_ahead, stock.expected_rows());
  if (missing == 0) return 0;
  const std::size_t whole = refill(stock);
  if (!been_full)
    return std::min({stock.opened ? whole : 1, stock.blocks_for(missing), stock.room()});
  const bool nearly_out = stock.empty() || stock.expected_rows() < stock.block_rows / 2;
  if (!nearly_out && missing <= (whole - 1) * stock.block_rows) return 0;
  return nearly_out || stock.room() >= whole ? std::min(stock.room(), whole) : 0;
}

/// The lowest of the stocks that want something.
MaskPool::State::Order MaskPool::State::next_order() {
  Order order;
  for (Stock& stock : stocks) {
    const std::size_t blocks = wanted_blocks(stock);
    if (blocks != 0 &&
        (order.stock == nullptr || stock.expected_rows() < order.stock->expected_rows()))
      order = {&stock, blocks};
  }
  if (order.blocks != 0 || been_full) return order;
  been_full = true; // asked twice, the answer must be the same: who waits is woken by production
  return next_order();
}

bool MaskPool::State::in_production() const {
  return std::any_of(stocks.begin(), stocks.end(),
                     [](const Stock& stock) { return stock.in_production != 0; });
}

/// Called without the lock.
std::vector<std::vector<MaskRow>> MaskPool::State::make(const Stock& stock, std::size_t blocks) {
  const double begin = thread_cpu_seconds();
  auto made = stock.linear->make_blocks(*make_rng(), blocks);
  const double spent = thread_cpu_seconds() - begin;
  const std::lock_guard lock(mutex);
  counts.making_seconds += spent;
  counts.bytes_made += blocks * stock.block_bytes;
  return made;
}

/// True if the stock was dropped while these were made, which then are wiped with their owner. With
/// the lock.
bool MaskPool::State::made_before_drop(u64 begun, const std::vector<std::vector<MaskRow>>& made) {
  if (begun == drops) return false;
  for (const auto& block : made) counts.rows_dropped += block.size();
  return true;
}

void MaskPool::State::make_ahead(const Order& order, std::unique_lock<std::mutex>& lock) {
  Stock& stock = *order.stock;
  stock.in_production += order.blocks;
  const u64 begun = drops;
  lock.unlock();
  try {
    auto made = make(stock, order.blocks);
    lock.lock();
    if (made_before_drop(begun, made)) made.clear();
    for (std::vector<MaskRow>& block : made) {
      counts.rows_made_ahead += block.size();
      stock.add(std::move(block));
    }
    stock.inline_blocks = 1;
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    failure = std::current_exception();
  }
  stock.in_production -= order.blocks;
  progress.notify_all();
}

/// One filler thread. After a failure it rests until a taker has been told.
void MaskPool::State::fill() {
  work_in_background(); // a product that waits for a core costs more than a mask that is late
  std::unique_lock lock(mutex);
  for (;;) {
    Order order;
    work.wait(lock, [&] {
      if (!stopping && !failure) order = next_order();
      return stopping || order.blocks != 0;
    });
    if (stopping) return;
    make_ahead(order, lock);
  }
}

/// The rows themselves are wiped outside the lock.
void MaskPool::State::drop() {
  std::vector<std::deque<std::vector<MaskRow>>> dropped;
  const std::lock_guard lock(mutex);
  ++drops;
  been_full = false;
  for (Stock& stock : stocks) {
    counts.rows_dropped += stock.rows;
    stock.rows = 0;
    dropped.push_back(std::exchange(stock.blocks, {}));
  }
}

/// What a taker makes itself: what is missing, and twice as much as the last one if the fillers
/// have made nothing since, for then this is a long prompt and more takers follow. With the number
/// of drops until then.
std::pair<std::size_t, u64> MaskPool::State::inline_count(Stock& stock, std::size_t missing) {
  const std::lock_guard lock(mutex);
  const std::size_t needed = std::min(stock.blocks_for(missing), stock.together());
  const std::size_t count = std::max(needed, std::min(stock.inline_blocks, stock.room()));
  stock.inline_blocks = std::min(2 * count, stock.together());
  return {count, drops};
}

/// Makes what is missing in the taker's thread. What is left joins the stock if the memory allows;
/// otherwise it is wiped.
void MaskPool::State::make_inline(Stock& stock, std::size_t rows, std::vector<MaskRow>& out) {
  while (out.size() < rows) {
    const auto [count, begun] = inline_count(stock, rows - out.size());
    auto made = make(stock, count);
    const std::lock_guard lock(mutex);
    if (made_before_drop(begun, made)) continue;
    for (std::vector<MaskRow>& block : made) {
      counts.rows_made_inline += block.size();
      const std::size_t used = std::min(rows - out.size(), block.size());
      const auto rest = block.begin() + static_cast<std::ptrdiff_t>(used);
      out.insert(out.end(), std::make_move_iterator(block.begin()), std::make_move_iterator(rest));
      block.erase(block.begin(), rest);
      if (!block.empty() && stock.room() != 0) stock.add(std::move(block));
    }
    progress.notify_all(); // this may have been all that was missing
  }
}

void MaskPool::State::stop() noexcept {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  work.notify_all();
  for (std::thread& filler : fillers) filler.join();
  fillers.clear();
}

MaskPool::MaskPool(const std::vector<const MaskedLinear*>& linears, Options options,
                   std::function<std::unique_ptr<Rng>()> make_rng)
    : state_(std::make_unique<State>(linears, options, std::move(make_rng))) {
  try {
    for (std::size_t i = 0; i < options.threads; ++i)
      state_->fillers.emplace_back([state = state_.get()] { state->fill(); });
  } catch (...) {
    state_->stop();
    throw;
  }
}

MaskPool::~MaskPool() {
  state_->stop();
}

std::vector<MaskRow> MaskPool::take(std::size_t index, std::size_t rows) {
  if (process_epoch() != state_->process)
    throw Error(Errc::internal, "masks of a process that this one was forked from are not used");
  Stock& stock = state_->stocks.at(index);
  std::vector<MaskRow> out;
  if (!stock.needed() || rows == 0) return out;
  out.reserve(rows);
  bool work = false;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->failure) {
      state_->work.notify_all();
      std::rethrow_exception(std::exchange(state_->failure, nullptr));
    }
    stock.pop(rows, out);
    state_->counts.bytes_taken += rows * stock.linear->mask_row_bytes();
    if (out.size() < rows) ++state_->counts.stalls;
    work = state_->next_order().blocks != 0;
  }
  if (work) state_->work.notify_all(); // waking a filler for nothing costs as much as masking a row
  if (out.size() < rows) state_->make_inline(stock, rows, out);
  return out;
}

void MaskPool::drop_stock() {
  state_->drop();
  state_->work.notify_all();
}

void MaskPool::wait_until_full() {
  if (state_->fillers.empty()) return;
  std::unique_lock lock(state_->mutex);
  state_->progress.wait(lock, [this] {
    return state_->failure || (!state_->in_production() && state_->next_order().blocks == 0);
  });
  if (state_->failure) {
    state_->work.notify_all();
    std::rethrow_exception(std::exchange(state_->failure, nullptr));
  }
}

MaskPool::Stats MaskPool::stats() const {
  const std::lock_guard lock(state_->mutex);
  Stats stats = state_->counts;
  for (const Stock& stock : state_->stocks) stats.bytes += stock.blocks.size() * stock.block_bytes;
  return stats;
}

} // namespace talaria::remo
