#include "attest/collateral/tar_archive.hpp"

#include <cstdio>
#include <numeric>

#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameBytes = 100;
constexpr std::size_t kSize = 124;
constexpr std::size_t kChecksum = 148;
constexpr std::size_t kType = 156;
constexpr std::size_t kMagic = 257;
constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxFiles = 1000;

[[noreturn]] void refuse_bundle(const std::string& what) {
  refuse(Stage::format, "bundle", what);
}

/// The sum of a header's bytes with its checksum taken as spaces.
unsigned checksum_of(Bytes header) {
  unsigned sum = std::accumulate(header.begin(), header.end(), 0U);
  for (std::size_t i = 0; i < 8; ++i) sum = sum - header[kChecksum + i] + ' ';
  return sum;
}

void put_text(std::vector<u8>& header, std::size_t at, std::string_view text) {
  std::ranges::copy(text, header.begin() + static_cast<std::ptrdiff_t>(at));
}

std::vector<u8> header_of(const std::string& name, std::size_t size) {
  std::vector<u8> header(kBlock);
  put_text(header, 0, name);
  put_text(header, 100, "0000644");
  put_text(header, 108, "0000000"); // owner and group
  put_text(header, 116, "0000000");
  char digits[32];
  std::snprintf(digits, sizeof digits, "%011zo", size);
  put_text(header, kSize, digits);
  put_text(header, 136, "00000000000");
  header[kType] = '0';
  put_text(header, kMagic, std::string_view("ustar\00000", 8));
  std::snprintf(digits, sizeof digits, "%06o", checksum_of(header));
  put_text(header, kChecksum, digits);
  header[kChecksum + 7] = ' ';
  return header;
}

std::size_t octal(Bytes field) {
  std::size_t value = 0;
  std::size_t digits = 0;
  for (const u8 c : field) {
    if (c == 0 || c == ' ') break;
    if (c < '0' || c > '7' || ++digits > 11) refuse_bundle("a number is not octal");
    value = value * 8 + (c - '0');
  }
  if (digits == 0) refuse_bundle("a number is missing");
  return value;
}

std::string name_of(Bytes header) {
  const std::string_view field = as_text(header.first(kNameBytes));
  const std::string name(field.substr(0, field.find('\0')));
  bool is_plain = !name.empty() && name.front() != '/' && name.back() != '/';
  for (const char c : name)
    is_plain = is_plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '/');
  if (!is_plain || name.find("..") != name.npos) refuse_bundle("a name is not a plain one");
  return name;
}

ArchiveFiles read(Bytes bytes) {
  if (bytes.size() > kMaxBytes) refuse_bundle("larger than 16 MiB");
  const Record record(bytes, "bundle");
  ArchiveFiles files;
  for (std::size_t at = 0;;) {
    const Bytes header = record.slice(at, kBlock);
    if (all_zero(header)) {
      if (!all_zero(bytes.subspan(at))) refuse_bundle("bytes follow the end");
      return files;
    }
    if (as_text(header.subspan(kMagic, 5)) != "ustar" || header[kType] != '0')
      refuse_bundle("an entry is no plain file");
    if (octal(header.subspan(kChecksum, 8)) != checksum_of(header))
      refuse_bundle("a checksum is wrong");
    const std::size_t size = octal(header.subspan(kSize, 12));
    if (files.size() == kMaxFiles) refuse_bundle("more than 1000 files");
    if (!files.emplace(name_of(header), to_vector(record.slice(at + kBlock, size))).second)
      refuse_bundle("a name stands there twice");
    at += kBlock + (size + kBlock - 1) / kBlock * kBlock;
  }
}

} // namespace

std::vector<u8> write_tar(const ArchiveFiles& files) {
  std::vector<u8> archive;
  for (const auto& [name, content] : files) {
    if (name.size() > kNameBytes)
      throw Error(Errc::usage, name + ": longer than the 100 bytes a bundle allows");
    const std::vector<u8> header = header_of(name, content.size());
    archive.insert(archive.end(), header.begin(), header.end());
    archive.insert(archive.end(), content.begin(), content.end());
    archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock);
  }
  archive.resize(archive.size() + 2 * kBlock);
  return archive;
}

Parsed<ArchiveFiles> read_tar(Bytes bytes) {
  return guarded([bytes] { return read(bytes); });
}

} // namespace talaria::attest
