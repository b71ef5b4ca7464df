#include "launch/event_line.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "launch/line_reader.hpp"

namespace talaria::launch {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? one_line(found->get<std::string>())
                                                     : std::string();
}

u64 number_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<u64>() : 0;
}

} // namespace

std::optional<NodeEvent> parse_event(std::string_view line) {
  if (!line.starts_with('{')) return std::nullopt; // most other lines
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const std::string event = text_of(object, "event");
  if (event == "progress") {
    const u64 done = number_of(object, "done");
    return ProgressEvent{text_of(object, "what"), done, std::max(done, number_of(object, "total"))};
  }
  if (event == "ready")
    return ReadyEvent{text_of(object, "address"), number_of(object, "matrices"),
                      number_of(object, "bytes")};
  if (event == "error") return ErrorEvent{text_of(object, "message")};
  return std::nullopt;
}

} // namespace talaria::launch
