#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace talaria::gateway {

/// Whether decoded() knows a value of Content-Encoding: gzip, x-gzip, deflate, identity or nothing.
bool is_known_coding(std::string_view coding) noexcept;

/// Undoes a Content-Encoding.
/// @throws ApiError 413 if more than `most` bytes come out; 400 if `body` is not of that coding.
std::string decoded(std::string body, std::string_view coding, std::size_t most);

} // namespace talaria::gateway
