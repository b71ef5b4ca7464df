#include "kv/block_list.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "core/random.hpp"
#include "kv/store.hpp"

namespace talaria::kv {

BOOST_AUTO_TEST_SUITE(block_list_test)

namespace {

constexpr u32 kHeads = 3;
constexpr u32 kDim = 6;

/// A small integer times a power of two, so that every format holds the largest of a row exactly.
float element(std::size_t layer, u32 position, std::size_t head, std::size_t d, bool value) {
  const auto n = static_cast<float>((layer * 31 + position * 7 + head * 3 + d) % 120);
  return d == 0 ? 127.0F : value ? n : -n;
}

void write_position(const LayerView& view, const BlockList& blocks, std::size_t layer,
                    u32 position) {
  float k[kHeads * kDim];
  float v[kHeads * kDim];
  for (std::size_t h = 0; h < kHeads; ++h)
    for (std::size_t d = 0; d < kDim; ++d) {
      k[h * kDim + d] = element(layer, position, h, d, false);
      v[h * kDim + d] = element(layer, position, h, d, true);
    }
  view.write(blocks, position, k, v);
}

float number(Format format, const void* rows, const float* scales, std::size_t row, std::size_t d) {
  const std::size_t i = row * kDim + d;
  if (format == Format::fp32) return static_cast<const float*>(rows)[i];
  if (format == Format::int8) return static_cast<const i8*>(rows)[i] * scales[row];
  const u32 bits = u32{static_cast<const u16*>(rows)[i]} << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

} // namespace

// Two layers with and without a window, three formats, chunks of any size: a query sees exactly the
// positions of its window, in order, each with what was written.
BOOST_AUTO_TEST_CASE(a_query_sees_every_position_up_to_its_own_within_the_window) {
  for (const Format format : {Format::fp32, Format::bf16, Format::int8})
    for (const u32 window : {0U, 1U, 2U, 24U, 63U, 64U, 65U, 100U}) {
      const auto layout = std::make_shared<const Layout>(
          std::vector<LayerShape>{{kHeads, kDim, window}, {kHeads, kDim, 0}}, format);
      Store store(layout, std::size_t{64} << 20);
      const LayerView views[] = {{layout, 0}, {layout, 1}};
      auto rng = seeded_rng(window);
      for (u32 start = 0; start < 400;) {
        const u32 count = 1 + static_cast<u32>(rng.below(90));
        const BlockListPtr blocks = store.extend(7, start, count);
        BOOST_TEST_REQUIRE(bool(blocks));
        for (u32 position = start; position < start + count; ++position)
          for (std::size_t layer = 0; layer < 2; ++layer) {
            write_position(views[layer], *blocks, layer, position);
            const u32 w = layout->shape(layer).window;
            const u32 expected = w == 0 ? position + 1 : std::min(w, position + 1);
            for (std::size_t head = 0; head < kHeads; ++head) {
              std::vector<kernels::KvPiece> pieces;
              BOOST_TEST_REQUIRE(views[layer].pieces(*blocks, head, position, pieces) == expected);
              u32 at = position + 1 - expected;
              bool same = true;
              for (const auto& piece : pieces)
                for (std::size_t row = 0; row < piece.count; ++row, ++at)
                  for (std::size_t d = 0; d < kDim; ++d)
                    same = same &&
                           number(format, piece.k, piece.k_scales, row, d) ==
                               element(layer, at, head, d, false) &&
                           number(format, piece.v, piece.v_scales, row, d) ==
                               element(layer, at, head, d, true);
              BOOST_TEST_REQUIRE(same);
              BOOST_TEST_REQUIRE(at == position + 1);
            }
          }
        start += count;
      }
    }
}

BOOST_AUTO_TEST_CASE(a_position_without_a_block_is_refused) {
  const auto layout =
      std::make_shared<const Layout>(std::vector<LayerShape>{{kHeads, kDim, 10}}, Format::fp32);
  Store store(layout, std::size_t{1} << 20);
  const LayerView view(layout, 0);
  store.extend(1, 0, 64);
  const auto blocks = store.extend(1, 200, 3);
  BOOST_CHECK_THROW(write_position(view, *blocks, 0, 63), std::out_of_range);
  BOOST_CHECK_THROW(write_position(view, *blocks, 0, 256), std::out_of_range);
  write_position(view, *blocks, 0, 202);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::kv
