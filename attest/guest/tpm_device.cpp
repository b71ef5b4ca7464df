#include "attest/guest/tpm_device.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "attest/evidence/tpm_quote.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::attest {
namespace {

// TCG TPM 2.0 Library, part 2: 6.5.2 (commands), 6.6 (responses), 6.9 (tags), 6.3 (algorithms),
// 7.4 (permanent handles).
constexpr u16 kNoSessions = 0x8001;
constexpr u16 kSessions = 0x8002;
constexpr u32 kNvReadPublic = 0x0169;
constexpr u32 kNvRead = 0x014E;
constexpr u32 kPcrRead = 0x017E;
constexpr u32 kQuote = 0x0158;
constexpr u32 kOwner = 0x40000001;
constexpr u32 kPasswordSession = 0x40000009;
constexpr u16 kSha256 = 0x000B;
constexpr u16 kRsaSsa = 0x0014;
constexpr u32 kAgain[] = {0x908, 0x90A, 0x920, 0x922,
                          0x923}; // yielded, testing, NV rate, retry, NV
constexpr u32 kNoIndex = 0x18B;   // TPM_RC_HANDLE, of the first handle
constexpr std::size_t kHead = 10;
constexpr u16 kPart = 512; // every TPM gives as much of an index at once
constexpr std::size_t kMostIndex = std::size_t{32} << 10;
constexpr std::size_t kMostResponse = 4096;

[[noreturn]] void fail_tpm(const char* what, const std::string& why) {
  throw Error(Errc::io, fmt::format("TPM: {}: {}", what, why));
}

/// A command, big-endian; its length is filled in at the end.
class Command {
public:
  Command(u16 tag, u32 code) {
    put(tag, 2);
    put(0, 4);
    put(code, 4);
  }
  Command& put(u32 value, std::size_t bytes) {
    while (bytes-- > 0) bytes_.push_back(static_cast<u8>(value >> (8 * bytes)));
    return *this;
  }
  Command& sized(Bytes bytes) {
    put(static_cast<u32>(bytes.size()), 2);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  /// The empty password, for one handle.
  Command& empty_password() {
    put(9, 4).put(kPasswordSession, 4);
    return put(0, 2).put(0, 1).put(0, 2); // no nonce, no attributes, no password
  }
  Command& selection(const std::array<u8, 3>& bits) {
    put(1, 4).put(kSha256, 2).put(3, 1);
    bytes_.insert(bytes_.end(), bits.begin(), bits.end());
    return *this;
  }
  Bytes finish() {
    const auto size = static_cast<u32>(bytes_.size());
    for (std::size_t i = 0; i < 4; ++i) bytes_[2 + i] = static_cast<u8>(size >> (24 - 8 * i));
    return bytes_;
  }

private:
  std::vector<u8> bytes_;
};

/// Fields of a response, taken off the front.
class Response {
public:
  Response(Bytes rest, const char* what) : rest_(rest), what_(what) {}
  Bytes take(std::size_t count) {
    if (count > rest_.size()) fail_tpm(what_, "the response ends within a field");
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  u32 number(std::size_t bytes) {
    u32 value = 0;
    for (const u8 byte : take(bytes)) value = value << 8 | byte;
    return value;
  }
  Bytes sized() { return take(number(2)); }

private:
  Bytes rest_;
  const char* what_;
};

/// What is still wanted of registers 0 to 23.
using RegisterBits = std::array<u8, 3>;

bool is_wanted(const RegisterBits& bits, std::size_t index) {
  return (bits[index / 8] >> (index % 8) & 1) != 0;
}

/// Puts the registers of one response at their places. A TPM gives some of those it is asked for,
/// and says which.
void take_registers(Response response, RegisterBits& wanted, std::vector<u8>& out) {
  constexpr const char* kWhat = "PCR_Read";
  response.number(4); // how often registers have changed
  if (response.number(4) != 1 || response.number(2) != kSha256)
    fail_tpm(kWhat, "it has no SHA-256 registers");
  const Bytes given = response.take(response.number(1));
  if (given.size() != wanted.size()) fail_tpm(kWhat, "it has other than 24 registers");
  u32 count = response.number(4);
  if (count == 0) fail_tpm(kWhat, "it gives no SHA-256 registers");
  for (std::size_t i = 0; i < kPcrs && count > 0; ++i) {
    if ((given[i / 8] >> (i % 8) & 1) == 0) continue;
    const Bytes value = response.sized();
    if (!is_wanted(wanted, i) || value.size() != kPcrBytes)
      fail_tpm(kWhat, "it gives what was not asked for");
    std::ranges::copy(value, out.begin() + static_cast<std::ptrdiff_t>(i * kPcrBytes));
    wanted[i / 8] = static_cast<u8>(wanted[i / 8] & ~(1U << (i % 8)));
    --count;
  }
  if (count != 0) fail_tpm(kWhat, "it gives more registers than it says");
}

std::vector<u8> device_exchange(const std::filesystem::path& device, Bytes command) {
  const auto failed = [&](const char* what) {
    throw Error(Errc::io, fmt::format("{}: {}: {}", device.string(), what,
                                      std::generic_category().message(errno)));
  };
  const FileDescriptor file(::open(device.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) failed("cannot be opened");
  if (::write(file.get(), command.data(), command.size()) != static_cast<ssize_t>(command.size()))
    failed("takes no command");
  std::vector<u8> response(kMostResponse);
  const ssize_t got = ::read(file.get(), response.data(), response.size());
  if (got < 0) failed("gives no response");
  response.resize(static_cast<std::size_t>(got));
  return response;
}

} // namespace

TpmExchange tpm_exchange(std::filesystem::path device) {
  return [device = std::move(device)](Bytes command) { return device_exchange(device, command); };
}

TpmDevice::TpmDevice(TpmExchange exchange, Attempts attempts)
    : exchange_(std::move(exchange)), attempts_(std::move(attempts)) {}

/// What follows the head of a successful response.
std::vector<u8> TpmDevice::run(Bytes command, const char* what) const {
  auto wait = attempts_.first_wait;
  for (unsigned attempt = 1;; ++attempt, wait *= 2) {
    const std::vector<u8> bytes = exchange_(command);
    Response response(bytes, what);
    response.number(2);
    const u32 size = response.number(4);
    const u32 code = response.number(4);
    if (size != bytes.size())
      fail_tpm(what, fmt::format("{} bytes came of {}", bytes.size(), size));
    if (code == 0) return {bytes.begin() + kHead, bytes.end()};
    if (code == kNoIndex && command[9] == (kNvReadPublic & 0xff))
      fail_tpm(what, "there is no such index");
    if (std::ranges::find(kAgain, code) == std::end(kAgain) || attempt >= attempts_.most)
      fail_tpm(what, fmt::format("response code {:#05x}", code));
    attempts_.pause(wait);
  }
}

std::vector<u8> TpmDevice::read_index(u32 index) const {
  const auto about =
      run(Command(kNoSessions, kNvReadPublic).put(index, 4).finish(), "NV_ReadPublic");
  Response head(about, "NV_ReadPublic");
  Response fields(head.sized(), "NV_ReadPublic");
  fields.take(4 + 2 + 4); // index, hash of its name, attributes
  fields.sized();         // policy
  const std::size_t size = fields.number(2);
  if (size > kMostIndex) fail_tpm("NV_ReadPublic", fmt::format("an index of {} bytes", size));
  std::vector<u8> out;
  while (out.size() < size) {
    const auto part = static_cast<u32>(std::min<std::size_t>(kPart, size - out.size()));
    Command read(kSessions, kNvRead);
    read.put(kOwner, 4).put(index, 4).empty_password();
    read.put(part, 2).put(static_cast<u32>(out.size()), 2);
    const auto given = run(read.finish(), "NV_Read");
    Response response(given, "NV_Read");
    response.number(4); // length of the parameters
    const Bytes bytes = response.sized();
    if (bytes.size() != part) fail_tpm("NV_Read", "it gives another part than was asked for");
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

std::vector<u8> TpmDevice::registers() const {
  std::vector<u8> out(kPcrs * kPcrBytes);
  RegisterBits wanted{0xff, 0xff, 0xff};
  while (wanted != RegisterBits{}) {
    const auto given = run(Command(kNoSessions, kPcrRead).selection(wanted).finish(), "PCR_Read");
    take_registers(Response(given, "PCR_Read"), wanted, out);
  }
  return out;
}

TpmDevice::Quote TpmDevice::quote(u32 key, Bytes qualifying) const {
  Command command(kSessions, kQuote);
  command.put(key, 4).empty_password().sized(qualifying);
  command.put(kRsaSsa, 2).put(kSha256, 2).selection({0xff, 0xff, 0xff});
  const auto given = run(command.finish(), "Quote");
  Response response(given, "Quote");
  response.number(4); // length of the parameters
  Quote made;
  made.quote = to_vector(response.sized());
  if (response.number(2) != kRsaSsa || response.number(2) != kSha256)
    fail_tpm("Quote", "the key signs otherwise than by RSASSA with SHA-256");
  made.signature = to_vector(response.sized());
  return made;
}

} // namespace talaria::attest
