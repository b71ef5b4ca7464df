#include "model/grammar/expression.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::model::grammar {

namespace {

Expression made(Node node) {
  return std::make_shared<const Node>(std::move(node));
}

} // namespace

Expression one_of(const ByteSet& bytes) {
  Node node;
  node.kind = Node::Kind::bytes;
  node.bytes = bytes;
  return made(std::move(node));
}

Expression byte_range(u8 first, u8 last) {
  ByteSet bytes;
  for (unsigned byte = first; byte <= last; ++byte) bytes.set(byte);
  return one_of(bytes);
}

Expression literal(std::string_view text) {
  std::vector<Expression> parts;
  for (const char c : text) parts.push_back(byte_range(static_cast<u8>(c), static_cast<u8>(c)));
  return sequence(std::move(parts));
}

Expression sequence(std::vector<Expression> parts) {
  if (parts.size() == 1) return parts.front();
  Node node;
  node.parts = std::move(parts);
  return made(std::move(node));
}

Expression any_of(std::vector<Expression> parts) {
  if (parts.size() == 1) return parts.front();
  Node node;
  node.kind = Node::Kind::any_of;
  node.parts = std::move(parts);
  return made(std::move(node));
}

Expression repeat(Expression part, u32 least, u32 most) {
  if (least > kMaxCopies || most > kMaxCopies || (most != 0 && most < least))
    throw Error(Errc::usage, fmt::format("a repetition from {} to {} times cannot be had; at most "
                                         "{} are counted",
                                         least, most, kMaxCopies));
  Node node;
  node.kind = Node::Kind::repeat;
  node.parts = {std::move(part)};
  node.least = least;
  node.most = most;
  return made(std::move(node));
}

Expression rule(std::size_t number) {
  Node node;
  node.kind = Node::Kind::rule;
  node.rule = number;
  return made(std::move(node));
}

} // namespace talaria::model::grammar
