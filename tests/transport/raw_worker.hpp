#pragma once

#include <poll.h>

#include <atomic>
#include <functional>
#include <thread>

#include "tests/transport/link_fixture.hpp"
#include "transport/frame_io.hpp"

namespace talaria::tests {

/// A worker that completes the hellos and then does as it is told, once: for dishonest and sick
/// ones. The script gets the control, up and down connections.
class RawWorker {
public:
  using Script = std::function<void(TlsChannel& control, TlsChannel& up, TlsChannel& down)>;

  explicit RawWorker(Script script, Identity identity = identity_of("raw"),
                     TlsContext tls = worker_tls())
      : listener_(listen_on({"127.0.0.1", 0})), tls_(std::move(tls)),
        identity_(std::move(identity)), thread_([this, script = std::move(script)] {
          try {
            run(script);
          } catch (const Error&) { // the enclave has left, which many scripts provoke
          }
        }) {}
  ~RawWorker() {
    stop_ = true;
    thread_.join();
  }
  Address address() const { return {"127.0.0.1", local_port(listener_)}; }
  /// Whether the script should end; for those that wait.
  bool stopped() const { return stop_; }

private:
  std::unique_ptr<TlsChannel> accept_one() {
    bool ignored = false;
    while (!stop_) {
      pollfd waiting{listener_.get(), POLLIN, 0};
      ::poll(&waiting, 1, 20);
      auto accepted = accept_from(listener_, ignored);
      if (!accepted) continue;
      auto channel =
          std::make_unique<TlsChannel>(tls_, std::move(accepted->socket), "talaria-enclave");
      channel->handshake();
      Hello hello = read_hello(*channel);
      hello.identity.reset();
      if (hello.role == Role::control) hello.identity = identity_;
      write_frame(*channel, encode(hello));
      return channel;
    }
    throw Error(Errc::cancelled, "stopped");
  }
  void run(const Script& script) {
    const auto control = accept_one();
    const auto up = accept_one();
    const auto down = accept_one();
    script(*control, *up, *down);
  }

  Socket listener_;
  TlsContext tls_;
  Identity identity_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

} // namespace talaria::tests
