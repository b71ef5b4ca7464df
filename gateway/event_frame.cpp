#include "gateway/event_frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "gateway/event_text.hpp"

namespace talaria::gateway {

namespace {

constexpr std::size_t kEventStep = 128; // sizes of events are multiples of this
constexpr std::string_view kNameStart = "event: ";
constexpr std::string_view kEventStart = "data: ";
constexpr std::string_view kEventEnd = "\n\n";
constexpr std::string_view kFillerStart = R"(,"obfuscation":")";
constexpr std::string_view kFillerEnd = R"("})";

std::size_t up_to_multiple(std::size_t size, std::size_t step) {
  return (size + step - 1) / step * step;
}

std::size_t name_size(std::string_view name) {
  return name.empty() ? 0 : kNameStart.size() + name.size() + 1;
}

} // namespace

EventFrame::EventFrame(bool fills) {
  if (fills) rng_ = ChaChaRng::from_system();
}

void EventFrame::set_common(std::size_t least) {
  if (rng_) common_ = up_to_multiple(least, kEventStep);
}

std::size_t EventFrame::least_size(std::string_view name, std::string_view object) {
  return name_size(name) + kEventStart.size() + object.size() - 1 + kFillerStart.size() +
         kFillerEnd.size() + kEventEnd.size();
}

std::string EventFrame::event(std::string_view name, std::string object) {
  const std::size_t least = least_size(name, object);
  const std::size_t size =
      common_ == 0 ? 0 : up_to_multiple(std::max(least, common_), common_) - least;
  return framed(name, std::move(object), size);
}

std::string EventFrame::large_event(std::string_view name, std::string object) {
  const std::size_t least = least_size(name, object);
  const std::size_t size = common_ == 0 ? 0 : std::max(common_, body_class(least)) - least;
  return framed(name, std::move(object), size);
}

std::string EventFrame::framed(std::string_view name, std::string object, std::size_t size) {
  std::string out;
  if (!name.empty()) out.append(kNameStart).append(name) += '\n';
  out += kEventStart;
  if (common_ > 0) {
    object.pop_back(); // its closing brace
    object.append(kFillerStart).append(filler(size)).append(kFillerEnd);
  }
  return out.append(object).append(kEventEnd);
}

/// Random, so that nothing on the way can compress it better than it does text.
std::string EventFrame::filler(std::size_t size) {
  constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out(size, '\0');
  rng_->fill({reinterpret_cast<u8*>(out.data()), out.size()});
  for (char& each : out) each = kCharacters[static_cast<u8>(each) % kCharacters.size()];
  return out;
}

std::string whole_body(std::string body, bool fills) {
  if (fills) body.resize(body_class(body.size()), ' ');
  return body;
}

std::string random_id(std::string_view prefix) {
  std::array<u8, 16> bytes{};
  ChaChaRng::from_system().fill(bytes);
  std::string id(prefix);
  for (const u8 byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

i64 seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

} // namespace talaria::gateway
