// Hints on a disk that somebody else reads and writes.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sys/stat.h>

#include "core/error.hpp"
#include "pipeline/hint_cache.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::pipeline {

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<u8>;

constexpr u64 kHeader = 140;
constexpr u64 kBlock = 3 * 20 + Seal::kOverhead;

SealKey key_of(u8 value) {
  SealKey key{};
  key.fill(value);
  return key;
}

Sha256Digest root_of(u8 value) {
  Sha256Digest root{};
  root.fill(value);
  return root;
}

std::shared_ptr<const HintSeal> seal_of(u8 key = 1, u8 root = 2) {
  return std::make_shared<const HintSeal>(key_of(key), root_of(root));
}

/// Ten rows of 20 bytes in blocks of three.
HintLayout layout_of(std::shared_ptr<const HintSeal> seal, u8 name = 9) {
  HintLayout layout;
  layout.key = root_of(name);
  layout.rows = 10;
  layout.columns = 5;
  layout.word_bytes = 4;
  layout.block_rows = 3;
  layout.seal = std::move(seal);
  return layout;
}

Bytes rows_of_hint() {
  Bytes rows(10 * 20);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<u8>(i + 100);
  return rows;
}

void append_blocks(HintFile& file, const HintLayout& layout, u64 from, u64 to) {
  const Bytes rows = rows_of_hint();
  for (u64 block = from; block < to; ++block)
    file.append(std::span<const u8>(rows).subspan(block * 60, layout.rows_of(block) * 20));
}

fs::path write_hint(const fs::path& folder, const HintLayout& layout) {
  auto file = HintFile::open_partial(folder, layout);
  append_blocks(file.value(), layout, 0, 4);
  file->publish();
  return folder / layout.complete_name();
}

Bytes read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
}

/// What is said against the file of this layout; empty: it opens, and is the hint.
std::string problem_of(const fs::path& folder, const HintLayout& layout) {
  try {
    const auto file = HintFile::open_complete(folder, layout);
    Bytes rows(10 * 20);
    file.value().read(0, 10, rows.data());
    return rows == rows_of_hint() ? "" : "OTHER ROWS";
  } catch (const Error& error) {
    BOOST_TEST((error.code() == Errc::verification));
    return error.what();
  }
}

bool says(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

/// A hint that anybody can compute: for the cache above the file.
struct Source final : remo::HintSource {
  u64 fetched = 0;
  remo::WorkerProduct hint_rows(u32 matrix, u32, u32 count) override {
    fetched += count;
    AlignedBuffer<u8> bytes(std::size_t{count} * 12);
    std::fill(bytes.begin(), bytes.end(), static_cast<u8>(0x5a));
    return {matrix,
            remo::ProductKind::residues,
            count,
            2,
            std::make_shared<const AlignedBuffer<u8>>(std::move(bytes)),
            {}};
  }
  remo::WorkerProduct product(const remo::MaskedTensor&) override { return {}; }
};

} // namespace

BOOST_AUTO_TEST_SUITE(hint_seal)

BOOST_AUTO_TEST_CASE(a_sealed_hint_is_read_back_in_any_steps_and_shows_nothing) {
  const tests::TemporaryFolder folder;
  const HintLayout layout = layout_of(seal_of());
  const fs::path path = write_hint(folder.path(), layout);
  BOOST_TEST(problem_of(folder.path(), layout) == "");
  const Bytes rows = rows_of_hint();
  const auto file = HintFile::open_complete(folder.path(), layout);
  for (u64 step = 1; step <= 10; ++step)
    for (u64 first = 0; first < 10; first += step) {
      const u64 count = std::min(step, 10 - first);
      Bytes got(count * 20);
      file->read(first, count, got.data());
      BOOST_TEST((std::memcmp(got.data(), rows.data() + first * 20, got.size()) == 0));
    }
  const Bytes sealed = read_file(path);
  BOOST_TEST(sealed.size() == layout.file_bytes());
  for (std::size_t i = 0; i + 4 <= rows.size(); ++i)
    BOOST_TEST((std::search(sealed.begin(), sealed.end(), rows.begin() + i, rows.begin() + i + 4) ==
                sealed.end()));
  struct stat status {};
  BOOST_TEST(::stat(path.c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0600U);
}

BOOST_AUTO_TEST_CASE(no_bit_can_be_changed_and_nothing_cut_off_or_added) {
  const tests::TemporaryFolder folder;
  const HintLayout layout = layout_of(seal_of());
  const fs::path path = write_hint(folder.path(), layout);
  const Bytes whole = read_file(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes changed = whole;
    changed[i] ^= static_cast<u8>(1U << (i % 8));
    write_file(path, changed);
    BOOST_TEST_REQUIRE(problem_of(folder.path(), layout) != "", i);
  }
  for (std::size_t size = 0; size < whole.size(); size += size < 150 ? 1 : 13) {
    write_file(path, Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
    BOOST_TEST_REQUIRE(problem_of(folder.path(), layout) != "", size);
  }
  Bytes longer = whole;
  longer.push_back(0);
  write_file(path, longer);
  BOOST_TEST(says(problem_of(folder.path(), layout), "longer than this hint is"));
  write_file(path, whole);
  BOOST_TEST(problem_of(folder.path(), layout) == "");
}

BOOST_AUTO_TEST_CASE(blocks_belong_to_their_place_their_file_and_their_model) {
  const tests::TemporaryFolder folder;
  const tests::TemporaryFolder elsewhere;
  const HintLayout layout = layout_of(seal_of());
  const fs::path path = write_hint(folder.path(), layout);
  const Bytes whole = read_file(path);
  const auto with_block = [&](u64 at, const Bytes& from, u64 block) {
    Bytes changed = whole;
    std::copy_n(from.begin() + static_cast<long>(kHeader + block * kBlock), kBlock,
                changed.begin() + static_cast<long>(kHeader + at * kBlock));
    write_file(path, changed);
    return problem_of(folder.path(), layout);
  };
  BOOST_TEST(says(with_block(0, whole, 1), "block 0 is damaged, cut off or from elsewhere"));
  BOOST_TEST(says(with_block(2, whole, 1), "block 2 is damaged"));
  // The same block of the same hint, written another time: the salt of the file is another.
  const Bytes again = read_file(write_hint(elsewhere.path(), layout));
  BOOST_TEST(says(with_block(1, again, 1), "block 1 is damaged"));
  Bytes head = whole;
  std::copy_n(again.begin(), kHeader, head.begin());
  write_file(path, head);
  BOOST_TEST(says(problem_of(folder.path(), layout), "block 0 is damaged"));
  // A whole file of another hint under this name.
  write_file(path, read_file(write_hint(elsewhere.path(), layout_of(seal_of(), 8))));
  BOOST_TEST(says(problem_of(folder.path(), layout), "of another hint"));
}

BOOST_AUTO_TEST_CASE(another_key_another_model_and_no_seal_are_named) {
  const tests::TemporaryFolder folder;
  const HintLayout layout = layout_of(seal_of());
  const fs::path path = write_hint(folder.path(), layout);
  BOOST_TEST(says(problem_of(folder.path(), layout_of(seal_of(3))), "sealed with another key"));
  BOOST_TEST(says(problem_of(folder.path(), layout_of(seal_of(1, 4))), "for another model"));
  BOOST_TEST(says(problem_of(folder.path(), layout_of(nullptr)), "sealed or of another hint"));
  fs::remove(path);
  write_hint(folder.path(), layout_of(nullptr));
  BOOST_TEST(says(problem_of(folder.path(), layout), "not sealed"));
}

BOOST_AUTO_TEST_CASE(fetching_goes_on_behind_the_last_sealed_block) {
  const tests::TemporaryFolder folder;
  const HintLayout layout = layout_of(seal_of());
  {
    auto file = HintFile::open_partial(folder.path(), layout);
    append_blocks(file.value(), layout, 0, 2);
  }
  const fs::path part = folder.path() / layout.partial_name();
  Bytes cut = read_file(part);
  cut.resize(cut.size() - 5);
  write_file(part, cut);
  {
    auto file = HintFile::open_partial(folder.path(), layout);
    BOOST_TEST(file->rows() == 3U);
    append_blocks(file.value(), layout, 1, 4);
    file->publish();
  }
  BOOST_TEST(problem_of(folder.path(), layout) == "");
  // What was begun under another key is begun anew.
  {
    auto begun = HintFile::open_partial(folder.path(), layout_of(seal_of(3)));
    append_blocks(begun.value(), layout, 0, 1);
  }
  BOOST_TEST(HintFile::open_partial(folder.path(), layout)->rows() == 0U);
}

BOOST_AUTO_TEST_CASE(a_cache_fetches_anew_what_does_not_open_and_says_why) {
  const tests::TemporaryFolder folder;
  std::vector<std::string> log;
  const u32 rows = remo::kDefaultParameters.dimension();
  const auto fetched_with = [&](std::shared_ptr<const HintSeal> seal) {
    Source source;
    HintCacheOptions options;
    options.folder = folder.path();
    options.log = [&log](const std::string& line) { log.push_back(line); };
    options.seal = std::move(seal);
    HintCache cache(source, remo::kDefaultParameters, options);
    cache.expect(0, {}, 2);
    const auto product = cache.hint_rows(0, 0, rows);
    BOOST_TEST(product.bytes->span().front() == 0x5a);
    return source.fetched;
  };
  BOOST_TEST(fetched_with(seal_of()) == rows);
  BOOST_TEST(fetched_with(seal_of()) == 0U);
  BOOST_TEST(log.empty());
  BOOST_TEST(fetched_with(seal_of(3)) == rows);
  BOOST_TEST_REQUIRE(log.size() == 1U);
  BOOST_TEST(says(log[0], "sealed with another key, or for another model"));
  BOOST_TEST(says(log[0], "the hint is fetched again"));
  BOOST_TEST(fetched_with(seal_of(3)) == 0U);
  BOOST_TEST(fetched_with(nullptr) == rows); // and plain files are not those of a seal
  BOOST_TEST(fetched_with(seal_of(3)) == rows);
}

BOOST_AUTO_TEST_CASE(the_key_is_the_first_that_can_be_had) {
  const SealKey owner_key = key_of(1);
  const auto chip = [] { return std::optional(key_of(2)); };
  const auto no_chip = [] { return std::optional<SealKey>(); };
  const auto id = [](const KeptHints& kept) { return kept.seal ? kept.seal->key_id()[0] : 0; };
  const Sha256Digest root = root_of(1);
  const auto by_owner = kept_hints(HintSealing::owner, owner_key, chip, root);
  const auto by_chip = kept_hints(HintSealing::chip, owner_key, chip, root);
  BOOST_TEST((by_owner.seal->key_id() != by_chip.seal->key_id()));
  BOOST_TEST(id(kept_hints(HintSealing::automatic, owner_key, chip, root)) == id(by_owner));
  BOOST_TEST(id(kept_hints(HintSealing::automatic, std::nullopt, chip, root)) == id(by_chip));
  BOOST_TEST((kept_hints(HintSealing::chip, {}, chip, root_of(2)).seal->key_id() !=
              by_chip.seal->key_id()));
  const std::vector<std::function<std::optional<SealKey>()>> nowheres{nullptr, no_chip};
  for (const auto& nowhere : nowheres) {
    const auto none_kept = kept_hints(HintSealing::automatic, std::nullopt, nowhere, root);
    BOOST_TEST(!none_kept.keep);
    BOOST_TEST(!none_kept.line.empty());
    BOOST_CHECK_THROW(kept_hints(HintSealing::chip, owner_key, nowhere, root), Error);
  }
  BOOST_CHECK_THROW(kept_hints(HintSealing::owner, std::nullopt, chip, root), Error);
  BOOST_TEST(!kept_hints(HintSealing::none, owner_key, chip, root).keep);
  const auto as_they_are = kept_hints(HintSealing::plain, owner_key, chip, root);
  BOOST_TEST((as_they_are.keep && as_they_are.seal == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
