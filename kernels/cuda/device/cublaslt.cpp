#include "kernels/cuda/device/cublaslt.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "core/error.hpp"

namespace talaria::kernels::cuda {

namespace {

void* open_library() {
  const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  for (const std::string& path : {name, "/usr/local/cuda/lib64/" + name})
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  throw Error(Errc::usage, fmt::format("{} is not here; install cuBLAS of CUDA {} and put its "
                                       "folder into LD_LIBRARY_PATH, or use --device cpu",
                                       name, CUBLAS_VER_MAJOR));
}

template <class Function>
void look_up(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr)
    throw Error(Errc::usage,
                fmt::format("libcublasLt.so.{} lacks {}; install the version this program was "
                            "built for, or use --device cpu",
                            CUBLAS_VER_MAJOR, name));
}

CublasLt load() {
  void* library = open_library(); // never closed: it leaves threads and device state behind
  CublasLt lt{};
  look_up(library, "cublasLtCreate", lt.create);
  look_up(library, "cublasLtDestroy", lt.destroy);
  look_up(library, "cublasLtGetStatusString", lt.status_string);
  look_up(library, "cublasLtMatmul", lt.matmul);
  look_up(library, "cublasLtMatmulAlgoGetHeuristic", lt.heuristic);
  look_up(library, "cublasLtMatmulDescCreate", lt.desc_create);
  look_up(library, "cublasLtMatmulDescDestroy", lt.desc_destroy);
  look_up(library, "cublasLtMatmulDescSetAttribute", lt.desc_set);
  look_up(library, "cublasLtMatrixLayoutCreate", lt.layout_create);
  look_up(library, "cublasLtMatrixLayoutDestroy", lt.layout_destroy);
  look_up(library, "cublasLtMatmulPreferenceCreate", lt.preference_create);
  look_up(library, "cublasLtMatmulPreferenceDestroy", lt.preference_destroy);
  look_up(library, "cublasLtMatmulPreferenceSetAttribute", lt.preference_set);
  return lt;
}

} // namespace

const CublasLt& CublasLt::library() {
  static const CublasLt lt = load();
  return lt;
}

} // namespace talaria::kernels::cuda
