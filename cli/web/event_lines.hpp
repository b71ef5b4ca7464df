#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace talaria::cli {

/// Takes a stream of server-sent events apart: bytes in, the data of each event out. Comments,
/// names and ids of events are passed over.
class EventLines {
public:
  /// Longest event, in bytes.
  static constexpr std::size_t kMost = std::size_t{16} << 20;

  /// Calls `event` for every event that is complete now; false from it: no further one.
  /// Returns whether it wants more.
  /// @throws Error{io} for an event that is too long
  bool feed(std::string_view bytes, const std::function<bool(const std::string& data)>& event);

private:
  bool end_line(const std::function<bool(const std::string& data)>& event);

  std::string line_;
  std::string data_;
  bool has_data_ = false;
};

} // namespace talaria::cli
