#include "model/weights/column_shard.hpp"
#include "tests/model/weight_format_text.hpp"

#include <boost/test/data/test_case.hpp>

#include "model/weights/plan_file.hpp"
#include "tests/model/model_folder.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(column_shard)

namespace {

/// Random weights with padding in both directions.
QuantizedLinear random_linear(WeightFormat format, std::size_t d_in, std::size_t d_out, Rng& rng) {
  QuantizedLinear linear;
  linear.id = {9};
  linear.format = format;
  linear.d_in = d_in;
  linear.d_out = d_out;
  linear.columns = kernels::PackedWeights(d_in, format == WeightFormat::int16 ? 2 * d_out : d_out);
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < linear.columns.d_out(); ++j)
      linear.columns.at(i, j) = static_cast<i8>(static_cast<int>(rng.below(255)) - 127);
  linear.scale.resize(d_out, 1.0f);
  return linear;
}

std::span<const u8> panels(const QuantizedLinear& linear, std::size_t first, std::size_t count) {
  const std::size_t size = linear.columns.bytes() / linear.columns.panels();
  return {reinterpret_cast<const u8*>(linear.columns.panel(first)), count * size};
}

constexpr WeightFormat kFormats[] = {WeightFormat::int8, WeightFormat::int16};

} // namespace

BOOST_AUTO_TEST_CASE(shares_cover_all_columns_once_at_panel_borders_and_evenly) {
  for (const u64 columns : {1u, 63u, 64u, 65u, 128u, 500u, 6144u, 128256u})
    for (u32 count = 1; count <= 9; ++count) {
      const u64 panels = (columns + 63) / 64;
      u64 next = 0;
      for (u32 index = 0; index < count; ++index) {
        const ColumnRange range = column_range(columns, {index, count});
        BOOST_TEST(range.first == next);
        BOOST_TEST(range.first % 64 == 0u);
        const u64 held = (range.count + 63) / 64;
        BOOST_TEST(held >= panels / count);
        BOOST_TEST(held <= panels / count + 1);
        next += range.count;
      }
      BOOST_TEST(next == columns);
    }
}

BOOST_AUTO_TEST_CASE(a_share_beyond_the_count_is_refused) {
  check_error([] { column_range(640, {2, 2}); }, Errc::config, {"2 of 2"});
  check_error([] { column_range(640, {0, 0}); }, Errc::config, {"0 of 0"});
}

BOOST_DATA_TEST_CASE(parts_hold_the_columns_of_the_whole, bdata::make(kFormats), format) {
  auto rng = seeded_rng(5);
  const QuantizedLinear whole = random_linear(format, 13, 201, rng);
  for (u32 count = 1; count <= 3; ++count)
    for (u32 index = 0; index < count; ++index) {
      const ColumnRange range = column_range(whole.columns.d_out(), {index, count});
      const QuantizedLinear part = take_columns(whole, range);
      BOOST_TEST(part.columns.d_out() == range.count);
      BOOST_TEST(part.columns.d_in() == whole.d_in);
      BOOST_TEST(part.d_out == whole.d_out);
      for (std::size_t i = 0; i < whole.d_in; ++i)
        for (std::size_t j = 0; j < range.count; ++j)
          BOOST_TEST_REQUIRE(part.columns.at(i, j) == whole.columns.at(i, range.first + j));
    }
}

BOOST_DATA_TEST_CASE(whole_and_part_agree_on_the_digest_of_a_part, bdata::make(kFormats), format) {
  auto rng = seeded_rng(6);
  QuantizedLinear whole = random_linear(format, 13, 201, rng);
  const u64 columns = whole.columns.d_out();
  const ColumnRange all{0, columns};
  BOOST_TEST((digest_of_part(whole, all) == digest(whole)));
  BOOST_TEST((digest_of_held_part(whole, 0) == digest(whole)));
  std::vector<Sha256Digest> digests;
  for (u32 index = 0; index < 3; ++index) {
    const ColumnRange range = column_range(columns, {index, 3});
    const QuantizedLinear part = take_columns(whole, range);
    digests.push_back(digest_of_part(whole, range));
    BOOST_TEST((digest_of_held_part(part, range.first) == digests.back()));
    BOOST_TEST((digest_of_held_part(part, range.first + 64) != digests.back()));
    BOOST_TEST((digests.back() != digest(whole)));
  }
  whole.columns.at(12, columns - 1) ^= 1;
  for (u32 index = 0; index < 3; ++index)
    BOOST_TEST((digest_of_part(whole, column_range(columns, {index, 3})) == digests[index]) ==
               (index != 2));
}

BOOST_AUTO_TEST_CASE(the_digest_of_a_part_is_sha256_of_the_documented_bytes) {
  auto rng = seeded_rng(7);
  const QuantizedLinear whole = random_linear(WeightFormat::int16, 5, 100, rng); // 200 columns
  Bytes bytes{9, 0, 0,  0, 1, 5, 0, 0, 0, 0, 0,   0, 0, 100, 0, 0, 0, 0, 0,
              0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 136, 0, 0, 0,   0, 0, 0, 0};
  const auto weights = panels(whole, 1, 3);
  bytes.insert(bytes.end(), weights.begin(), weights.end());
  BOOST_TEST((digest_of_part(whole, {64, 136}) == sha256(bytes)));
}

BOOST_AUTO_TEST_CASE(a_cut_inside_a_panel_is_refused) {
  auto rng = seeded_rng(8);
  const QuantizedLinear whole = random_linear(WeightFormat::int8, 5, 200, rng);
  for (const ColumnRange range : {ColumnRange{1, 64}, ColumnRange{0, 65}, ColumnRange{192, 64},
                                  ColumnRange{256, 0}, ColumnRange{64, ~u64{0}}})
    check_error([&] { take_columns(whole, range); }, Errc::internal, {"panels"});
}

BOOST_DATA_TEST_CASE(panels_in_order_make_the_matrix_again,
                     bdata::make(tests::kModels) * bdata::make(kFormats), name, format) {
  const arch::ModelPlan plan = load_model_plan(tests::model_folder(name));
  const TensorStore store(tests::model_folder(name));
  auto rng = seeded_rng(9);
  for (const LinearKind kind : {LinearKind::qkv, LinearKind::down, LinearKind::lm_head}) {
    const arch::Linear& linear =
        plan.linears.of(kind == LinearKind::lm_head ? plan.layer_count() - 1 : 0, kind);
    const QuantizedLinear whole = load_linear(store, linear, format);
    WeightAssembler assembler(linear.name, linear.id, format, whole.d_in, whole.d_out);
    BOOST_TEST_REQUIRE(assembler.panels() == whole.columns.panels());
    while (assembler.next_panel() < assembler.panels()) {
      const std::size_t first = assembler.next_panel();
      const std::size_t count = 1 + rng.below(assembler.panels() - first);
      assembler.add(first, count, panels(whole, first, count));
    }
    const QuantizedLinear again = assembler.finish(digest(whole));
    BOOST_TEST(again.columns.bytes() == whole.columns.bytes());
    BOOST_TEST(std::memcmp(again.columns.panel(0), whole.columns.panel(0), whole.columns.bytes()) ==
               0);
  }
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_of_a_streamed_matrix_is_noticed) {
  auto rng = seeded_rng(10);
  const QuantizedLinear whole = random_linear(WeightFormat::int8, 5, 70, rng);
  const auto bytes = panels(whole, 0, 2);
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 13) { // padding included
    Bytes changed(bytes.begin(), bytes.end());
    changed[bit / 8] = static_cast<u8>(changed[bit / 8] ^ 1u << bit % 8);
    WeightAssembler assembler("layers.2.o", {9}, WeightFormat::int8, 5, 70);
    assembler.add(0, 2, changed);
    check_error([&] { assembler.finish(digest(whole)); }, Errc::verification,
                {"layers.2.o", "SHA-256"});
  }
}

BOOST_AUTO_TEST_CASE(panels_out_of_order_missing_or_of_the_wrong_size_are_refused) {
  auto rng = seeded_rng(11);
  const QuantizedLinear whole = random_linear(WeightFormat::int8, 5, 200, rng); // 4 panels
  WeightAssembler assembler("layers.2.o", {9}, WeightFormat::int8, 5, 200);
  const auto refused = [&](u64 first, u64 count, std::span<const u8> bytes) {
    check_error([&] { assembler.add(first, count, bytes); }, Errc::verification, {"layers.2.o"});
  };
  refused(1, 1, panels(whole, 1, 1));
  assembler.add(0, 2, panels(whole, 0, 2));
  refused(1, 1, panels(whole, 1, 1));
  refused(2, 1, panels(whole, 0, 2));
  refused(2, 1, panels(whole, 2, 1).first(10));
  refused(2, u64{1} << 60, panels(whole, 2, 2));
  refused(2, ~u64{0}, {});
  assembler.add(2, 1, panels(whole, 2, 1));
  check_error([&] { assembler.finish(digest(whole)); }, Errc::verification,
              {"layers.2.o", "3 of 4"});
  assembler.add(3, 1, panels(whole, 3, 1));
  refused(4, 1, panels(whole, 0, 1));
  BOOST_TEST((digest(assembler.finish(digest(whole))) == digest(whole)));
}

BOOST_AUTO_TEST_SUITE_END()
