#include "attest/guest/sev_guest.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/ioctl.h>
#include <system_error>

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/secret.hpp"

namespace talaria::attest {
namespace {

// Layouts of include/uapi/linux/sev-guest.h, written down here: the header of the machine that
// compiles may be older than the kernel that runs.
struct GuestRequest {
  u8 message_version = 1;
  u8 unused[7] = {};
  u64 request = 0;
  u64 response = 0;
  u32 firmware_error = 0;
  u32 host_error = 0;
};
static_assert(sizeof(GuestRequest) == 32);

struct ReportRequest {
  std::array<u8, 64> user_data{};
  u32 vmpl = 0;
  u8 zero[28] = {};
};
static_assert(sizeof(ReportRequest) == 96);

struct ExtendedRequest {
  ReportRequest report;
  u64 certificates = 0;
  u32 length = 0;
  u32 unused = 0;
};
static_assert(sizeof(ExtendedRequest) == 112);

struct KeyRequest {
  u32 root = 0; ///< the VCEK
  u32 zero = 0;
  u64 fields = 0;
  u32 vmpl = 0;
  u32 guest_svn = 0;
  u64 tcb = 0;
};
static_assert(sizeof(KeyRequest) == 32);

constexpr unsigned kReportNumber = 2; // SNP_GET_EXT_REPORT
constexpr unsigned kKeyNumber = 1;    // SNP_GET_DERIVED_KEY
constexpr u64 kMixed = 0x1f;          // POLICY, IMAGE_ID, FAMILY_ID, MEASUREMENT, GUEST_SVN
constexpr std::size_t kResponseBytes = 4000;
constexpr std::size_t kReportAt = 0x20;
constexpr std::size_t kReportBytes = 1184;
constexpr std::size_t kKeyAt = 0x20;
constexpr u32 kTooSmall = 1; // host errors
constexpr u32 kBusy = 2;
constexpr std::size_t kMostCertificates = std::size_t{1} << 20;
constexpr std::size_t kPage = 4096;

u32 word_at(Bytes bytes, std::size_t at) {
  u32 value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

u64 address_of(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data);
}

/// Memory for the host's table, at the start of a page.
class Pages {
public:
  explicit Pages(std::size_t bytes) : bytes_(bytes + kPage) {}
  u8* begin() {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (kPage - address % kPage) % kPage;
  }

private:
  std::vector<u8> bytes_;
};

} // namespace

/// Open for as long as it lives.
class SevGuest::Device {
public:
  Device(const DeviceCalls& calls, const std::filesystem::path& path)
      : calls_(calls), descriptor_(calls.open(path)) {
    if (descriptor_ < 0)
      throw Error(Errc::io, fmt::format("{}: {}", path.string(),
                                        std::generic_category().message(-descriptor_)));
  }
  ~Device() { calls_.close(descriptor_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  int control(unsigned number, GuestRequest& request) const {
    return calls_.control(descriptor_, _IOC(_IOC_READ | _IOC_WRITE, 'S', number, sizeof request),
                          &request);
  }

private:
  const DeviceCalls& calls_;
  const int descriptor_;
};

struct SevGuest::Answer {
  int error = 0; ///< negative errno
  u32 firmware = 0;
  u32 host = 0;
};

SevGuest::SevGuest(std::filesystem::path device, DeviceCalls calls, Attempts attempts)
    : device_(std::move(device)), calls_(std::move(calls)), attempts_(std::move(attempts)) {}

/// Asks until the host is not busy.
SevGuest::Answer SevGuest::ask(const Device& device, unsigned number, void* request,
                               void* response) const {
  Answer answer;
  auto wait = attempts_.first_wait;
  for (unsigned attempt = 0; attempt < attempts_.most; ++attempt) {
    if (attempt > 0) {
      attempts_.pause(wait);
      wait *= 2;
    }
    GuestRequest call;
    call.request = address_of(request);
    call.response = address_of(response);
    answer.error = device.control(number, call);
    answer.firmware = call.firmware_error;
    answer.host = call.host_error;
    const bool is_busy = answer.error == -EAGAIN || answer.error == -EINTR ||
                         answer.error == -EBUSY || answer.host == kBusy;
    if (!is_busy) return answer;
  }
  throw Error(Errc::io, fmt::format("{}: the platform is busy ({} attempts)", device_.string(),
                                    attempts_.most));
}

namespace {

[[noreturn]] void fail_sev(const std::filesystem::path& device, const char* what, int error,
                           u32 firmware, u32 host) {
  throw Error(Errc::io,
              fmt::format("{}: no {}: {} (firmware error {:#x}, host error {:#x})", device.string(),
                          what, std::generic_category().message(-error), firmware, host));
}

} // namespace

SevGuest::Report SevGuest::report(const std::array<u8, 64>& report_data) const {
  const Device device(calls_, device_);
  ExtendedRequest request;
  request.report.user_data = report_data;
  std::array<u8, kResponseBytes> response{};
  Answer answer = ask(device, kReportNumber, &request, response.data());
  Report made;
  if (answer.host == kTooSmall && request.length > 0) {
    if (request.length > kMostCertificates)
      throw Error(Errc::io, device_.string() + ": the host's certificates are too many");
    const u32 room = (request.length + kPage - 1) / kPage * kPage;
    Pages pages(room);
    request.certificates = address_of(pages.begin());
    request.length = room;
    answer = ask(device, kReportNumber, &request, response.data());
    // The length is the host's word, and may have grown meanwhile.
    const u32 length = std::min(request.length, room);
    if (answer.error == 0) made.auxiliary.assign(pages.begin(), pages.begin() + length);
  }
  if (answer.error != 0) fail_sev(device_, "report", answer.error, answer.firmware, answer.host);
  const Bytes bytes(response);
  if (word_at(bytes, 0) != 0 || word_at(bytes, 4) != kReportBytes)
    throw Error(Errc::io, fmt::format("{}: the firmware says status {:#x} and {} bytes in the "
                                      "place of a report",
                                      device_.string(), word_at(bytes, 0), word_at(bytes, 4)));
  made.report = to_vector(bytes.subspan(kReportAt, kReportBytes));
  // Some layers below a guest have answered zeros and called that success.
  if (word_at(made.report, 0) == 0)
    throw Error(Errc::io, device_.string() + ": what came as a report is empty");
  return made;
}

SealKey SevGuest::derived_key() const {
  const Device device(calls_, device_);
  KeyRequest request;
  request.fields = kMixed;
  std::array<u8, 64> response{};
  const Answer answer = ask(device, kKeyNumber, &request, response.data());
  if (answer.error != 0) fail_sev(device_, "key", answer.error, answer.firmware, answer.host);
  SealKey key{};
  std::copy_n(response.begin() + kKeyAt, key.size(), key.begin());
  const u32 status = word_at(response, 0);
  wipe(response.data(), response.size());
  if (status != 0 || all_zero(key))
    throw Error(Errc::io, fmt::format("{}: the firmware derives no key: status {:#x}",
                                      device_.string(), status));
  return key;
}

} // namespace talaria::attest
