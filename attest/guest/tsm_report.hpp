#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"
#include "attest/guest/device_calls.hpp"

namespace talaria::attest {

/// One entry below /sys/kernel/config/tsm/report, of this program alone. Its end removes it.
class TsmEntry {
public:
  virtual ~TsmEntry() = default;
  /// All of `bytes` in one write. @return 0 or an errno
  virtual int write(const std::string& attribute, Bytes bytes) = 0;
  /// The whole of an attribute. @return 0 or an errno
  virtual int read(const std::string& attribute, std::vector<u8>& out) = 0;
};

/// configfs-tsm (Linux 6.7), or what a test has in its place.
class Tsm {
public:
  virtual ~Tsm() = default;
  /// Whether the kernel has it at all.
  virtual bool is_there() const = 0;
  /// @throws Error{io} if no entry can be made.
  virtual std::unique_ptr<TsmEntry> enter() = 0;
};

/// The kernel's, mounted below `root`.
std::unique_ptr<Tsm> tsm_below(const std::filesystem::path& root);

struct TsmReport {
  std::string provider;      ///< sev_guest, tdx_guest
  std::vector<u8> report;    ///< SNP report or TDX quote
  std::vector<u8> auxiliary; ///< SNP: the host's certificate table; often empty
};

/// A report over these 64 bytes, of the highest privilege level that this guest has: 0, and another
/// behind an SVSM. Other programs may write to the same provider between our write
/// and our read: the kernel counts writes (`generation`), and a report that was not made of ours
/// alone is asked for again.
/// @throws Error{io} if the platform is busy for too long or gives none, with the reason.
TsmReport request_report(Tsm& tsm, const std::array<u8, 64>& report_data,
                         const Attempts& attempts = {});

} // namespace talaria::attest
