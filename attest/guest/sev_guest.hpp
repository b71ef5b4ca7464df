#pragma once

#include <array>
#include <vector>

#include "attest/evidence/bytes.hpp"
#include "attest/guest/device_calls.hpp"
#include "core/seal.hpp"

namespace talaria::attest {

/// /dev/sev-guest (Linux 5.19): for kernels without configfs-tsm, and for the key of the chip,
/// which configfs-tsm does not give.
class SevGuest {
public:
  explicit SevGuest(std::filesystem::path device, DeviceCalls calls = DeviceCalls::kernel(),
                    Attempts attempts = {});

  struct Report {
    std::vector<u8> report;    ///< 1,184 bytes
    std::vector<u8> auxiliary; ///< the host's certificate table; often empty
  };
  /// A report over these bytes at VMPL 0. @throws Error{io} if there is none, with the numbers that
  /// firmware or host gave.
  Report report(const std::array<u8, 64>& report_data) const;

  /// A key that the firmware derives of the chip's VCEK, the guest's POLICY, IMAGE_ID, FAMILY_ID,
  /// MEASUREMENT and GUEST_SVN: after an update of the firmware, another one. POLICY must be among
  /// them, or a guest of the same image that may be debugged would get it. @throws Error{io}
  SealKey derived_key() const;

private:
  class Device;
  struct Answer;
  Answer ask(const Device& device, unsigned number, void* request, void* response) const;

  const std::filesystem::path device_;
  const DeviceCalls calls_;
  const Attempts attempts_;
};

} // namespace talaria::attest
