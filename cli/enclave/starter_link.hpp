#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::cli {

/// What talaria-enclave tells the `talaria launch` that started it. The other end, with the
/// messages, is launch/gateway_process.hpp. Nothing of a request goes this way.
class StarterLink {
public:
  /// `fd` is one end of a stream socket and belongs to this object; -1: nobody started it, and all
  /// that follows does nothing. @throws Error{usage} if it is something else.
  explicit StarterLink(int fd);
  ~StarterLink();
  StarterLink(const StarterLink&) = delete;
  StarterLink& operator=(const StarterLink&) = delete;

  bool has_starter() const noexcept { return static_cast<bool>(fd_); }
  /// Requests are taken.
  void ready();
  /// The starter reports this error in the place of this program.
  void failed(const Error& error);
  /// From now on questions are answered with what `workers` returns, a JSON array, called on
  /// another thread; null: with an empty one. Returns when no call is under way any more.
  void publish_workers(std::function<std::string()> workers);

private:
  void answer_questions();
  void send(const std::string& json);

  FileDescriptor fd_;
  std::mutex mutex_; ///< guards what follows, and its calls
  std::function<std::string()> workers_;
  std::mutex sending_;
  std::thread thread_;
};

} // namespace talaria::cli
