#include "kernels/cuda/device/cublaslt.hpp"

#include <dlfcn.h>

#include <string>

#include "core/concat.hpp"
#include "core/error.hpp"

namespace talaria::kernels::cuda {

namespace {

/// cuBLAS 13.0.2, of CUDA 13.0 Update 1: the release notes say that before it int8 products with
/// int32 results of matrices in the regular order, ours, could be wrong (CUB-8874). Versions 12
/// have no bound of their own there; for them the check when a device is opened must do.
constexpr std::size_t kFirstRight13 = 130002;

void* open_library() {
  const std::string name = concat("libcublasLt.so.", CUBLAS_VER_MAJOR);
  std::string why;
  for (const std::string& path : {name, "/usr/local/cuda/lib64/" + name}) {
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* said = dlerror();
    if (why.empty() && said != nullptr) why = said;
  }
  throw Error(Errc::usage, concat(name, " cannot be loaded (", why, "); install cuBLAS of CUDA ",
                                  CUBLAS_VER_MAJOR,
                                  " and put its folder into LD_LIBRARY_PATH, or use --device cpu"));
}

void check_version(std::size_t version) {
  if (version >= 130000 && version < kFirstRight13)
    throw Error(Errc::usage,
                concat("cuBLASLt ", version / 10000, ".", version / 100 % 100, ".", version % 100,
                       " may multiply int8 matrices wrongly; install that of CUDA "
                       "13.0 Update 1 or newer, or use --device cpu"));
}

template <class Function>
void look_up(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr)
    throw Error(Errc::usage,
                concat("libcublasLt.so.", CUBLAS_VER_MAJOR, " lacks ", name,
                       "; install the version this program was built for, or use --device cpu"));
}

CublasLt load() {
  void* library = open_library(); // never closed: it leaves threads and device state behind
  CublasLt lt{};
  look_up(library, "cublasLtGetVersion", lt.version);
  check_version(lt.version());
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
