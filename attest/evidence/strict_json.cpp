#include "attest/evidence/strict_json.hpp"

#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace talaria::attest {

nlohmann::json strict_json(std::string_view text, std::size_t most, Stage stage,
                           std::string_view code) {
  constexpr int kDeepest = 32;
  using Event = nlohmann::json::parse_event_t;
  if (text.size() > most) refuse(stage, code, "larger than " + std::to_string(most) + " bytes");
  // The parser would skip a byte order mark, and then the text would not be what was signed.
  if (text.starts_with("\xEF\xBB\xBF")) refuse(stage, code, "begins with a byte order mark");
  // It takes a zero byte for the end, whatever follows.
  if (text.find('\0') != text.npos) refuse(stage, code, "holds a zero byte");
  std::vector<std::set<std::string>> names;
  const auto watch = [&](int depth, Event event, nlohmann::json& value) {
    if (depth > kDeepest) refuse(stage, code, "nested more than 32 levels deep");
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key && !names.back().insert(value.get<std::string>()).second)
      refuse(stage, code, "a name stands twice in an object");
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch);
  } catch (const nlohmann::json::exception&) {
    refuse(stage, code, "not JSON");
  }
}

} // namespace talaria::attest
