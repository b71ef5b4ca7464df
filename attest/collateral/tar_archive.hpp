#pragma once

#include <map>
#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// Files by name: relative, '/' between parts, in the order of their names.
using ArchiveFiles = std::map<std::string, std::vector<u8>>;

/// A POSIX ustar archive (IEEE 1003.1, pax) of plain files, mode 0644, time 0: the same files give
/// the same bytes.
/// @throws Error{usage} for a name longer than 100 bytes.
std::vector<u8> write_tar(const ArchiveFiles& files);

/// Reads one of at most 16 MiB and 1,000 files. Refuses with stage format, `bundle`, whatever is
/// no ustar archive of plain files: links, folders, names that are absolute or go up, repeated
/// names, wrong checksums.
Parsed<ArchiveFiles> read_tar(Bytes bytes);

} // namespace talaria::attest
