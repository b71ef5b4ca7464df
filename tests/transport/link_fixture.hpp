#pragma once

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/random.hpp"
#include "tests/support/temporary_folder.hpp"
#include "transport/certificates.hpp"
#include "transport/worker_link.hpp"
#include "transport/worker_server.hpp"

namespace talaria::tests {

using namespace transport;

/// Far beyond anything that works; a test that waits so long has failed.
inline constexpr std::chrono::seconds kPatience{60};

/// For tests that are not about time limits: a machine may be slow.
inline LinkOptions patient_link() {
  LinkOptions options;
  options.connect_timeout = kPatience;
  options.silence = kPatience;
  return options;
}
inline ServerOptions patient_server() {
  ServerOptions options;
  options.handshake_timeout = kPatience;
  options.silence = kPatience;
  return options;
}

/// One authority for the whole program.
struct Certificates {
  TemporaryFolder folder;
  Certificates() {
    create_certificates(folder.path(), {"127.0.0.1", "localhost", "::1"},
                        {.authority = folder.path()});
  }
  TlsFiles files(const std::string& name) const {
    return {folder.path() / "ca.pem", folder.path() / (name + ".pem"),
            folder.path() / (name + ".key")};
  }
};
inline const Certificates& certificates() {
  static const Certificates kOnce;
  return kOnce;
}
inline TlsContext enclave_tls() {
  return {certificates().files("enclave"), End::enclave};
}
inline TlsContext worker_tls(const std::string& host = "127.0.0.1") {
  return {certificates().files(host), End::worker};
}

inline constexpr u32 kMatrix = 7;
inline constexpr u64 kInputs = 96;
inline constexpr u64 kColumns = 160;

inline Identity identity_of(const std::string& name) {
  Identity identity;
  identity.name = name;
  identity.software = "test 0";
  identity.parameters = "S48";
  identity.modulus = 281474976694273;
  identity.dimension = 2304;
  identity.weights = "int8";
  identity.public_seed.fill(9);
  identity.layers = 2;
  identity.device = "cpu";
  identity.matrices = {{kMatrix, kInputs, kColumns, 0, kColumns, Sha256Digest{1, 2, 3}}};
  return identity;
}

inline remo::SharedBytes random_bytes(std::size_t count, u64 seed) {
  AlignedBuffer<u8> bytes(count);
  seeded_rng(seed).fill(bytes.span());
  return std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
}

inline remo::MaskedTensor masked(u32 rows, u32 cols, u64 seed,
                                 remo::ProductKind kind = remo::ProductKind::residues) {
  const std::size_t value = kind == remo::ProductKind::float32 ? 4 : 6;
  return {kMatrix, kind, rows, cols, random_bytes(std::size_t{rows} * cols * value, seed)};
}

/// What the test worker answers: the same bytes, whatever was asked.
inline Reply echo(const Request& request) {
  if (const auto* t = std::get_if<remo::MaskedTensor>(&request))
    return remo::WorkerProduct{t->matrix, t->kind, t->rows, t->cols, t->bytes, {}};
  if (const auto* h = std::get_if<remo::HintRequest>(&request))
    return remo::WorkerProduct{h->matrix,
                               remo::ProductKind::residues,
                               h->count,
                               u32{kColumns},
                               random_bytes(h->count * kColumns * 6, h->first),
                               {}};
  const auto& w = std::get<remo::WeightRequest>(request);
  return remo::WeightPanels{w.matrix, w.first, w.count,
                            random_bytes(w.count * (kInputs / 4) * 256, w.first)};
}

/// Lines of a log, and a way to wait for one.
class Lines {
public:
  void add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(line);
    changed_.notify_all();
  }
  std::size_t count(const std::string& part) const {
    const std::lock_guard lock(mutex_);
    return count_locked(part);
  }
  /// Waits for `n` lines that contain `part`; false after kPatience.
  bool wait(const std::string& part, std::size_t n = 1) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return count_locked(part) >= n; });
  }
  std::string all() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const auto& line : lines_) text += line + "\n";
    return text;
  }

private:
  std::size_t count_locked(const std::string& part) const {
    std::size_t n = 0;
    for (const auto& line : lines_) n += line.find(part) != std::string::npos ? 1 : 0;
    return n;
  }
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// A worker that echoes.
struct EchoWorker {
  Lines log;
  WorkerServer server;

  explicit EchoWorker(const ServerOptions& options = patient_server(),
                      Identity identity = identity_of("echo"),
                      const Address& listen = {"127.0.0.1", 0}, TlsContext tls = worker_tls())
      : server(tls, listen, std::move(identity), options,
               {[](std::shared_ptr<WorkerServer::Session> session, u64 id, const Request& request) {
                  session->reply(id, echo(request));
                },
                [this](const std::string& line) { log.add(line); }}) {}
  Address address() const { return {"127.0.0.1", server.port()}; }
};

/// Collects what a link reports.
class Inbox {
public:
  WorkerLink::Events events() {
    return {[this](u64 id, Reply reply) {
              const std::lock_guard lock(mutex_);
              replies_.emplace(id, std::move(reply));
              changed_.notify_all();
            },
            [this](const Error& error) {
              const std::lock_guard lock(mutex_);
              losses_.push_back(error);
              changed_.notify_all();
            }};
  }
  /// Waits for the reply to `id`. @throws if it does not come.
  Reply take(u64 id) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return replies_.count(id) != 0; }))
      throw std::runtime_error("no reply");
    Reply reply = std::move(replies_.at(id));
    replies_.erase(id);
    return reply;
  }
  Error loss() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return !losses_.empty(); }))
      throw std::runtime_error("not lost");
    return losses_.front();
  }
  std::size_t losses() const {
    const std::lock_guard lock(mutex_);
    return losses_.size();
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<u64, Reply> replies_;
  std::vector<Error> losses_;
};

inline std::unique_ptr<WorkerLink> link_to(const Address& address, Inbox& inbox,
                                           const LinkOptions& options = patient_link(),
                                           const Identity& wanted = identity_of("enclave")) {
  return std::make_unique<WorkerLink>(enclave_tls(), address, "127.0.0.1", wanted, options,
                                      inbox.events());
}

/// The Error that `work` throws. @throws if it throws none.
template <class Work>
Error error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("no Error was thrown");
}
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace talaria::tests
