#include "launch/node_log.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>

#include "core/error.hpp"
#include "launch/line_reader.hpp"

namespace talaria::launch {
namespace {
constexpr std::size_t kMaxLine = 4096;
} // namespace

std::string utc_now() {
  using std::chrono::milliseconds;
  const auto now = std::chrono::system_clock::now();
  const auto since = std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count();
  const auto time = std::chrono::system_clock::to_time_t(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(time), since % 1000);
}

NodeLog::NodeLog(const std::filesystem::path& folder, const std::string& name,
                 std::size_t max_bytes)
    : path_(folder / (name + ".log")), max_bytes_(max_bytes) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw Error(Errc::io, fmt::format("{}: the folder for logs cannot be made: {}; choose another "
                                      "with launch.logs",
                                      folder.string(), error.message()));
  rotate();
  if (!file_)
    throw Error(Errc::io, fmt::format("{}: cannot be written: {}; choose another folder with "
                                      "launch.logs",
                                      path_.string(), std::strerror(errno)));
}

void NodeLog::rotate() {
  std::error_code ignored; // there may be no older log
  std::filesystem::rename(path_, path_.string() + ".1", ignored);
  file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                                S_IRUSR | S_IWUSR | S_IRGRP));
  size_ = 0;
}

void NodeLog::write(std::string_view source, std::string_view text) {
  if (size_ > max_bytes_) rotate();
  const std::string line =
      fmt::format("{} {:<7} {}\n", utc_now(), source, one_line(text, kMaxLine));
  size_ += line.size();
  [[maybe_unused]] const ssize_t written = ::write(file_.get(), line.data(), line.size());
}

} // namespace talaria::launch
