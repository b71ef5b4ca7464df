#pragma once

#include <ostream>

#include "model/weights/quantized.hpp"

namespace talaria::model {

/// For Boost's reports.
inline std::ostream& operator<<(std::ostream& out, WeightFormat format) {
  return out << to_string(format);
}

} // namespace talaria::model
