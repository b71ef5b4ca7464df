#include "kernels/scratch.hpp"

#include "core/matrix.hpp"

namespace talaria::kernels {

unsigned char* scratch(std::size_t bytes) {
  static thread_local AlignedBuffer<unsigned char> buffer;
  if (buffer.size() < bytes) buffer = AlignedBuffer<unsigned char>(bytes);
  return buffer.data();
}

} // namespace talaria::kernels
