#include "kernels/cuda/device/gemm.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>
#include <vector>

#include "core/concat.hpp"
#include "core/error.hpp"

namespace talaria::kernels::cuda {

namespace {

/// What NVIDIA recommends for Hopper; smaller devices do not need as much, and do not miss it.
constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

} // namespace

/// What cuBLASLt wants to be told of one shape, and its answer.
struct Gemm::Plan {
  explicit Plan(const CublasLt& library) : lt(library) {}
  Plan(const Plan&) = delete;
  ~Plan() {
    if (preference != nullptr) lt.preference_destroy(preference);
    for (const cublasLtMatrixLayout_t layout : {a, b, d})
      if (layout != nullptr) lt.layout_destroy(layout);
    if (desc != nullptr) lt.desc_destroy(desc);
  }
  const CublasLt& lt;
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t d = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  std::vector<cublasLtMatmulHeuristicResult_t> offers; ///< that can be used, at least one
};

Gemm::Gemm(DeviceMemory& memory)
    : memory_(memory), lt_(CublasLt::library()),
      workspace_(memory, kWorkspaceBytes, "the workspace of cuBLASLt") {
  check(lt_.create(&handle_), "cublasLtCreate");
}

Gemm::~Gemm() {
  plans_.clear();
  lt_.destroy(handle_);
}

void Gemm::check(cublasStatus_t status, const char* call) const {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(
      Errc::internal,
      concat(memory_.name(), ": ", call, " failed: ", lt_.status_string(status),
             "; restart this worker, and update the driver and cuBLAS if it happens again"));
}

const Gemm::Plan& Gemm::plan(const GemmShape& shape) {
  auto& known = plans_[shape];
  if (known != nullptr) return *known;
  const bool int8 = shape.kind == GemmKind::int8;
  const cudaDataType_t in = int8 ? CUDA_R_8I : CUDA_R_32F;
  const cudaDataType_t out = int8 ? CUDA_R_32I : CUDA_R_32F;
  const cublasComputeType_t compute = int8 ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F_PEDANTIC;
  const cublasOperation_t transposed = CUBLAS_OP_T; // int8 tensor cores want A^T B and nothing else

  auto plan = std::make_unique<Plan>(lt_);
  check(lt_.desc_create(&plan->desc, compute, out), "cublasLtMatmulDescCreate");
  check(lt_.desc_set(plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed),
        "cublasLtMatmulDescSetAttribute");
  const auto stride = [](std::size_t elements) { return static_cast<i64>(elements); };
  check(lt_.layout_create(&plan->a, in, shape.depth, shape.columns, stride(shape.a_stride)),
        "cublasLtMatrixLayoutCreate");
  check(lt_.layout_create(&plan->b, in, shape.depth, shape.rows, stride(shape.b_stride)),
        "cublasLtMatrixLayoutCreate");
  check(lt_.layout_create(&plan->d, out, shape.columns, shape.rows, stride(shape.d_stride)),
        "cublasLtMatrixLayoutCreate");

  check(lt_.preference_create(&plan->preference), "cublasLtMatmulPreferenceCreate");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(lt_.preference_set(plan->preference, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, u64{kWorkspaceBytes});
  const u32 alignment = int8 ? 16 : 4; // cuBLASLt assumes 256 unless it is told
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(attribute, alignment);

  std::array<cublasLtMatmulHeuristicResult_t, 8> offers{};
  int found = 0;
  check(lt_.heuristic(handle_, plan->desc, plan->a, plan->b, plan->d, plan->d, plan->preference,
                      static_cast<int>(offers.size()), offers.data(), &found),
        "cublasLtMatmulAlgoGetHeuristic");
  std::copy_if(offers.begin(), offers.begin() + found, std::back_inserter(plan->offers),
               [](const auto& offer) {
                 return offer.state == CUBLAS_STATUS_SUCCESS; // the rest is valid only then
               });
  if (plan->offers.empty()) check(CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic");
  known = std::move(plan);
  return *known;
}

std::size_t Gemm::offers(const GemmShape& shape) {
  return plan(shape).offers.size();
}

void Gemm::multiply(const GemmShape& shape, const void* a, const void* b, void* d,
                    cudaStream_t stream, std::size_t offer) {
  const Plan& p = plan(shape);
  const cublasLtMatmulHeuristicResult_t& chosen = p.offers[offer];
  const i32 int_scale[] = {1, 0};
  const float float_scale[] = {1.0F, 0.0F};
  const bool int8 = shape.kind == GemmKind::int8;
  const void* one = int8 ? static_cast<const void*>(&int_scale[0]) : &float_scale[0];
  const void* zero = int8 ? static_cast<const void*>(&int_scale[1]) : &float_scale[1];
  check(lt_.matmul(handle_, p.desc, one, a, p.a, b, p.b, zero, d, p.d, d, p.d, &chosen.algo,
                   workspace_.as<void>(), chosen.workspaceSize, stream),
        "cublasLtMatmul");
}

} // namespace talaria::kernels::cuda
