#pragma once

#include <caf/all.hpp>
#include <memory>
#include <utility>

#include "remo/public/wire_tensors.hpp"

namespace talaria::worker {

/// Asks for rows [first, first + count) of the hint R = A W of one matrix.
struct HintRequest {
  u32 matrix = 0;
  u32 first = 0;
  u32 count = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, HintRequest& x) {
  return f(caf::meta::type_name("HintRequest"), x.matrix, x.first, x.count);
}

/// Whoever multiplies: the embedded worker, a link that stands for a remote one, or a dispatcher in
/// front of several. Nobody upstream can tell which.
///
///   MaskedTensor c ──► worker ──► WorkerProduct c·W
///   HintRequest    ──► worker ──► WorkerProduct (rows of A·W)
///                         └── caf::error with the code of an Errc and one line of text
using Worker = caf::typed_actor<caf::replies_to<remo::MaskedTensor>::with<remo::WorkerProduct>,
                                caf::replies_to<HintRequest>::with<remo::WorkerProduct>>;

} // namespace talaria::worker

namespace talaria::remo {

/// The serial form of the two tensor types that may leave the enclave. Sizes from outside are
/// bounded.
template <class Inspector, class Tensor>
typename Inspector::result_type inspect_wire_tensor(Inspector& f, Tensor& x, const char* name) {
  if constexpr (std::is_base_of_v<caf::serializer, Inspector>) {
    auto kind = static_cast<u8>(x.kind);
    u64 size = x.bytes ? x.bytes->size() : 0;
    if (auto error = f(x.matrix, kind, x.rows, x.cols, size)) return error;
    return f.apply_raw(size, x.bytes ? const_cast<u8*>(x.bytes->data()) : nullptr);
  } else if constexpr (std::is_base_of_v<caf::deserializer, Inspector>) {
    constexpr u64 kLimit = u64{1} << 32;
    u8 kind = 0;
    u64 size = 0;
    if (auto error = f(x.matrix, kind, x.rows, x.cols, size)) return error;
    if (size > kLimit || u64{x.rows} * x.cols > kLimit ||
        kind > static_cast<u8>(ProductKind::float32))
      return caf::make_error(caf::sec::invalid_argument, "tensor header out of range");
    x.kind = static_cast<ProductKind>(kind);
    AlignedBuffer<u8> bytes(size);
    if (auto error = f.apply_raw(size, bytes.data())) return error;
    x.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
    return caf::none;
  } else {
    return f(caf::meta::type_name(name), x.matrix, x.rows, x.cols);
  }
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, MaskedTensor& x) {
  return inspect_wire_tensor(f, x, "MaskedTensor");
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, WorkerProduct& x) {
  return inspect_wire_tensor(f, x, "WorkerProduct");
}

} // namespace talaria::remo
