#pragma once

#include <functional>
#include <memory>
#include <span>
#include <thread>

#include "core/file_descriptor.hpp"

namespace talaria {

/// Where news of another generation of this virtual machine come from: it was restored from a
/// snapshot, or cloned.
class VmGenerationSource {
public:
  virtual ~VmGenerationSource() = default;
  /// Becomes readable when there may be news.
  virtual int descriptor() const noexcept = 0;
  /// Reads what has come; true if the generation changed. Does not block.
  virtual bool changed() = 0;
};

/// The kernel's: its driver of the vmgenid device sends NEW_VMGENID=1 to the uevent socket (Linux
/// 6.10 and later; before that it only seeds its own generator anew). Null where no such socket can
/// be opened, as in most containers.
std::unique_ptr<VmGenerationSource> kernel_vm_generation();

/// Calls `on_change` from a thread of its own whenever the generation changed, for as long as it
/// lives.
class VmGenerationWatch {
public:
  /// @param source  null: there are never news
  VmGenerationWatch(std::unique_ptr<VmGenerationSource> source, std::function<void()> on_change);
  ~VmGenerationWatch();
  VmGenerationWatch(const VmGenerationWatch&) = delete;
  VmGenerationWatch& operator=(const VmGenerationWatch&) = delete;

private:
  void watch();

  std::unique_ptr<VmGenerationSource> source_;
  std::function<void()> on_change_;
  FileDescriptor end_; ///< an eventfd: readable when this ends
  std::thread thread_;
};

/// True if a uevent, as the kernel sends it (strings with a zero behind each), says so.
bool tells_new_generation(std::span<const char> uevent);

} // namespace talaria
