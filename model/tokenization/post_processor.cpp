#include "model/tokenization/post_processor.hpp"

#include <fmt/format.h>

#include "model/tokenization/token_model.hpp"

namespace talaria::model {

namespace {

std::vector<u32> special_ids(const JsonNode& special_tokens, const JsonNode& name) {
  const JsonNode entry = special_tokens[name.string()];
  if (entry.is_null()) name.fail("is not among special_tokens");
  std::vector<u32> ids;
  for (const JsonNode& id : entry["ids"].elements())
    ids.push_back(static_cast<u32>(id.size_below(max_token_id)));
  return ids;
}

/// "single" is a list of SpecialToken entries around one Sequence A.
PostProcessor parse_template(const JsonNode& node) {
  PostProcessor out;
  bool seen = false;
  for (const JsonNode& item : node["single"].elements()) {
    const JsonNode special = item["SpecialToken"];
    if (special.is_null()) {
      if (item["Sequence"].is_null()) item.fail("is neither a SpecialToken nor a Sequence");
      if (seen || item["Sequence"]["id"].string() != "A") item.fail("is not the only sequence A");
      seen = true;
      continue;
    }
    std::vector<u32>& side = seen ? out.after : out.before;
    const std::vector<u32> ids = special_ids(node["special_tokens"], special["id"]);
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (!seen) node["single"].fail("leaves out the text (Sequence A)");
  return out;
}

/// BertProcessing and RobertaProcessing: cls before the text and sep behind it, each a token and
/// its id.
PostProcessor parse_around(const JsonNode& node) {
  const auto id_of = [&](const char* name) {
    const std::vector<JsonNode> pair = node[name].elements();
    if (pair.size() != 2) node[name].fail("is not a token and its id");
    return static_cast<u32>(pair[1].size_below(max_token_id));
  };
  return {{id_of("cls")}, {id_of("sep")}};
}

PostProcessor parse_step(const JsonNode& node, int depth) {
  const std::string& type = node["type"].string();
  if (type == "ByteLevel") return {}; // moves offsets, which nobody here asks for
  if (type == "TemplateProcessing") return parse_template(node);
  if (type == "BertProcessing" || type == "RobertaProcessing") return parse_around(node);
  if (type != "Sequence") node.fail(fmt::format("is of type {}, which is not supported", type));
  if (depth == kMaxNesting) node.fail("is nested too deeply");
  PostProcessor out;
  for (const JsonNode& step : node["processors"].elements()) {
    const PostProcessor outer = parse_step(step, depth + 1);
    out.before.insert(out.before.begin(), outer.before.begin(), outer.before.end());
    out.after.insert(out.after.end(), outer.after.begin(), outer.after.end());
  }
  return out;
}

} // namespace

PostProcessor parse_post_processor(const JsonNode& node) {
  return node.is_null() ? PostProcessor{} : parse_step(node, 0);
}

} // namespace talaria::model
