#include "core/vm_generation.hpp"

#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/integers.hpp"

namespace talaria {

namespace {

class KernelSource final : public VmGenerationSource {
public:
  explicit KernelSource(FileDescriptor socket) : socket_(std::move(socket)) {}
  int descriptor() const noexcept override { return socket_.get(); }

  bool changed() override {
    bool changed = false;
    for (;;) {
      std::array<char, 16384> message;
      sockaddr_nl from{};
      socklen_t length = sizeof from;
      const ssize_t got = ::recvfrom(socket_.get(), message.data(), message.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == ENOBUFS) { // some were lost: it may have been among them
        changed = true;
        continue;
      }
      if (got <= 0) return changed;
      const bool from_kernel = from.nl_pid == 0;
      const auto bytes = static_cast<std::size_t>(got);
      changed = changed || (from_kernel && tells_new_generation({message.data(), bytes}));
    }
  }

private:
  FileDescriptor socket_;
};

} // namespace

bool tells_new_generation(std::span<const char> uevent) {
  constexpr std::string_view kSays = "NEW_VMGENID=1";
  while (!uevent.empty()) {
    const auto end = std::find(uevent.begin(), uevent.end(), '\0');
    if (std::string_view(uevent.data(), static_cast<std::size_t>(end - uevent.begin())) == kSays)
      return true;
    if (end == uevent.end()) return false;
    uevent = uevent.subspan(static_cast<std::size_t>(end - uevent.begin()) + 1);
  }
  return false;
}

std::unique_ptr<VmGenerationSource> kernel_vm_generation() {
  FileDescriptor socket(
      ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1; // the kernel's own; 2 is udev's
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return nullptr;
  return std::make_unique<KernelSource>(std::move(socket));
}

VmGenerationWatch::VmGenerationWatch(std::unique_ptr<VmGenerationSource> source,
                                     std::function<void()> on_change)
    : source_(std::move(source)), on_change_(std::move(on_change)) {
  if (!source_) return;
  end_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
  if (!end_) throw std::system_error(errno, std::generic_category(), "eventfd");
  thread_ = std::thread([this] { watch(); });
}

VmGenerationWatch::~VmGenerationWatch() {
  if (!thread_.joinable()) return;
  const u64 one = 1;
  while (::write(end_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
}

void VmGenerationWatch::watch() {
  for (;;) {
    std::array<pollfd, 2> waiting{{{end_.get(), POLLIN, 0}, {source_->descriptor(), POLLIN, 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    if (waiting[0].revents != 0) return;
    if ((waiting[1].revents & (POLLIN | POLLERR)) != 0 && source_->changed()) on_change_();
    if ((waiting[1].revents & (POLLHUP | POLLNVAL)) != 0) return;
  }
}

} // namespace talaria
