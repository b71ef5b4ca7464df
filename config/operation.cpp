#include "config/operation.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace talaria::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// `first` and `most` of a delay that doubles.
ReadValue doubling_in(milliseconds& first, milliseconds& most) {
  return [&first, &most](const Value& value) {
    read_mapping(value, {{"first", duration_in(first, milliseconds(10), minutes(1))},
                         {"most", duration_in(most, milliseconds(10), hours(1))}});
    if (most < first)
      value.refuse(fmt::format("most is {}, less than first, which is {}; expected first <= most",
                               to_text(most), to_text(first)));
  };
}

void check_silence(const Faults& faults, const Value& value) {
  if (faults.silence < 2 * faults.heartbeat)
    value.refuse(fmt::format("silence is {} and heartbeat {}; expected a silence of two heartbeats "
                             "or more, or healthy links are cut",
                             to_text(faults.silence), to_text(faults.heartbeat)));
  if (faults.request_deadline < faults.deadline)
    value.refuse(fmt::format("request_deadline is {} and deadline {}; expected deadline <= "
                             "request_deadline",
                             to_text(faults.request_deadline), to_text(faults.deadline)));
}

ReadValue cache_in(Hints& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    std::filesystem::path path;
    path_in(path, folder)(value);
    if (path.empty()) return;
    out.use_cache = value.node.text != "none";
    if (out.use_cache) out.cache = std::move(path);
  };
}

ReadValue size_in(std::size_t& out) {
  return [&out](const Value& value) {
    std::size_t bytes = out;
    bytes_in(bytes)(value);
    if (bytes < std::size_t{1} << 20)
      value.expected("at least 1MiB (no cache at all is cache: none)");
    else
      out = bytes;
  };
}

ReadValue ssh_template_in(std::string& out) {
  return [&out](const Value& value) {
    const std::string expected = "a command line with {command} as a word of its own";
    const auto text = scalar_text(value, expected);
    if (!text) return;
    const auto words = split_words(*text);
    // The first word is the program; a template that starts with the command would run it here.
    if (words && words->size() > 1 &&
        std::find(words->begin() + 1, words->end(), "{command}") != words->end())
      out = std::string(*text);
    else
      value.expected(expected);
  };
}

} // namespace

ReadValue faults_in(Faults& out) {
  return [&out](const Value& value) {
    read_mapping(value, {{"deadline", duration_in(out.deadline, milliseconds(10), hours(1))},
                         {"request_deadline",
                          duration_in(out.request_deadline, milliseconds(100), hours(24))},
                         {"retries", whole_in(out.retries, 0, 100)},
                         {"strikes", whole_in(out.strikes, 1, 1000)},
                         {"heartbeat", duration_in(out.heartbeat, milliseconds(10), minutes(1))},
                         {"silence", duration_in(out.silence, milliseconds(20), minutes(10))},
                         {"reconnect", doubling_in(out.reconnect_first, out.reconnect_max)},
                         {"quarantine", duration_in(out.quarantine, seconds(0), hours(24))},
                         {"in_flight", whole_in(out.in_flight, 1, 4096)}});
    check_silence(out, value);
  };
}

ReadValue hints_in(Hints& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    read_mapping(value, {{"cache", cache_in(out, folder)}, {"max_size", size_in(out.max_size)}});
  };
}

ReadValue launch_in(Launch& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    read_mapping(value, {{"logs", path_in(out.logs, folder)},
                         {"program", path_in(out.program, folder)},
                         {"ssh", ssh_template_in(out.ssh)},
                         {"restarts", whole_in(out.restarts, 0, 1000)},
                         {"backoff", doubling_in(out.backoff_first, out.backoff_max)},
                         {"ready", duration_in(out.ready, milliseconds(100), hours(24))}});
  };
}

} // namespace talaria::config
