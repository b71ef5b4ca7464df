#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/integers.hpp"
#include "core/random.hpp"

namespace talaria::gateway {

/// Server-sent events around JSON objects, filled up to few sizes by a member "obfuscation" of
/// random characters: records of TLS have the size of what is in them, and would tell how long
/// every token is.
class EventFrame {
public:
  /// @param fills  false: events are as long as they happen to be
  explicit EventFrame(bool fills);

  /// Every event is at least as large as one around an object of `least` bytes (least_size()), up
  /// to a multiple of 128; larger ones are a multiple of that. Nothing without filling.
  void set_common(std::size_t least);
  /// Bytes of the event around `object`, with a filler of no characters.
  static std::size_t least_size(std::string_view name, std::string_view object);

  /// @param name    of the event, "event: NAME"; empty: none
  /// @param object  a JSON object that is not empty, in one line
  std::string event(std::string_view name, std::string object);
  /// The same for one that repeats what has been sent, at the end: as large as whole bodies are.
  std::string large_event(std::string_view name, std::string object);

  /// Bytes of every event; 0: as long as it happens to be.
  std::size_t common_size() const noexcept { return common_; }

private:
  std::string framed(std::string_view name, std::string object, std::size_t size);
  std::string filler(std::size_t size);

  std::optional<ChaChaRng> rng_;
  std::size_t common_ = 0;
};

/// A whole body as it goes out: with `fills`, blanks at its end, which JSON allows, hide the exact
/// size of its text.
std::string whole_body(std::string body, bool fills);

/// `prefix` and 32 hexadecimal digits that nobody can guess.
std::string random_id(std::string_view prefix);
/// Now.
i64 seconds_since_1970();

} // namespace talaria::gateway
