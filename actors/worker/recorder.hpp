#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "core/integers.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::worker {

/// Writes what a worker receives, as evidence for audits: one .npy file per request and one line of
/// JSON each in DIR/requests.jsonl,
///
///   000001-layers.0.qkv.npy   [rows, cols], <u8 (residues, widened) or <f4
///   {"cols":64,"file":"000001-layers.0.qkv.npy","kind":"residues","layer":0,
///    "matrix":0,"name":"layers.0.qkv","rows":3,"time_unix_ns":1712345678901234567}
///
/// Thread-safe. A disk that fails is reported once and ends the recording, never the serving.
class Recorder {
public:
  using Log = std::function<void(const std::string&)>;

  /// Makes `folder` (readable by its owner only) unless it is there and empty.
  /// @param log  gets the one line, if recording has to stop; may be empty.
  /// @throws Error{usage} if the folder holds anything, Error{io} if it cannot be made.
  Recorder(std::filesystem::path folder, Log log);

  /// Records one request; `name` is that of its matrix, without slashes. Nothing is recorded of a
  /// tensor whose bytes do not fit its header, which a worker refuses, or after a failure.
  void record(const remo::MaskedTensor& tensor, std::string_view name);

  /// Requests recorded so far.
  u64 count() const;

private:
  void write(const remo::MaskedTensor& tensor, std::string_view name, std::size_t value_bytes);

  std::filesystem::path folder_;
  Log log_;
  mutable std::mutex mutex_;
  u64 count_ = 0;
  bool stopped_ = false;
};

} // namespace talaria::worker
