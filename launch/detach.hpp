#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::launch {

/// A program to be left alone once it works.
struct DetachPlan {
  std::vector<std::string> argv; ///< the flag "--report-fd N" is added at the end
  std::filesystem::path log;     ///< gets its standard output and error; the older one becomes .1
  std::function<void(std::string_view line)> tell; ///< what it reports meanwhile
  std::function<bool()> cancelled;                 ///< asked ten times a second
};

/// Starts the program in a session of its own, and waits until it reports that it is ready.
/// @returns its pid. @throws the Error it reports; Error{internal} if it ends without a word;
/// Error{cancelled}, after it has ended; Error{io} if the log cannot be written.
pid_t start_detached(const DetachPlan& plan);

/// The other end of that: what the program tells whoever waits for it. Silent without a descriptor
/// (-1), and from the moment nobody waits any more.
class ReadinessReport {
public:
  explicit ReadinessReport(int fd);
  void line(std::string_view text);
  void ready();
  void failed(const Error& error);

private:
  void write(const std::string& json);
  FileDescriptor fd_;
};

} // namespace talaria::launch
