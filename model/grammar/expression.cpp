#include "model/grammar/expression.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"

namespace talaria::model::grammar {

namespace {

Expression made(Node node) {
  for (const Expression& part : node.parts) node.depth = std::max(node.depth, part->depth + 1);
  if (node.depth > kDeepestExpression)
    throw Error(Errc::usage, fmt::format("its parts are nested more than {} deep; use fewer "
                                         "repetitions of repetitions, and fewer optional parts",
                                         kDeepestExpression));
  return std::make_shared<const Node>(std::move(node));
}

bool is_empty_text(const Expression& expression) {
  return expression->kind == Node::Kind::sequence && expression->parts.empty();
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
  std::erase_if(parts, is_empty_text);
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
  if (is_empty_text(part)) return part;
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
