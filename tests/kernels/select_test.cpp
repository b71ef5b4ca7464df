#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <thread>
#include <vector>

#include "tests/kernels/kernel_fixtures.hpp"

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::test;

BOOST_AUTO_TEST_SUITE(select_kernels)

namespace {

struct Shape {
  std::size_t rows, row_bytes, count;
};
// Around the limits of blocks (8, 16 and 64 rows), groups (4, 8, 16 and 128 ids) and tiles (32, 64
// and 128 bytes).
constexpr Shape kShapes[] = {
    {1, 1, 1},      {1, 2, 3},     {2, 31, 1},      {3, 32, 2},      {7, 33, 4},     {8, 63, 5},
    {9, 64, 8},     {15, 65, 9},   {16, 127, 3},    {17, 128, 16},   {23, 129, 17},  {24, 191, 7},
    {25, 192, 6},   {40, 193, 33}, {64, 256, 2},    {65, 258, 31},   {100, 1000, 1}, {33, 4096, 8},
    {130, 545, 17}, {63, 64, 128}, {64, 1000, 129}, {200, 2050, 40}, {17, 5, 300},   {9, 8193, 13}};

void fill(Guarded<u8>& bytes, Stream& stream) {
  for (u8& b : bytes) b = static_cast<u8>(stream.next());
}

/// Some ids in the table, some beside it, some twice.
void choose(Guarded<u32>& ids, std::size_t first, std::size_t rows, Stream& stream) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const u64 kind = stream.below(8);
    if (kind == 0)
      ids[i] = static_cast<u32>(first + rows);
    else if (kind == 1 && first > 0)
      ids[i] = static_cast<u32>(first - 1);
    else if (kind == 2 && i > 0)
      ids[i] = ids[i - 1];
    else
      ids[i] = static_cast<u32>(first + stream.below(rows));
  }
}

} // namespace

BOOST_AUTO_TEST_CASE(selected_rows_are_the_tables_for_every_shape) {
  u64 seed = 0;
  for (const Shape& shape : kShapes)
    for (const std::size_t first : {std::size_t{0}, std::size_t{5}, std::size_t{4'000'000'000}}) {
      Stream stream(++seed);
      Guarded<u8> table(shape.rows * shape.row_bytes);
      fill(table, stream);
      Guarded<u32> ids(shape.count);
      choose(ids, first, shape.rows, stream);
      Guarded<u8> expected(shape.count * shape.row_bytes);
      expected.fill_bytes(0);
      for (std::size_t i = 0; i < shape.count; ++i)
        if (ids[i] >= first && ids[i] - first < shape.rows)
          std::copy_n(table.data() + (ids[i] - first) * shape.row_bytes, shape.row_bytes,
                      expected.data() + i * shape.row_bytes);
      for_each_row([&](const KernelSet& row) {
        Guarded<u8> out(expected.size());
        out.fill_bytes(0);
        row.select_rows(table.data(), first, shape.rows, shape.row_bytes, ids.data(), shape.count,
                        out.data());
        BOOST_TEST(out.same_bytes(expected), "rows " << shape.rows << " of " << shape.row_bytes
                                                     << " bytes, " << shape.count << " ids");
      });
    }
}

BOOST_AUTO_TEST_CASE(every_row_of_a_table_can_be_selected) {
  constexpr std::size_t rows = 50, row_bytes = 70;
  Stream stream(3);
  Guarded<u8> table(rows * row_bytes);
  fill(table, stream);
  Guarded<u32> ids(rows);
  for (std::size_t i = 0; i < rows; ++i) ids[i] = static_cast<u32>(i);
  for_each_row([&](const KernelSet& row) {
    Guarded<u8> out(table.size());
    out.fill_bytes(0);
    row.select_rows(table.data(), 0, rows, row_bytes, ids.data(), rows, out.data());
    BOOST_TEST(out.same_bytes(table));
  });
}

BOOST_AUTO_TEST_CASE(pieces_of_a_table_add_up_and_nothing_is_erased) {
  constexpr std::size_t rows = 61, row_bytes = 150, count = 11;
  Stream stream(4);
  Guarded<u8> table(rows * row_bytes);
  fill(table, stream);
  Guarded<u32> ids(count);
  choose(ids, 0, rows, stream);
  for_each_row([&](const KernelSet& row) {
    Guarded<u8> whole(count * row_bytes), pieces(count * row_bytes);
    whole.fill_bytes(0);
    pieces.fill_bytes(0);
    row.select_rows(table.data(), 0, rows, row_bytes, ids.data(), count, whole.data());
    for (std::size_t first = 0, size = 1; first < rows; first += size, size += 5) {
      size = std::min(size, rows - first);
      row.select_rows(table.data() + first * row_bytes, first, size, row_bytes, ids.data(), count,
                      pieces.data());
    }
    BOOST_TEST(pieces.same_bytes(whole));
    row.select_rows(table.data(), 0, 0, row_bytes, ids.data(), count, pieces.data());
    row.select_rows(table.data(), 0, rows, row_bytes, ids.data(), 0, pieces.data());
    BOOST_TEST(pieces.same_bytes(whole));
  });
}

BOOST_AUTO_TEST_SUITE_END()
