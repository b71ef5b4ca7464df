#include "core/declassify.hpp"

namespace talaria {

// The only function of this file, so that a program's own takes its place.
void declassify(const void*, std::size_t) noexcept {}

} // namespace talaria
