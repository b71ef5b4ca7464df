#include "remo/public/wire_tensors.hpp"

namespace talaria::remo {

const char* to_string(ProductKind kind) noexcept {
  switch (kind) {
  case ProductKind::residues:
    return "residues";
  case ProductKind::switched:
    return "switched";
  case ProductKind::float32:
    return "float32";
  case ProductKind::int8:
    return "int8";
  case ProductKind::rounded:
    return "rounded";
  case ProductKind::rounded_switched:
    return "rounded_switched";
  }
  return "unknown";
}

} // namespace talaria::remo
