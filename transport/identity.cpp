#include "transport/identity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>

namespace talaria::transport {
namespace {

std::string show(const std::string& text) {
  return text.empty() ? "nothing" : text;
}
std::string show(u64 number) {
  return std::to_string(number);
}
std::string show(const Sha256Digest& digest) {
  return to_hex(std::span(digest).first(6)) + "…";
}

/// How each side is called in a message.
struct Comparison {
  std::string wanting;
  std::string holding;
  std::optional<std::string> difference;

  void say(const std::string& field, const std::string& wanted, const std::string& held) {
    if (!difference)
      difference = fmt::format("{}: {} {}, {} {}", field, wanting, wanted, holding, held);
  }
  template <class T>
  void field(const char* name, const T& wanted, const T& held) {
    if (wanted != held) say(name, show(wanted), show(held));
  }
};

void compare_matrix(Comparison& c, const HeldMatrix& wanted, const HeldMatrix* held) {
  const std::string name = fmt::format("matrix {}", wanted.matrix);
  if (held == nullptr) {
    c.say(name, "wants it", "does not hold it");
    return;
  }
  const auto part = [](const HeldMatrix& m) {
    return fmt::format("{} x {}, columns {}+{}", m.d_in, m.columns, m.first_column, m.column_count);
  };
  if (part(wanted) != part(*held)) c.say(name, part(wanted), part(*held));
  if (wanted.digest && held->digest && *wanted.digest != *held->digest)
    c.say(name + ": digest", show(*wanted.digest), show(*held->digest));
}

std::optional<std::string> compare(Comparison c, const Identity& wanted, const Identity& held) {
  if (!common_protocol(wanted, held))
    c.say("protocol", fmt::format("{} to {}", wanted.protocol_oldest, wanted.protocol_newest),
          fmt::format("{} to {}{}", held.protocol_oldest, held.protocol_newest,
                      held.attests ? ", because it demands evidence of enclaves" : ""));
  if (held.attests && !wanted.attests)
    c.say("attestation", "gives no evidence of itself (serve.attestation)",
          "demands it (--require-attestation)");
  c.field("parameters", wanted.parameters, held.parameters);
  c.field("modulus", wanted.modulus, held.modulus);
  c.field("rounded_modulus", wanted.rounded_modulus, held.rounded_modulus);
  c.field("dimension", u64{wanted.dimension}, u64{held.dimension});
  c.field("weights", wanted.weights, held.weights);
  c.field("public_seed", wanted.public_seed, held.public_seed);
  c.field("layers", u64{wanted.layers}, u64{held.layers});
  if (c.difference) return c.difference;
  std::map<u32, const HeldMatrix*> by_number;
  for (const HeldMatrix& m : held.matrices) by_number.emplace(m.matrix, &m);
  for (const HeldMatrix& m : wanted.matrices) {
    const auto found = by_number.find(m.matrix);
    compare_matrix(c, m, found == by_number.end() ? nullptr : found->second);
  }
  return c.difference;
}

std::string called(const char* role, const Identity& who) {
  return who.name.empty() ? role : fmt::format("{} {}", role, who.name);
}

} // namespace

std::optional<u32> common_protocol(const Identity& a, const Identity& b) {
  const u32 newest = std::min(a.protocol_newest, b.protocol_newest);
  if (newest < std::max(a.protocol_oldest, b.protocol_oldest)) return std::nullopt;
  return newest;
}

std::optional<std::string> first_difference(const Identity& wanted, const Identity& held) {
  return compare({"this side", called("worker", held), {}}, wanted, held);
}

std::optional<std::string> first_difference_for_worker(const Identity& wanted,
                                                       const Identity& held) {
  return compare({called("enclave", wanted), "this side", {}}, wanted, held);
}

} // namespace talaria::transport
