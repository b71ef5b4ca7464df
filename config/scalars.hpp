#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/integers.hpp"

namespace talaria::config {

// Each reads the whole of `text` or nothing: no sign, no space, no unit beyond what is named.

/// Decimal digits.
std::optional<u64> parse_whole(std::string_view text);

/// "0.5", "1e-2"; finite.
std::optional<double> parse_real(std::string_view text);

/// "unix:/PATH", a socket in the file system: its absolute path, which is no folder's.
std::optional<std::string_view> parse_unix_path(std::string_view text);

inline constexpr const char* kCoreList = "processors like 0-3,8";
/// A list of processors that parse_cores() (core/cores.hpp) understands.
bool is_core_list(std::string_view text);

/// "HOST" or "USER@HOST"; nothing that ssh could take for an option.
bool is_ssh_target(std::string_view text);

/// "cpu", "auto", "cuda", or "cuda:N" or "cuda:N,N..." with N up to 255.
bool is_device(std::string_view text);

/// 1 to 64 of letters, digits, '-', '_' and '.'.
bool is_node_name(std::string_view text);

} // namespace talaria::config
