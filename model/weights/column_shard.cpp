#include "model/weights/column_shard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.hpp"

namespace talaria::model {

using kernels::PackedWeights;

namespace {

constexpr u64 kPanel = PackedWeights::kPanel;

u64 column_count(const QuantizedLinear& linear) {
  return (linear.format == WeightFormat::int16 ? 2 : 1) * linear.d_out;
}

std::size_t panel_size(const PackedWeights& weights) {
  return weights.groups() * PackedWeights::kPanel * 4;
}

std::size_t panels_of(ColumnRange range) {
  return (range.count + kPanel - 1) / kPanel;
}

void check_range(const QuantizedLinear& whole, ColumnRange range) {
  const u64 columns = whole.columns.d_out();
  const u64 end = range.first + range.count;
  const bool inside = range.first <= columns && range.count <= columns - range.first;
  if (!inside || range.first % kPanel != 0 || (end % kPanel != 0 && end != columns))
    throw Error(Errc::internal, fmt::format("columns {}+{} of {} are no whole panels", range.first,
                                            range.count, columns));
}

/// SHA-256 of `range` of the matrix `linear` belongs to; `panels` are the bytes of that range.
Sha256Digest hash_part(const QuantizedLinear& linear, ColumnRange range,
                       std::span<const u8> panels) {
  Sha256 hash;
  const auto number = [&hash](u64 value, std::size_t bytes) {
    std::array<u8, 8> out{};
    for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<u8>(value >> (8 * i));
    hash.update(std::span<const u8>(out).first(bytes));
  };
  number(linear.id.value, 4);
  number(static_cast<u8>(linear.format), 1);
  number(linear.d_in, 8);
  number(linear.d_out, 8);
  number(range.first, 8);
  number(range.count, 8);
  hash.update(panels);
  return hash.finish();
}

std::span<const u8> panel_bytes(const PackedWeights& weights, std::size_t first,
                                std::size_t count) {
  if (count == 0) return {};
  return {reinterpret_cast<const u8*>(weights.panel(first)), count * panel_size(weights)};
}

} // namespace

ColumnRange column_range(u64 columns, ColumnShare share) {
  const u64 panels = (columns + kPanel - 1) / kPanel;
  if (share.index >= share.count)
    throw Error(Errc::config,
                fmt::format("column share {} of {}: shares are numbered from 0 to {}", share.index,
                            share.count, share.count == 0 ? 0 : share.count - 1));
  const auto cut = [&](u64 index) {
    return std::min(columns, panels * index / share.count * kPanel);
  };
  const u64 first = cut(share.index);
  return {first, cut(u64{share.index} + 1) - first};
}

QuantizedLinear take_columns(const QuantizedLinear& whole, ColumnRange range) {
  check_range(whole, range);
  QuantizedLinear part;
  part.id = whole.id;
  part.format = whole.format;
  part.d_in = whole.d_in;
  part.d_out = whole.d_out;
  part.columns = PackedWeights(whole.d_in, range.count);
  const auto bytes = panel_bytes(whole.columns, range.first / kPanel, panels_of(range));
  if (!bytes.empty()) std::memcpy(part.columns.panel(0), bytes.data(), bytes.size());
  return part;
}

Sha256Digest digest_of_part(const QuantizedLinear& whole, ColumnRange range) {
  check_range(whole, range);
  if (range == ColumnRange{0, column_count(whole)}) return digest(whole);
  return hash_part(whole, range,
                   panel_bytes(whole.columns, range.first / kPanel, panels_of(range)));
}

Sha256Digest digest_of_held_part(const QuantizedLinear& part, u64 first) {
  const ColumnRange range{first, part.columns.d_out()};
  if (range == ColumnRange{0, column_count(part)}) return digest(part);
  return hash_part(part, range, panel_bytes(part.columns, 0, part.columns.panels()));
}

WeightAssembler::WeightAssembler(std::string name, LinearId id, WeightFormat format,
                                 std::size_t d_in, std::size_t d_out)
    : name_(std::move(name)) {
  linear_.id = id;
  linear_.format = format;
  linear_.d_in = d_in;
  linear_.d_out = d_out;
  linear_.columns = PackedWeights(d_in, column_count(linear_));
  panel_bytes_ = panel_size(linear_.columns);
}

void WeightAssembler::add(u64 first, u64 count, std::span<const u8> bytes) {
  if (first != next_ || count > panels() - next_ || bytes.size() != count * panel_bytes_)
    throw Error(Errc::verification,
                fmt::format("matrix {}: the worker sent panels {}+{} in {} bytes; panel {} of {} "
                            "was due, of {} bytes each",
                            name_, first, count, bytes.size(), next_, panels(), panel_bytes_));
  if (bytes.empty()) return;
  std::memcpy(linear_.columns.panel(next_), bytes.data(), bytes.size());
  next_ += count;
}

std::span<const u8> WeightAssembler::at(u64 first, u64 count) const {
  return {reinterpret_cast<const u8*>(linear_.columns.panel(first)), count * panel_bytes_};
}

void WeightAssembler::replace(u64 first, std::span<const u8> bytes) {
  if (first > next_ || bytes.size() % panel_bytes_ != 0 ||
      bytes.size() / panel_bytes_ > next_ - first)
    throw Error(Errc::internal, fmt::format("matrix {}: panels that were not added", name_));
  if (!bytes.empty()) std::memcpy(linear_.columns.panel(first), bytes.data(), bytes.size());
}

bool WeightAssembler::matches(const Sha256Digest& expected) const {
  return next_ == panels() && digest(linear_) == expected;
}

QuantizedLinear WeightAssembler::finish(const Sha256Digest& expected) {
  if (next_ != panels())
    throw Error(Errc::verification,
                fmt::format("matrix {}: the worker sent {} of {} panels", name_, next_, panels()));
  if (digest(linear_) != expected)
    throw Error(Errc::verification,
                fmt::format("matrix {}: the weights the worker sent do not have the expected "
                            "SHA-256: it holds another model, or lies",
                            name_));
  return std::move(linear_);
}

} // namespace talaria::model
