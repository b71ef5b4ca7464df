#include "model/tokenization/json_node.hpp"

#include <fmt/format.h>

#include "model/one_line.hpp"

namespace talaria::model {

JsonNode JsonNode::operator[](const std::string& key) const {
  static const nlohmann::json missing;
  if (!value_->is_object()) fail("is not an object");
  const auto found = value_->find(key);
  return {found == value_->end() ? missing : *found, *file_,
          path_.empty() ? key : path_ + "." + key};
}

std::vector<JsonNode> JsonNode::elements() const {
  if (!value_->is_array()) fail("is not a list");
  std::vector<JsonNode> out;
  out.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i)
    out.push_back({(*value_)[i], *file_, fmt::format("{}[{}]", path_, i)});
  return out;
}

const std::string& JsonNode::string() const {
  if (!value_->is_string()) fail("is not a string");
  return value_->get_ref<const std::string&>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) fail("is neither true nor false");
  return value_->get<bool>();
}

std::size_t JsonNode::size_below(std::size_t limit) const {
  if (!value_->is_number_unsigned() || value_->get<std::size_t>() >= limit)
    fail(fmt::format("is not a whole number below {}", limit));
  return value_->get<std::size_t>();
}

std::string JsonNode::where() const {
  return *file_ + ": " + (path_.empty() ? "file" : path_);
}

void JsonNode::fail(const std::string& what) const {
  throw Error(Errc::model, one_line(where() + " " + what));
}

} // namespace talaria::model
