#pragma once

#include <filesystem>
#include <string_view>

#include "attest/policy/policy.hpp"

namespace talaria::attest {

/// Reads a policy: YAML, `version: 1`, as docs/attestation.md describes it. Lists mean "one of",
/// bytes are hexadecimal in lower case without 0x, unknown keys are errors. Paths are relative to
/// the file's folder.
/// @throws Error{config} with a line "file:line:column: field: what is wrong" for everything that
/// is.
Policy parse_policy(std::string_view text, const std::filesystem::path& file);

/// The same for a file of at most 1 MiB. @throws Error{config} if it cannot be read.
Policy read_policy(const std::filesystem::path& file);

} // namespace talaria::attest
