#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "core/file_descriptor.hpp"

namespace talaria::launch {

/// Where the running gateway of a pipeline file is found: two files in a folder that only this user
/// can enter, $XDG_RUNTIME_DIR/talaria or /tmp/talaria-UID, named after the file's real path.
struct ControlPaths {
  std::filesystem::path socket;
  std::filesystem::path lock; ///< locked, and holding its pid, as long as the gateway lives
};

/// Makes the folder if it is missing. @throws Error{config} if the pipeline file is not there, or
/// if the folder is not this user's own, or open to others.
ControlPaths control_paths(const std::filesystem::path& pipeline_file);

/// Answers questions about a running gateway, one JSON line each:
///   {"ask":"status"} ──► status()      {"ask":"stop"} ──► {"ok":true,"pid":N}, then stop()
/// Only processes of the same user (or root) are answered.
class ControlServer {
public:
  struct Handlers {
    std::function<std::string()> status; ///< one JSON object on one line
    std::function<void()> stop;          ///< asks for an end; must not wait for it
  };
  /// Listens at once. What a killed gateway left behind is replaced.
  /// @throws Error{config} "FILE is running already (pid N)", or as control_paths(); Error{io}.
  ControlServer(const std::filesystem::path& pipeline_file, Handlers handlers);
  ~ControlServer(); ///< removes the socket
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

private:
  void serve();
  void answer(int connection) const;

  Handlers handlers_;
  ControlPaths paths_;
  FileDescriptor lock_, listening_, wake_;
  std::thread thread_;
};

/// The pid of the gateway that runs this file, if one does.
std::optional<pid_t> running_gateway(const std::filesystem::path& pipeline_file);

/// What the running gateway says of itself (see to_json(ClusterStatus)).
/// @throws Error{no_worker} if the file is not running; Error{io} if it does not answer.
std::string ask_status(const std::filesystem::path& pipeline_file);

/// Stops the running gateway and waits for its end, up to 60 s. False if there was none.
/// @throws Error{io} if it does not answer or does not end.
bool ask_stop(const std::filesystem::path& pipeline_file);

} // namespace talaria::launch
