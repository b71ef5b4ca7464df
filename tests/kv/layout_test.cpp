#include "kv/layout.hpp"

#include <boost/test/unit_test.hpp>

namespace talaria::kv {

BOOST_AUTO_TEST_SUITE(layout_test)

BOOST_AUTO_TEST_CASE(layers_with_the_same_window_are_a_group) {
  const Layout layout({{2, 32, 0}, {2, 32, 100}, {4, 16, 0}, {1, 32, 100}}, Format::fp32);
  BOOST_TEST(layout.groups() == 2U);
  BOOST_TEST(layout.window(0) == 0U);
  BOOST_TEST(layout.window(1) == 100U);
  BOOST_TEST(layout.block_bytes(0) == 2 * 64 * (2 * 32 + 4 * 16) * sizeof(float));
  BOOST_TEST(layout.block_bytes(1) == 2 * 64 * (2 * 32 + 1 * 32) * sizeof(float));
  BOOST_TEST(layout.place(3).group == 1U);
  BOOST_TEST(layout.place(3).k == 2 * 64 * 2 * 32 * sizeof(float));
}

BOOST_AUTO_TEST_CASE(values_may_be_shorter_than_keys) {
  const Layout layout(std::vector<LayerShape>{{2, 24, 0, 16}}, Format::int8);
  BOOST_TEST(layout.bytes_per_position() == 2 * (24 + 4) + 2 * (16 + 4));
  BOOST_TEST(layout.place(0).v == 64 * 2 * 24u);
  BOOST_TEST(layout.place(0).k_scales == 64 * 2 * (24 + 16u));
}

BOOST_AUTO_TEST_CASE(smaller_formats_take_a_half_and_about_a_quarter) {
  const std::vector<LayerShape> layers(16, {8, 64, 0}); // Llama 3.2 1B
  const Layout fp32(layers, Format::fp32), bf16(layers, Format::bf16), int8(layers, Format::int8);
  BOOST_TEST(fp32.bytes_per_position() == 65536U);
  BOOST_TEST(bf16.bytes_per_position() == 32768U);
  BOOST_TEST(int8.bytes_per_position() == 17408U); // 64 + 4 bytes for 256
  BOOST_TEST(fp32.block_bytes(0) == 64 * fp32.bytes_per_position());
  BOOST_TEST(int8.block_bytes(0) == 64 * int8.bytes_per_position());
}

BOOST_AUTO_TEST_CASE(no_part_of_a_block_overlaps_another) {
  for (const Format format : {Format::fp32, Format::bf16, Format::int8}) {
    const Layout layout({{3, 6, 0}, {1, 2, 0}, {5, 10, 0}}, format);
    std::vector<std::pair<std::size_t, std::size_t>> parts;
    for (std::size_t i = 0; i < layout.layers(); ++i) {
      const auto& shape = layout.shape(i);
      const auto& place = layout.place(i);
      const std::size_t rows = kBlockPositions * shape.kv_heads;
      const std::size_t bytes = rows * shape.head_dim * kernels::bytes_per_number(format);
      parts.insert(parts.end(), {{place.k, bytes}, {place.v, bytes}});
      if (format == Format::int8)
        parts.insert(parts.end(), {{place.k_scales, 4 * rows}, {place.v_scales, 4 * rows}});
    }
    for (const auto& [at, bytes] : parts) {
      BOOST_TEST(at % 64 == 0U);
      BOOST_TEST(at + bytes <= layout.block_bytes(0));
      for (const auto& [other, other_bytes] : parts)
        BOOST_TEST((at == other || at + bytes <= other || other + other_bytes <= at));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_longest_sequence_fits_and_one_block_more_does_not) {
  const Layout plain(std::vector<LayerShape>{{2, 32, 0}}, Format::bf16);
  const Layout mixed({{2, 32, 0}, {2, 32, 100}}, Format::bf16);
  const Layout states({{2, 32, 0}, {0, 0, 0, 0, 1000}}, Format::fp32);
  for (const Layout* layout : {&plain, &mixed, &states})
    for (const std::size_t bytes : {0u, 1u, 5000u, 16'384u, 100'000u, 7'654'321u})
      for (const u32 chunk : {1u, 64u, 100u}) {
        const u32 most = layout->positions_for(bytes, chunk);
        BOOST_TEST((most == 0 || layout->bytes_for(most, chunk) <= bytes));
        BOOST_TEST(layout->bytes_for(most + 1, chunk) > bytes);
        BOOST_TEST(most % kBlockPositions == 0u); // memory comes in blocks
      }
  BOOST_TEST(plain.positions_for(16'384, 1) == 64u); // 2 (k, v) x 2 heads x 32 x 2 bytes x 64
}

BOOST_AUTO_TEST_CASE(a_window_bounds_what_a_sequence_takes) {
  const Layout layout({{1, 8, 0}, {1, 8, 100}}, Format::fp32);
  const std::size_t block = layout.block_bytes(0);
  BOOST_TEST(layout.bytes_for(0, 32) == 0U);
  BOOST_TEST(layout.bytes_for(1, 32) == 2 * block);
  BOOST_TEST(layout.bytes_for(64, 32) == 2 * block);
  BOOST_TEST(layout.bytes_for(65, 32) == 4 * block);
  BOOST_TEST(layout.bytes_for(6400, 32) == (100 + 2 + 1 + 1) * block);
  BOOST_TEST(layout.first_block(0, 6400) == 0U);
  BOOST_TEST(layout.first_block(1, 162) == 0U); // sees 63 and what follows
  BOOST_TEST(layout.first_block(1, 163) == 1U);
}

BOOST_AUTO_TEST_CASE(states_take_the_same_for_any_length) {
  const Layout plain(std::vector<LayerShape>{{1, 8, 0}}, Format::bf16);
  const Layout layout({{0, 0, 0, 0, 100}, {1, 8, 0}, {0, 0, 0, 0, 7}}, Format::bf16);
  BOOST_TEST(layout.groups() == 1U);
  BOOST_TEST(layout.state_bytes() == 448 + 64U); // in fp32, each from a line on
  BOOST_TEST(layout.place(0).state == 0U);
  BOOST_TEST(layout.place(2).state == 448U);
  BOOST_TEST(layout.bytes_for(0, 32) == 0U);
  for (const u32 positions : {1U, 64U, 1000U})
    BOOST_TEST(layout.bytes_for(positions, 32) ==
               plain.bytes_for(positions, 32) + layout.state_bytes());
  BOOST_TEST(layout.bytes_per_position() == plain.bytes_per_position());
  BOOST_TEST(plain.state_bytes() == 0U);
}

BOOST_AUTO_TEST_CASE(layers_that_read_another_ones_keys_take_nothing) {
  const Layout own({{1, 8, 0}, {2, 4, 100}}, Format::int8);
  const Layout layout({{1, 8, 0}, {2, 4, 100}, {1, 8, 0, 0, 0, 0}, {2, 4, 100, 0, 0, 1}},
                      Format::int8);
  BOOST_TEST(layout.layers() == 4U);
  BOOST_TEST(layout.bytes_per_position() == own.bytes_per_position());
  for (const std::size_t group : {0U, 1U})
    BOOST_TEST(layout.block_bytes(group) == own.block_bytes(group));
  for (const std::size_t layer : {0U, 1U}) {
    BOOST_TEST(layout.place(layer + 2).group == layout.place(layer).group);
    BOOST_TEST(layout.place(layer + 2).k == layout.place(layer).k);
    BOOST_TEST(layout.place(layer + 2).v_scales == layout.place(layer).v_scales);
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::kv
