#pragma once

#include <cstddef>

namespace talaria {

/// malloc, realloc and free for libraries that take such functions (OpenSSL, zlib, ICU): what is
/// given back is overwritten first, all of its usable size. What they hold is text of users, in
/// clear. Under a sanitizer, which keeps freed memory to find uses of it, the standard ones.
void* take_block(std::size_t bytes) noexcept;
/// The old block is overwritten as well when the contents move. Null: as take_block().
void* resize_block(void* block, std::size_t bytes) noexcept;
void give_block(void* block) noexcept; ///< null: nothing

} // namespace talaria
