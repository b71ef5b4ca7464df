#include <cublasLt.h>

#include <cstdint>

#include "kernels/cuda/device/cublaslt.hpp"
#include "tests/cuda/fake_runtime.hpp"

namespace talaria::kernels::cuda {

namespace {

using namespace test;

constexpr std::uint64_t kUsable = 0x601d; ///< in an algorithm that was offered as such

struct FakeLayout {
  cudaDataType_t type;
  u64 rows, columns;
  std::int64_t stride;
};

const FakeLayout& layout_of(cublasLtMatrixLayout_t layout) {
  return *reinterpret_cast<const FakeLayout*>(layout);
}

/// What int8 tensor cores ask for, and what a Gemm is allowed to ask of fp32.
bool supported(const FakeLayout& a, const FakeLayout& b, const FakeLayout& d) {
  const auto depth = static_cast<std::int64_t>(a.rows);
  if (a.rows != b.rows || a.columns != d.rows || b.columns != d.columns) return false;
  if (a.stride < depth || b.stride < depth || d.stride < static_cast<std::int64_t>(d.rows))
    return false;
  if (a.type == CUDA_R_32F) return b.type == CUDA_R_32F && d.type == CUDA_R_32F;
  return a.type == CUDA_R_8I && b.type == CUDA_R_8I && d.type == CUDA_R_32I && a.rows % 16 == 0 &&
         a.columns % 16 == 0 && b.columns % 16 == 0 && a.stride % 16 == 0 && b.stride % 16 == 0 &&
         d.stride % 16 == 0;
}

// Padding rows hold anything, so sums may wrap.
u32 dot(const i8* a, const i8* b, u64 n) {
  u32 sum = 0;
  for (u64 i = 0; i < n; ++i) sum += static_cast<u32>(a[i] * b[i]);
  return sum;
}
float dot(const float* a, const float* b, u64 n) {
  float sum = 0;
  for (u64 i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

template <class In, class Out>
void multiply(const FakeLayout& a_layout, const In* a, const FakeLayout& b_layout, const In* b,
              const FakeLayout& d_layout, Out* d) {
  for (u64 r = 0; r < d_layout.columns; ++r)
    for (u64 j = 0; j < d_layout.rows; ++j)
      d[r * static_cast<u64>(d_layout.stride) + j] =
          dot(a + j * static_cast<u64>(a_layout.stride), b + r * static_cast<u64>(b_layout.stride),
              a_layout.rows);
}

template <class T>
std::size_t extent(const FakeLayout& layout) {
  return (static_cast<u64>(layout.stride) * (layout.columns - 1) + layout.rows) * sizeof(T);
}

/// Products of the shapes of kernels/cuda/device/self_check.cpp, as columns, inputs: those that the
/// tests meet nowhere else.
bool self_checks(const FakeLayout& a, const FakeLayout& d) {
  return (a.rows == 192 && d.rows == 1152) || (a.rows == 128 && d.rows == 384);
}

cublasStatus_t fake_matmul(cublasLtHandle_t, cublasLtMatmulDesc_t, const void*, const void* a,
                           cublasLtMatrixLayout_t a_layout, const void* b,
                           cublasLtMatrixLayout_t b_layout, const void*, const void*,
                           cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t d_layout,
                           const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                           std::size_t workspace_bytes, cudaStream_t stream) {
  const Runtime& runtime = Runtime::get();
  const Lock lock(Runtime::get().mutex);
  if (algorithm->data[0] != kUsable) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (runtime.faults.failing_products) return CUBLAS_STATUS_EXECUTION_FAILED;
  const FakeLayout la = layout_of(a_layout);
  const FakeLayout lb = layout_of(b_layout);
  const FakeLayout ld = layout_of(d_layout);
  const bool int8 = la.type == CUDA_R_8I;
  const std::size_t alignment = int8 ? 16 : 4;
  for (const void* pointer : {a, b, static_cast<const void*>(d)})
    if (reinterpret_cast<std::uintptr_t>(pointer) % alignment != 0)
      return CUBLAS_STATUS_INVALID_VALUE;
  runtime.want_device(a, int8 ? extent<i8>(la) : extent<float>(la));
  runtime.want_device(b, int8 ? extent<i8>(lb) : extent<float>(lb));
  runtime.want_device(d, extent<i32>(ld));
  runtime.want_device(workspace, workspace_bytes);
  const bool checks_itself = self_checks(la, ld);
  const bool wrong =
      runtime.faults.wrong_sums || (runtime.faults.wrong_outside_self_checks && !checks_itself);
  put(stream, [=] {
    if (int8)
      multiply(la, static_cast<const i8*>(a), lb, static_cast<const i8*>(b), ld,
               static_cast<u32*>(d));
    else
      multiply(la, static_cast<const float*>(a), lb, static_cast<const float*>(b), ld,
               static_cast<float*>(d));
    if (int8 && wrong) ++*static_cast<u32*>(d);
  });
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t fake_heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int wanted,
                              cublasLtMatmulHeuristicResult_t* results, int* count) {
  const bool transposed = desc->data[0] == CUBLAS_OP_T;
  *count = 0;
  if (!transposed || c != d || !supported(layout_of(a), layout_of(b), layout_of(d)))
    return CUBLAS_STATUS_SUCCESS;
  if (wanted > 1) { // an offer that is none comes first
    results[0].state = CUBLAS_STATUS_NOT_SUPPORTED;
    *count = 1;
  }
  results[*count].state = CUBLAS_STATUS_SUCCESS;
  results[*count].algo.data[0] = kUsable;
  results[*count].workspaceSize = 1000;
  ++*count;
  return CUBLAS_STATUS_SUCCESS;
}

CublasLt fake_library() {
  CublasLt lt{};
  lt.version = [] { return std::size_t{CUBLAS_VERSION}; };
  lt.create = [](cublasLtHandle_t*) { return CUBLAS_STATUS_SUCCESS; };
  lt.destroy = [](cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; };
  lt.status_string = [](cublasStatus_t) { return "fake status"; };
  lt.matmul = fake_matmul;
  lt.heuristic = fake_heuristic;
  lt.desc_create = [](cublasLtMatmulDesc_t* desc, cublasComputeType_t, cudaDataType_t) {
    *desc = new cublasLtMatmulDescOpaque_t{};
    return CUBLAS_STATUS_SUCCESS;
  };
  lt.desc_destroy = [](cublasLtMatmulDesc_t desc) {
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
  };
  lt.desc_set = [](cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                   const void* value, std::size_t) {
    if (attribute == CUBLASLT_MATMUL_DESC_TRANSA)
      desc->data[0] = *static_cast<const cublasOperation_t*>(value);
    return CUBLAS_STATUS_SUCCESS;
  };
  lt.layout_create = [](cublasLtMatrixLayout_t* layout, cudaDataType_t type, std::uint64_t rows,
                        std::uint64_t columns, std::int64_t stride) {
    *layout = reinterpret_cast<cublasLtMatrixLayout_t>(new FakeLayout{type, rows, columns, stride});
    return CUBLAS_STATUS_SUCCESS;
  };
  lt.layout_destroy = [](cublasLtMatrixLayout_t layout) {
    delete reinterpret_cast<FakeLayout*>(layout);
    return CUBLAS_STATUS_SUCCESS;
  };
  lt.preference_create = [](cublasLtMatmulPreference_t* preference) {
    *preference = new cublasLtMatmulPreferenceOpaque_t{};
    return CUBLAS_STATUS_SUCCESS;
  };
  lt.preference_destroy = [](cublasLtMatmulPreference_t preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
  };
  lt.preference_set = [](cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
                         const void*, std::size_t) { return CUBLAS_STATUS_SUCCESS; };
  return lt;
}

} // namespace

const CublasLt& CublasLt::library() {
  static const CublasLt lt = fake_library();
  return lt;
}

} // namespace talaria::kernels::cuda
