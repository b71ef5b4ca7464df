#include "gateway/client_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gateway/api_error.hpp"
#include "gateway/one_arena.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

// What a value takes in memory beside its place in its list or object, as this allocator counts.
constexpr std::size_t kString = 48;
constexpr std::size_t kList = 48;
constexpr std::size_t kObject = 64;
constexpr std::size_t kListPlace = 24; // a list that grows has room for more
constexpr std::size_t kObjectPlace = 96;
constexpr std::size_t kOneArena = std::size_t{1}
                                  << 20; // bytes of memory that are not every thread's own affair
constexpr int kOutOfRange = 406;         // nlohmann's id of a number that is too large

/// Builds a value from nlohmann's events, by a stack of its own.
class Builder final : public nlohmann::json_sax<json> {
public:
  Builder(const JsonLimits& limits, std::size_t memory) : limits_(limits), memory_(memory) {}

  bool null() override { return put(nullptr, 0); }
  bool boolean(bool value) override { return put(value, 0); }
  bool number_integer(number_integer_t value) override { return put(value, 0); }
  bool number_unsigned(number_unsigned_t value) override { return put(value, 0); }
  bool number_float(number_float_t value, const string_t&) override { return put(value, 0); }
  bool string(string_t& value) override {
    const std::size_t memory = kString + value.size();
    return put(std::move(value), memory);
  }
  bool binary(binary_t&) override { return false; } // not in texts
  bool start_object(std::size_t) override { return open(json::object(), kObject); }
  bool start_array(std::size_t) override { return open(json::array(), kList); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (name.size() > limits_.key)
      throw ApiError(400, fmt::format("a name in the body is longer than {} bytes", limits_.key));
    charge(kObjectPlace + name.size());
    const auto [place, is_new] = open_.back()->emplace(std::move(name), nullptr);
    if (!is_new)
      throw ApiError(400, fmt::format("'{}' stands twice in one object", place.key()), place.key());
    next_ = &*place;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const json::exception& error) override {
    if (error.id == kOutOfRange)
      throw ApiError(400, "the body holds a number that is out of range");
    throw ApiError(400, fmt::format("the body is not valid JSON in UTF-8, at byte {}", position));
  }

  json take() { return std::move(root_); }

private:
  void charge(std::size_t bytes) {
    if (bytes > memory_)
      throw ApiError(400, "the body has too many values for its length; split the request");
    memory_ -= bytes;
  }

  /// Where the next value goes.
  json& place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_object()) return *next_;
    charge(kListPlace);
    return open_.back()->emplace_back(nullptr);
  }
  bool put(json value, std::size_t memory) {
    charge(memory);
    place() = std::move(value);
    return true;
  }
  bool open(json value, std::size_t memory) {
    if (open_.size() >= limits_.depth)
      throw ApiError(400, fmt::format("the body is nested more than {} deep", limits_.depth));
    charge(memory);
    json& at = place();
    at = std::move(value);
    open_.push_back(&at);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  std::size_t memory_; ///< that may still be used
  json root_;
  json* next_ = nullptr;    ///< place of the value whose name came last
  std::vector<json*> open_; ///< lists do not move while one of their values is open
};

} // namespace

ClientJson parse_client_json(std::string_view text, ByteBudget* budget, const JsonLimits& limits) {
  const std::size_t memory = std::max(limits.least, text.size() * limits.growth);
  ClientJson out;
  if (budget != nullptr) out.lease = budget->take(memory);
  const auto build = [&] {
    Builder builder(limits, memory);
    json::sax_parse(text, &builder);
    out.value = builder.take();
  };
  OneArena* const arena = memory > kOneArena ? OneArena::process() : nullptr;
  if (arena != nullptr)
    arena->run(build);
  else
    build();
  return out;
}

} // namespace talaria::gateway
