#include "attest/guest/tsm_report.hpp"

#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "attest/evidence/encodings.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kMostReport = std::size_t{32} << 10; // of the kernel: TSM_OUTBLOB_MAX
constexpr std::size_t kMostAuxiliary = std::size_t{64} << 10;

/// Asked again after a moment.
struct Busy {
  const char* why;
};

[[noreturn]] void fail_tsm(const char* what, int error) {
  if (error == ENXIO)
    throw Error(Errc::io, "configfs-tsm has no provider: the kernel runs in no confidential guest, "
                          "or its driver (sev-guest, tdx-guest) is not loaded");
  if (error == EFBIG)
    throw Error(Errc::io, "configfs-tsm: the report is larger than the kernel takes (EFBIG)");
  throw Error(Errc::io, fmt::format("configfs-tsm: {} fails: {}", what,
                                    std::generic_category().message(error)));
}

/// EBUSY: another writer. EAGAIN, EINTR: the security processor. EWOULDBLOCK is EAGAIN.
void require_done(int error, const char* what) {
  if (error == 0) return;
  if (error == EBUSY || error == EAGAIN || error == EINTR) throw Busy{"it is busy"};
  fail_tsm(what, error);
}

std::vector<u8> read_attribute(TsmEntry& entry, const char* name, std::size_t most) {
  std::vector<u8> bytes;
  require_done(entry.read(name, bytes), name);
  if (bytes.size() > most)
    throw Error(Errc::io, fmt::format("configfs-tsm: {} has {} bytes, more than {}", name,
                                      bytes.size(), most));
  return bytes;
}

u64 number_in(Bytes bytes, const char* name) {
  const std::string_view text = trimmed(as_text(bytes));
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error(Errc::io, fmt::format("configfs-tsm: {} is no number", name));
  return value;
}

u64 generation_of(TsmEntry& entry) {
  return number_in(read_attribute(entry, "generation", 64), "generation");
}

/// Behind an SVSM (coconut-svsm) a guest runs at a privilege level below that of the SVSM, and the
/// firmware gives it no report of a level above its own. @return how often it has written
unsigned set_level(TsmEntry& entry) {
  std::vector<u8> floor;
  const int error = entry.read("privlevel_floor", floor);
  if (error == ENOENT) return 0; // TDX has none
  require_done(error, "privlevel_floor");
  if (number_in(floor, "privlevel_floor") == 0) return 0;
  require_done(entry.write("privlevel", as_bytes(trimmed(as_text(floor)))), "privlevel");
  return 1;
}

std::string provider_of(TsmEntry& entry) {
  const std::vector<u8> bytes = read_attribute(entry, "provider", 64);
  return std::string(trimmed(as_text(bytes)));
}

TsmReport try_report(TsmEntry& entry, const std::array<u8, 64>& report_data) {
  const u64 before = generation_of(entry);
  const u64 written = set_level(entry) + 1; // the kernel counts each attribute
  require_done(entry.write("inblob", report_data), "inblob");
  TsmReport made;
  made.report = read_attribute(entry, "outblob", kMostReport);
  made.auxiliary = read_attribute(entry, "auxblob", kMostAuxiliary);
  made.provider = provider_of(entry);
  if (generation_of(entry) != before + written) throw Busy{"others write to it all the time"};
  if (made.report.empty()) throw Error(Errc::io, "configfs-tsm: the report is empty");
  return made;
}

} // namespace

TsmReport request_report(Tsm& tsm, const std::array<u8, 64>& report_data,
                         const Attempts& attempts) {
  const char* why = "";
  auto wait = attempts.first_wait;
  for (unsigned attempt = 0; attempt < attempts.most; ++attempt) {
    if (attempt > 0) {
      attempts.pause(wait);
      wait *= 2;
    }
    const std::unique_ptr<TsmEntry> entry = tsm.enter();
    try {
      return try_report(*entry, report_data);
    } catch (const Busy& busy) {
      why = busy.why;
    }
  }
  throw Error(Errc::io,
              fmt::format("the platform gives no report: {} ({} attempts)", why, attempts.most));
}

} // namespace talaria::attest
