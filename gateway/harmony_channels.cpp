#include "gateway/harmony_channels.hpp"

#include <algorithm>
#include <array>

#include "gateway/call_text.hpp"

namespace talaria::gateway {

namespace {

constexpr std::string_view kChannel = "<|channel|>";
constexpr std::string_view kMessage = "<|message|>";
constexpr std::string_view kRecipient = "to=";
constexpr std::string_view kFunctions = "functions.";
constexpr std::array<std::string_view, 4> kEnds{"<|end|>", "<|call|>", "<|return|>", "<|start|>"};

/// Up to the first blank or marker.
std::string_view first_word(std::string_view text) {
  return text.substr(0, text.find_first_of(" \t\r\n<"));
}

} // namespace

AnswerParts HarmonyChannels::take(std::string& held, bool at_end) {
  AnswerParts parts;
  if (first_ && !held.empty()) {
    const std::string_view begin = without_blanks(held);
    const bool is_header = begin.starts_with(kChannel) || begin.starts_with(kRecipient);
    const bool may_be_one = kChannel.starts_with(begin) || kRecipient.starts_with(begin);
    if (!is_header && may_be_one && !at_end) return parts; // the next piece tells
    if (!is_header && !may_be_one) body_ = Body::text;
    first_ = false;
  }
  while (body_ == Body::none ? read_header(parts, held, at_end) : read_body(parts, held, at_end)) {
  }
  return parts;
}

/// A header that the answer ends in says nothing.
bool HarmonyChannels::read_header(AnswerParts& parts, std::string& held, bool at_end) {
  const auto end = held.find(kMessage);
  if (end == std::string::npos) {
    if (at_end) held.clear();
    return false;
  }
  begin(parts, std::string_view(held).substr(0, end));
  held.erase(0, end + kMessage.size());
  return true;
}

void HarmonyChannels::begin(AnswerParts& parts, std::string_view header) {
  const auto channel_at = header.find(kChannel);
  const std::string_view channel =
      channel_at == std::string_view::npos
          ? std::string_view()
          : first_word(without_blanks(header.substr(channel_at + kChannel.size())));
  const auto recipient_at = header.find(kRecipient);
  if (recipient_at != std::string_view::npos) {
    std::string_view name = first_word(header.substr(recipient_at + kRecipient.size()));
    const bool is_function = name.starts_with(kFunctions);
    if (is_function) name.remove_prefix(kFunctions.size());
    const bool is_given = is_function && !name.empty() && (parallel_ || calls_ == 0);
    body_ = is_given ? Body::call : Body::ignored; // a tool that does not exist here
    if (!is_given) return;
    ++calls_;
    parts.calls.push_back({new_call_id(ToolSyntax::harmony), std::string(name), {}, true, false});
    return;
  }
  body_ = channel == "analysis" ? Body::reasoning : Body::text;
}

bool HarmonyChannels::read_body(AnswerParts& parts, std::string& held, bool at_end) {
  std::size_t end = std::string::npos;
  std::size_t keep = 0;
  std::size_t marker = 0;
  for (const std::string_view each : kEnds) {
    const auto at = held.find(each);
    if (at < end) {
      end = at;
      marker = each.size();
    }
    keep = std::max(keep, possible_beginning(held, each));
  }
  const bool ends = end != std::string::npos;
  const std::size_t size = ends ? end : held.size() - (at_end ? 0 : keep);
  add(parts, std::string_view(held).substr(0, size));
  held.erase(0, ends ? end + marker : size);
  if (!ends && !at_end) return false;
  if (body_ == Body::call) parts.calls.push_back({{}, {}, {}, false, true});
  if (ends) body_ = Body::none;
  return ends;
}

void HarmonyChannels::add(AnswerParts& parts, std::string_view text) const {
  if (text.empty()) return;
  if (body_ == Body::text) parts.text += text;
  if (body_ == Body::reasoning) parts.reasoning += text;
  if (body_ == Body::call) parts.calls.push_back({{}, {}, std::string(text), false, false});
}

} // namespace talaria::gateway
