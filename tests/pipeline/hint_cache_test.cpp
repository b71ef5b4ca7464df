#include "pipeline/hint_cache.hpp"

#include <boost/test/unit_test.hpp>

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>

#include "core/error.hpp"
#include "core/random.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::pipeline {

namespace {

namespace fs = std::filesystem;

constexpr const remo::LatticeParameters& kParameters = remo::kDefaultParameters;
constexpr u32 kRows = kParameters.dimension();
constexpr u32 kColumns = 300; // 1800 bytes a row, 582 rows a block, four blocks
constexpr u32 kRowBytes = kColumns * 6;

Sha256Digest digest_number(u32 number) {
  Sha256Digest digest{};
  std::memcpy(digest.data(), &number, sizeof number);
  return digest;
}

/// A hint whose rows are determined by matrix and row; counts what it is asked for.
struct FakeWorker final : remo::HintSource {
  u64 fetched = 0;             ///< rows
  u64 asked = 0;               ///< calls
  u64 breaks_at = ~u64{0};     ///< throws when asked for this row
  u32 wrong_columns = 0;       ///< added to the answer's columns
  std::vector<u32> first_rows; ///< of every call
  bool product_asked = false;

  remo::WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) override {
    ++asked;
    first_rows.push_back(first);
    if (breaks_at >= first && breaks_at < first + count)
      throw Error(Errc::no_worker, "the worker is gone");
    fetched += count;
    AlignedBuffer<u8> bytes(std::size_t{count} * kRowBytes);
    for (u32 r = 0; r < count; ++r)
      fill(matrix, first + r, bytes.data() + std::size_t{r} * kRowBytes);
    return {matrix,
            remo::ProductKind::residues,
            count,
            kColumns + wrong_columns,
            std::make_shared<const AlignedBuffer<u8>>(std::move(bytes)),
            {}};
  }
  remo::WorkerProduct product(const remo::MaskedTensor& rows) override {
    product_asked = true;
    return {rows.matrix, rows.kind, rows.rows, 1, nullptr, {}};
  }

  static void fill(u32 matrix, u32 row, u8* out) {
    for (u32 i = 0; i < kRowBytes; ++i) out[i] = static_cast<u8>(matrix * 31 + row * 7 + i * 3);
  }
};

/// One process: a cache over a fake worker.
struct Process {
  FakeWorker worker;
  std::vector<std::string> log;
  HintCache cache;

  explicit Process(const fs::path& folder, u64 max_bytes = 0, std::vector<u32> matrices = {0, 1, 2})
      : cache(worker, kParameters,
              {folder, max_bytes, [this](const std::string& line) { log.push_back(line); }}) {
    for (const u32 matrix : matrices) cache.expect(matrix, digest_number(matrix), kColumns);
  }

  /// Reads rows [first, end) in chunks and checks each against the definition.
  void read(u32 matrix, u32 chunk = 500, u32 first = 0, u32 end = kRows) {
    std::vector<u8> expected(kRowBytes);
    for (u32 at = first; at < end; at += chunk) {
      const u32 count = std::min(chunk, end - at);
      const auto product = cache.hint_rows(matrix, at, count);
      BOOST_TEST_REQUIRE(product.matrix == matrix);
      BOOST_TEST_REQUIRE(product.rows == count);
      BOOST_TEST_REQUIRE(product.cols == kColumns);
      BOOST_TEST_REQUIRE(product.bytes->size() == std::size_t{count} * kRowBytes);
      for (u32 r = 0; r < count; ++r) {
        FakeWorker::fill(matrix, at + r, expected.data());
        BOOST_TEST_REQUIRE(std::memcmp(product.bytes->data() + std::size_t{r} * kRowBytes,
                                       expected.data(), kRowBytes) == 0);
      }
    }
  }
  bool logged(const std::string& text) const {
    for (const auto& line : log)
      if (line.find(text) != std::string::npos) return true;
    return false;
  }
};

std::vector<fs::path> files_ending(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == extension) found.push_back(entry.path());
  return found;
}

void damage(const fs::path& path, u64 offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
}

void age(const fs::path& path, int hours) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(hours));
}

} // namespace

BOOST_AUTO_TEST_SUITE(hint_cache)

BOOST_AUTO_TEST_CASE(rows_come_from_disk_the_second_time_for_any_chunks) {
  const tests::TemporaryFolder folder;
  {
    Process cold(folder.path());
    cold.read(0, 500);
    cold.read(1, 1);
    cold.read(2, kRows);
    BOOST_TEST(cold.worker.fetched == 3 * kRows);
    BOOST_TEST(cold.cache.bytes_from_disk() == 0U);
    BOOST_TEST(cold.log.empty());
  }
  Process warm(folder.path());
  for (const u32 chunk : {1U, 113U, 582U, 583U, kRows})
    for (const u32 matrix : {0U, 1U, 2U}) warm.read(matrix, chunk);
  BOOST_TEST(warm.worker.asked == 0U);
  BOOST_TEST(warm.cache.bytes_from_disk() == 15 * u64{kRows} * kRowBytes);
  BOOST_TEST(warm.log.empty());
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 3U);
  BOOST_TEST(files_ending(folder.path(), ".part").empty());
}

BOOST_AUTO_TEST_CASE(after_a_cut_fetching_goes_on_behind_the_last_whole_block) {
  const tests::TemporaryFolder folder;
  {
    Process first(folder.path());
    first.worker.breaks_at = 1300;
    BOOST_CHECK_THROW(first.read(0, 100), Error);
    BOOST_TEST(first.worker.fetched == 1300U);
  }
  Process second(folder.path());
  second.worker.breaks_at = 2000;
  BOOST_CHECK_THROW(second.read(0, 100), Error);
  BOOST_TEST(second.worker.first_rows.front() == 2U * 582); // two blocks were whole
  second.worker.breaks_at = ~u64{0};
  second.worker.first_rows.clear();
  second.read(0, 90); // the same process tries once more
  BOOST_TEST(second.worker.first_rows.front() == 3U * 582);
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 1U);
  BOOST_TEST(files_ending(folder.path(), ".part").empty());
  Process third(folder.path());
  third.read(0);
  BOOST_TEST(third.worker.asked == 0U);
}

BOOST_AUTO_TEST_CASE(a_damaged_truncated_or_foreign_file_is_noticed_before_a_row_is_used) {
  const tests::TemporaryFolder folder;
  Process(folder.path()).read(0);
  const fs::path path = files_ending(folder.path(), ".hint").at(0);
  const u64 size = fs::file_size(path);
  const auto refetched = [&] {
    Process process(folder.path());
    process.read(0);
    BOOST_TEST(process.worker.fetched == kRows);
    BOOST_TEST(process.logged(path.string()));
    BOOST_TEST(process.log.size() == 1U);
    Process again(folder.path());
    again.read(0);
    BOOST_TEST(again.worker.asked == 0U);
    BOOST_TEST(again.log.empty());
  };
  for (const u64 at : {u64{0}, u64{9}, u64{71}, u64{72}, size / 2, size - 40, size - 1}) {
    damage(path, at);
    refetched();
  }
  for (const u64 length : {u64{0}, u64{71}, size / 2, size - 1, size + 1}) {
    fs::resize_file(path, length);
    refetched();
  }
  // Another hint's file under this name.
  Process(folder.path(), 0, {1}).read(1);
  for (const auto& other : files_ending(folder.path(), ".hint"))
    if (other != path) fs::copy_file(other, path, fs::copy_options::overwrite_existing);
  refetched();
}

BOOST_AUTO_TEST_CASE(a_partial_file_is_used_up_to_its_first_damage) {
  const tests::TemporaryFolder folder;
  {
    Process first(folder.path());
    first.worker.breaks_at = 2300;
    BOOST_CHECK_THROW(first.read(0, 100), Error);
  }
  const fs::path part = files_ending(folder.path(), ".part").at(0);
  damage(part, 72 + 700 * kRowBytes); // in the second of three blocks
  Process second(folder.path());
  second.read(0, 100);
  BOOST_TEST(second.worker.first_rows.front() == 582U);
  Process third(folder.path());
  third.read(0);
  BOOST_TEST(third.worker.asked == 0U);
}

BOOST_AUTO_TEST_CASE(hints_of_other_weights_parameters_or_columns_have_other_names) {
  const tests::TemporaryFolder folder;
  Process(folder.path()).read(0);
  FakeWorker worker;
  HintCache other_weights(worker, kParameters, {folder.path(), 0, nullptr});
  other_weights.expect(0, digest_number(77), kColumns);
  other_weights.hint_rows(0, 0, 10);
  BOOST_TEST(worker.fetched == 10U);
  HintCache other_parameters(worker, remo::lattice_parameters("S54"), {folder.path(), 0, nullptr});
  other_parameters.expect(0, digest_number(0), kColumns);
  other_parameters.hint_rows(0, 0, 10);
  BOOST_TEST(worker.fetched == 20U);
  HintCache other_columns(worker, kParameters, {folder.path(), 0, nullptr});
  other_columns.expect(0, digest_number(0), kColumns + 1);
  other_columns.hint_rows(0, 0, 10);
  BOOST_TEST(worker.fetched == 30U);
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 1U);
  BOOST_TEST(files_ending(folder.path(), ".part").size() == 3U);
}

BOOST_AUTO_TEST_CASE(a_discarded_hint_is_fetched_again) {
  const tests::TemporaryFolder folder;
  {
    Process cold(folder.path());
    cold.read(0);
    BOOST_TEST(!cold.cache.discard(0)); // these rows came from the worker: it is to blame
    cold.read(0);
    BOOST_TEST(cold.worker.fetched == 2 * kRows);
  }
  Process warm(folder.path());
  warm.read(0, 100, 0, 300);
  BOOST_TEST(warm.cache.discard(0));
  BOOST_TEST(files_ending(folder.path(), ".hint").empty());
  warm.read(0);
  BOOST_TEST(warm.worker.fetched == kRows);
  BOOST_TEST(!warm.cache.discard(0));
  BOOST_TEST(!warm.cache.discard(99));
}

BOOST_AUTO_TEST_CASE(half_a_fetched_hint_can_be_discarded_too) {
  const tests::TemporaryFolder folder;
  Process process(folder.path());
  process.read(0, 100, 0, 1300);
  BOOST_TEST(!process.cache.discard(0));
  BOOST_TEST(fs::is_empty(folder.path()));
  process.read(0);
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 1U);
}

BOOST_AUTO_TEST_CASE(answers_of_the_wrong_shape_are_handed_on_and_not_kept) {
  const tests::TemporaryFolder folder;
  {
    Process process(folder.path());
    process.worker.wrong_columns = 1;
    BOOST_TEST(process.cache.hint_rows(0, 0, 1000).cols == kColumns + 1);
  }
  Process process(folder.path());
  process.read(0);
  BOOST_TEST(process.worker.fetched == kRows);
}

BOOST_AUTO_TEST_CASE(rows_asked_for_out_of_order_are_right_though_not_kept) {
  const tests::TemporaryFolder folder;
  Process process(folder.path());
  process.read(0, 100, 1000, 1200);
  process.read(0, 100, 0, 700);
  process.read(0, 50, 600, 900);
  process.read(0, 100, 2000, kRows);
  BOOST_TEST(files_ending(folder.path(), ".hint").empty());
  process.read(0);
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 1U);
  Process again(folder.path());
  again.read(0, 10, 2000, kRows);
  again.read(0, 1000);
  BOOST_TEST(again.worker.asked == 0U);
  BOOST_CHECK_NO_THROW(again.cache.hint_rows(0, kRows - 1, 2)); // the worker's to refuse
  BOOST_TEST(again.worker.asked == 1U);
}

BOOST_AUTO_TEST_CASE(matrices_that_were_not_announced_and_products_pass_through) {
  const tests::TemporaryFolder folder;
  Process process(folder.path(), 0, {});
  process.read(5);
  BOOST_TEST(process.worker.fetched == kRows);
  BOOST_TEST(fs::is_empty(folder.path()));
  remo::MaskedTensor rows;
  rows.matrix = 3;
  BOOST_TEST(process.cache.product(rows).matrix == 3U);
  BOOST_TEST(process.worker.product_asked);
}

BOOST_AUTO_TEST_CASE(without_a_folder_nothing_is_kept) {
  Process process(fs::path{});
  process.read(0);
  process.read(0);
  BOOST_TEST(process.worker.fetched == 2 * kRows);
  BOOST_TEST(process.log.empty());
}

BOOST_AUTO_TEST_CASE(two_processes_that_fetch_one_hint_do_not_disturb_each_other) {
  const tests::TemporaryFolder folder;
  Process first(folder.path());
  Process second(folder.path());
  for (u32 at = 0; at < kRows; at += 100) {
    const u32 end = std::min(at + 100, kRows);
    first.read(0, 100, at, end);
    second.read(0, 100, at, end);
  }
  BOOST_TEST(second.logged("another process"));
  BOOST_TEST(second.log.size() == 1U);
  Process third(folder.path());
  third.read(0);
  BOOST_TEST(third.worker.asked == 0U);
  BOOST_TEST(first.log.empty());
}

BOOST_AUTO_TEST_CASE(a_file_that_is_being_read_may_be_deleted_by_another_process) {
  const tests::TemporaryFolder folder;
  Process(folder.path()).read(0);
  Process reader(folder.path());
  reader.read(0, 100, 0, 500);
  Process other(folder.path());
  other.cache.discard(0);
  reader.read(0, 100, 500, kRows);
  BOOST_TEST(reader.worker.asked == 0U);
}

BOOST_AUTO_TEST_CASE(the_least_recently_used_hints_make_room_for_new_ones) {
  const tests::TemporaryFolder folder;
  for (const u32 matrix : {0U, 1U, 2U}) Process(folder.path(), 0, {matrix}).read(matrix);
  const auto files = files_ending(folder.path(), ".hint");
  const u64 size = fs::file_size(files.at(0));
  for (const auto& file : files) age(file, 10);
  Process(folder.path(), 0, {1}).read(1); // used: no longer the oldest

  Process process(folder.path(), 3 * size, {3});
  process.read(3);
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 3U);
  Process next(folder.path(), 2 * size, {4});
  next.read(4);
  Process check(folder.path(), 0, {1, 3, 4});
  check.read(4);
  BOOST_TEST(check.worker.asked == 0U);
  const std::size_t left = files_ending(folder.path(), ".hint").size();
  BOOST_TEST(left == 2U);
  check.read(3); // more recent than 1, which had to go
  BOOST_TEST(check.worker.asked == 0U);
}

BOOST_AUTO_TEST_CASE(hints_of_one_run_do_not_push_each_other_out) {
  const tests::TemporaryFolder folder;
  Process(folder.path(), 0, {0}).read(0);
  const u64 size = fs::file_size(files_ending(folder.path(), ".hint").at(0));
  for (int run = 0; run < 2; ++run) {
    Process process(folder.path(), 2 * size + 10, {0, 1, 2});
    for (const u32 matrix : {0U, 1U, 2U}) process.read(matrix);
    BOOST_TEST(process.worker.fetched == (run == 0 ? 2U : 1U) * kRows);
    BOOST_TEST(process.logged("does not fit"));
  }
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 2U);
}

BOOST_AUTO_TEST_CASE(abandoned_partial_files_make_room_and_busy_ones_stay) {
  const tests::TemporaryFolder folder;
  {
    Process abandoned(folder.path(), 0, {7});
    abandoned.read(7, 100, 0, 1000);
  }
  Process busy(folder.path(), 0, {8});
  busy.read(8, 100, 0, 1000);
  for (const auto& part : files_ending(folder.path(), ".part")) age(part, 10);
  const u64 size = u64{kRows} * kRowBytes + 1000;
  Process process(folder.path(), size + 600 * kRowBytes, {0});
  process.read(0);
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 1U);
  BOOST_TEST(files_ending(folder.path(), ".part").size() == 1U);
  busy.read(8, 100, 1000, kRows);
  BOOST_TEST(files_ending(folder.path(), ".hint").size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_full_disk_costs_a_log_line_and_no_row) {
  const tests::TemporaryFolder folder;
  Process process(folder.path(), 0, {0});
  ::signal(SIGXFSZ, SIG_IGN); // a file that grows too large stands for a full disk
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{1'500'000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  std::string failure;
  try {
    process.read(0, 100);
  } catch (const std::exception& error) {
    failure = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  BOOST_TEST(failure.empty(), failure);
  BOOST_TEST(process.log.size() == 1U);
  BOOST_TEST(process.logged("cannot be written"));
  BOOST_TEST(fs::is_empty(folder.path()));
  BOOST_TEST(process.worker.fetched == kRows);
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_made_costs_a_log_line) {
  const tests::TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  Process process(folder.path() / "file" / "hints");
  process.read(0);
  BOOST_TEST(process.worker.fetched == kRows);
  BOOST_TEST(process.log.size() == 1U);
}

BOOST_AUTO_TEST_CASE(folder_and_files_are_for_their_owner_only) {
  const tests::TemporaryFolder folder;
  const fs::path place = folder.path() / "cache" / "talaria" / "hints";
  Process(place).read(0);
  using fs::perms;
  BOOST_TEST((fs::status(place).permissions() == perms::owner_all));
  const auto file = files_ending(place, ".hint").at(0);
  BOOST_TEST((fs::status(file).permissions() == (perms::owner_read | perms::owner_write)));
}

BOOST_AUTO_TEST_CASE(the_folder_follows_setting_then_xdg_then_home) {
  const auto value = [](const char* name) {
    const char* text = ::getenv(name);
    return text == nullptr ? std::string() : std::string(text);
  };
  const std::string xdg = value("XDG_CACHE_HOME");
  const std::string home = value("HOME");
  ::setenv("HOME", "/home/somebody", 1);
  ::setenv("XDG_CACHE_HOME", "/var/caches", 1);
  BOOST_TEST(hint_folder("").string() == "/var/caches/talaria/hints");
  BOOST_TEST(hint_folder("/data/hints").string() == "/data/hints");
  BOOST_TEST(hint_folder("none").empty());
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  BOOST_TEST(hint_folder("").string() == "/home/somebody/.cache/talaria/hints");
  ::unsetenv("HOME");
  BOOST_TEST(hint_folder("").empty());
  xdg.empty() ? ::unsetenv("XDG_CACHE_HOME") : ::setenv("XDG_CACHE_HOME", xdg.c_str(), 1);
  if (!home.empty()) ::setenv("HOME", home.c_str(), 1);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
