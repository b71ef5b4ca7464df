#pragma once

#include <cstddef>
#include <filesystem>

namespace talaria {

/// Bytes of memory that this process may take at most: the machine's, or less where its control
/// group (version 2) is limited to less. 0: unknown. `root`, in place of "/", is for tests.
std::size_t memory_of_machine(const std::filesystem::path& root = "/");

/// Bytes that may still be taken without swapping; 0: unknown.
std::size_t available_memory(const std::filesystem::path& root = "/");

/// Bytes of swap that are on; 0: none, or unknown.
std::size_t swap_of_machine(const std::filesystem::path& root = "/");

} // namespace talaria
