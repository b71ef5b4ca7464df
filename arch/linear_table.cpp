#include "arch/linear_table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"

namespace talaria::arch {

LinearTable::LinearTable(std::vector<Linear> linears) : linears_(std::move(linears)) {}

const Linear& LinearTable::at(LinearId id) const {
  if (id.value >= linears_.size())
    throw Error(Errc::internal, fmt::format("matrix {} of {}", id.value, linears_.size()));
  return linears_[id.value];
}

const Linear& LinearTable::of(u32 layer, LinearKind kind) const {
  const auto found = std::find_if(linears_.begin(), linears_.end(), [&](const Linear& linear) {
    return linear.kind == kind && linear.layer == layer;
  });
  if (found == linears_.end())
    throw Error(Errc::internal,
                fmt::format("no matrix of kind {} in layer {}", static_cast<int>(kind), layer));
  return *found;
}

void LinearTable::drop_head() {
  if (has_head()) linears_.pop_back();
}

} // namespace talaria::arch
