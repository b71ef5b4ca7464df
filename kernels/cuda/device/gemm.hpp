#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <memory>

#include "kernels/cuda/device/cublaslt.hpp"
#include "kernels/cuda/device/handles.hpp"

namespace talaria::kernels::cuda {

enum class GemmKind : u8 { int8, float32 };

/// D = A^T B, all column-major: A [depth][columns], B [depth][rows], D [columns][rows], the first
/// index running fastest. In other words row r of D is row r of B times the columns of A.
struct GemmShape {
  GemmKind kind = GemmKind::int8; ///< int8 to int32, or fp32 throughout
  std::size_t columns = 0;        ///< int8: a multiple of 16
  std::size_t rows = 0;           ///< int8: a multiple of 16
  std::size_t depth = 0;          ///< int8: a multiple of 16
  std::size_t a_stride = 0;       ///< elements from one column of A to the next; int8: as `depth`
  std::size_t b_stride = 0;       ///< elements from one row of B to the next; int8: as `depth`
  std::size_t d_stride = 0;       ///< elements from one row of D to the next; int8: as `columns`
  auto operator<=>(const GemmShape&) const = default;
};

/// Matrix products of one device by cuBLASLt. The algorithm that its heuristic names first is
/// remembered for each shape. Not thread-safe.
class Gemm {
public:
  /// @throws Error{usage} without the library, or without memory for its workspace.
  explicit Gemm(DeviceMemory& memory);
  ~Gemm();

  /// Puts the product on `stream`. Pointers are aligned to 16 bytes for int8, to 4 for fp32. The
  /// products of one Gemm share a workspace: all must be put on the same stream.
  /// `offer` < offers(shape): another algorithm than the first, for measurements.
  /// @throws Error{internal} if cuBLASLt has no algorithm for the shape or fails.
  void multiply(const GemmShape& shape, const void* a, const void* b, void* d, cudaStream_t stream,
                std::size_t offer = 0);
  /// Algorithms that cuBLASLt's heuristic offers for the shape, best guess first; 1 to 8.
  /// @throws Error{internal}
  std::size_t offers(const GemmShape& shape);

private:
  struct Plan;
  const Plan& plan(const GemmShape& shape);
  void check(cublasStatus_t status, const char* call) const;

  DeviceMemory& memory_;
  const CublasLt& lt_;
  cublasLtHandle_t handle_ = nullptr;
  DeviceBuffer workspace_;
  std::map<GemmShape, std::unique_ptr<Plan>> plans_;
};

} // namespace talaria::kernels::cuda
