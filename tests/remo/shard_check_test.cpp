// Whoever holds some columns is judged by these columns, and by nothing that others answered.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

namespace {

using Shards = std::set<std::size_t>;

constexpr std::size_t kRows = 3;

/// A worker whose answers to one kind of question are wrong in some columns of their last row.
class WrongColumns final : public TestWorker {
public:
  using TestWorker::TestWorker;
  WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) override {
    return spoil(TestWorker::hint_rows(matrix, first, count));
  }
  WorkerProduct product(const MaskedTensor& rows) override {
    return spoil(TestWorker::product(rows));
  }
  std::vector<std::size_t> wrong; ///< columns

private:
  WorkerProduct spoil(WorkerProduct product) const {
    const std::size_t value = product.bytes->size() / product.rows / product.cols;
    for (const std::size_t column : wrong)
      product = with_bit_flipped(product, ((product.rows - 1) * product.cols + column) * value, 2);
    return product;
  }
};

struct Sharded {
  Sharded(SchemeKind kind, bool two_column_sets, u64 seed, std::vector<std::size_t> cuts,
          ReplyFormat reply = ReplyFormat::full)
      : random(seed), rng(seeded_rng(seed)), parameters(toy_parameters("S48", 16, 2)),
        worker(parameters),
        linear(37, two_column_sets ? 130 : 260, two_column_sets, Weights::uniform, false, random) {
    options.kind = kind;
    options.parameters = &parameters;
    options.reply = reply;
    scheme = make_scheme(options);
    spec = linear.spec();
    spec.cuts = std::move(cuts);
    worker.hold(linear.matrix, copy_of(linear.weights));
    x = test_rows(kRows, linear.d_in, Activations::gaussian, random);
  }
  void prepare() {
    SilentProgress progress;
    masked_linear = scheme->prepare(spec, worker, rng, progress);
  }
  /// Shards that are found wrong if these columns are.
  Shards found(const std::vector<std::size_t>& columns) {
    auto masked = masked_linear->mask(x.view(), masks_for(*masked_linear, kRows, rng));
    worker.wrong = columns;
    const WorkerProduct answer = worker.product(masked.tensor);
    const bool right = bool(masked_linear->unmask(masked.opening, answer, {}));
    BOOST_TEST(right == columns.empty());
    return masked_linear->wrong_shards(masked.tensor, answer);
  }

  TestRandom random;
  ChaChaRng rng;
  LatticeParameters parameters;
  WrongColumns worker;
  TestLinear linear;
  SchemeOptions options;
  std::unique_ptr<MaskingScheme> scheme;
  LinearSpec spec;
  std::unique_ptr<MaskedLinear> masked_linear;
  Matrix<float> x;
};

} // namespace

BOOST_AUTO_TEST_SUITE(shard_check)

BOOST_AUTO_TEST_CASE(exactly_the_shards_with_a_wrong_column_are_found) {
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::clear})
    for (const bool int16 : {false, true}) {
      Sharded sharded(kind, int16, 1, {0, 64, 192}); // of 260 columns
      sharded.prepare();
      BOOST_CHECK(sharded.found({}) == Shards{});
      BOOST_CHECK(sharded.found({0}) == Shards{0});
      BOOST_CHECK(sharded.found({63}) == Shards{0});
      BOOST_CHECK(sharded.found({64}) == Shards{1});
      BOOST_CHECK(sharded.found({191}) == Shards{1});
      BOOST_CHECK(sharded.found({192}) == Shards{2});
      BOOST_CHECK(sharded.found({259}) == Shards{2});
      BOOST_CHECK(sharded.found({5, 200}) == (Shards{0, 2}));
      BOOST_CHECK(sharded.found({5, 100, 200}) == (Shards{0, 1, 2}));
      for (int i = 0; i < 100; ++i) {
        const std::size_t column = sharded.random.bits() % 260;
        const std::size_t shard = column < 64 ? 0 : column < 192 ? 1 : 2;
        BOOST_CHECK(sharded.found({column}) == Shards{shard});
      }
    }
}

BOOST_AUTO_TEST_CASE(shards_cannot_cover_for_each_other) {
  // Errors of two shards that the joint check would not see if its z were all the same.
  Sharded sharded(SchemeKind::lattice, false, 2, {0, 64, 128, 192, 256});
  sharded.prepare();
  auto masked = sharded.masked_linear->mask(sharded.x.view(),
                                            masks_for(*sharded.masked_linear, kRows, sharded.rng));
  WorkerProduct answer = sharded.worker.product(masked.tensor);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(answer.bytes->size());
  std::copy(answer.bytes->begin(), answer.bytes->end(), bytes->begin());
  std::swap_ranges(bytes->begin() + 6 * 10, bytes->begin() + 6 * 11, bytes->begin() + 6 * 70);
  answer.bytes = std::move(bytes);
  BOOST_TEST(!sharded.masked_linear->unmask(masked.opening, answer, {}));
  BOOST_CHECK(sharded.masked_linear->wrong_shards(masked.tensor, answer) == (Shards{0, 1}));
}

BOOST_AUTO_TEST_CASE(a_word_beyond_the_modulus_is_wrong_in_its_shard) {
  Sharded sharded(SchemeKind::lattice, false, 3, {0, 128});
  sharded.prepare();
  auto masked = sharded.masked_linear->mask(sharded.x.view(),
                                            masks_for(*sharded.masked_linear, kRows, sharded.rng));
  WorkerProduct answer = sharded.worker.product(masked.tensor);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(answer.bytes->size());
  std::copy(answer.bytes->begin(), answer.bytes->end(), bytes->begin());
  std::fill_n(bytes->begin() + 6 * 130, 6, u8{0xff});
  answer.bytes = std::move(bytes);
  BOOST_CHECK(sharded.masked_linear->wrong_shards(masked.tensor, answer) == Shards{1});
}

BOOST_AUTO_TEST_CASE(hybrid_names_the_shard_of_a_large_error) {
  Sharded sharded(SchemeKind::hybrid, false, 4, {0, 128});
  sharded.prepare();
  for (const std::size_t column : {std::size_t{3}, std::size_t{200}}) {
    auto masked = sharded.masked_linear->mask(
        sharded.x.view(), masks_for(*sharded.masked_linear, kRows, sharded.rng));
    WorkerProduct answer = sharded.worker.product(masked.tensor);
    auto bytes = std::make_shared<AlignedBuffer<u8>>(answer.bytes->size());
    std::copy(answer.bytes->begin(), answer.bytes->end(), bytes->begin());
    const float wrong = 1e20F;
    std::memcpy(bytes->data() + 4 * column, &wrong, 4);
    answer.bytes = std::move(bytes);
    BOOST_TEST(!sharded.masked_linear->unmask(masked.opening, answer, {}));
    BOOST_CHECK(sharded.masked_linear->wrong_shards(masked.tensor, answer) == Shards{column / 128});
  }
}

BOOST_AUTO_TEST_CASE(where_the_first_check_cannot_be_made_nobody_is_named) {
  Sharded one(SchemeKind::lattice, false, 5, {});
  one.prepare();
  BOOST_CHECK(one.found({5}).empty());
  Sharded switched(SchemeKind::lattice, false, 6, {0, 128}, ReplyFormat::switched);
  switched.prepare();
  auto masked = switched.masked_linear->mask(
      switched.x.view(), masks_for(*switched.masked_linear, kRows, switched.rng));
  WorkerProduct answer = switched.worker.product(masked.tensor);
  answer.kind = ProductKind::residues;
  BOOST_CHECK(switched.masked_linear->wrong_shards(masked.tensor, answer).empty());
  Sharded sharded(SchemeKind::lattice, false, 7, {0, 128});
  sharded.prepare();
  masked = sharded.masked_linear->mask(sharded.x.view(),
                                       masks_for(*sharded.masked_linear, kRows, sharded.rng));
  answer = sharded.worker.product(masked.tensor);
  --answer.rows; // another shape than its bytes have
  BOOST_CHECK(sharded.masked_linear->wrong_shards(masked.tensor, answer).empty());
}

BOOST_AUTO_TEST_CASE(wrong_hints_name_the_shards_they_came_from) {
  const std::vector<std::pair<std::vector<std::size_t>, Shards>> cases{
      {{0}, {0}}, {{100}, {1}}, {{259}, {2}}, {{1, 130}, {0, 1}}};
  for (const auto& [columns, shards] : cases) {
    Sharded sharded(SchemeKind::lattice, false, 8, {0, 64, 192});
    sharded.worker.wrong = columns;
    BOOST_CHECK_EXCEPTION(sharded.prepare(), WrongHint, [&](const WrongHint& wrong) {
      return wrong.code() == Errc::verification && wrong.shards == shards;
    });
  }
  Sharded one(SchemeKind::lattice, false, 9, {});
  one.worker.wrong = {5};
  BOOST_CHECK_EXCEPTION(one.prepare(), WrongHint,
                        [](const WrongHint& wrong) { return wrong.shards.empty(); });
}

BOOST_AUTO_TEST_CASE(cuts_change_no_bit) {
  Sharded whole(SchemeKind::lattice, false, 10, {});
  Sharded cut(SchemeKind::lattice, false, 10, {0, 64, 192});
  for (Sharded* sharded : {&whole, &cut}) sharded->prepare();
  const auto open = [](Sharded& sharded) {
    auto masked = sharded.masked_linear->mask(
        sharded.x.view(), masks_for(*sharded.masked_linear, kRows, sharded.rng));
    const WorkerProduct answer = sharded.worker.product(masked.tensor);
    return sharded.masked_linear->unmask(masked.opening, answer, {}).value();
  };
  BOOST_TEST(same_bits(open(whole), open(cut)));
}

BOOST_AUTO_TEST_CASE(cuts_within_a_panel_are_a_broken_promise) {
  for (const std::vector<std::size_t>& cuts :
       {std::vector<std::size_t>{0, 65}, std::vector<std::size_t>{64, 128},
        std::vector<std::size_t>{0, 128, 64}, std::vector<std::size_t>{0, 320}}) {
    Sharded sharded(SchemeKind::lattice, false, 11, cuts);
    BOOST_CHECK_EXCEPTION(sharded.prepare(), Error,
                          [](const Error& error) { return error.code() == Errc::internal; });
  }
}

BOOST_AUTO_TEST_SUITE_END()
