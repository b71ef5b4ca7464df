#include "attest/binding/document.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"
#include "attest/evidence/strict_json.hpp"

namespace talaria::attest {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_document(const std::string& what) {
  refuse(Stage::format, "document", what);
}

std::vector<u8> bytes_of(const json& value, const std::string& name) {
  auto bytes = value.is_string() ? from_base64url(value.get<std::string>()) : std::nullopt;
  if (!bytes) refuse_document(name + " is not base64url");
  return *bytes;
}

/// Adds the fields of `object` to `items`; each must be one of `names`.
void take_items(const json& object, const char* what, const std::vector<std::string_view>& names,
                EvidenceSet& set) {
  if (!object.is_object()) refuse_document(std::string(what) + " is no object");
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(names, name) == names.end())
      refuse_document(std::string(what) + " has a field that is not known for this platform");
    set.items[name] = bytes_of(value, name);
  }
}

void take_evidence(const json& value, EvidenceSet& set) {
  const auto& names = EvidenceSet::proper(set.kind);
  if (names.size() > 1) return take_items(value, "evidence", names, set);
  set.items[std::string(names.front())] = bytes_of(value, "evidence");
}

PathStep step_of(const json& value) {
  const std::string text = value.is_string() ? value.get<std::string>() : std::string();
  const auto bytes = text.empty() ? std::nullopt : from_base64url(text.substr(1));
  PathStep step;
  if (!bytes || bytes->size() != step.sibling.size() || (text[0] != 'L' && text[0] != 'R'))
    refuse_document("path has a step that is not L or R and 32 bytes");
  step.sibling_is_left = text[0] == 'L';
  std::ranges::copy(*bytes, step.sibling.begin());
  return step;
}

void take_field(const std::string& name, const json& value, EvidenceDocument& document) {
  if (name == "v" || name == "platform") return;
  if (name == "evidence") return take_evidence(value, document.evidence);
  if (name == "collateral")
    return take_items(value, "collateral", EvidenceSet::collateral(document.evidence.kind),
                      document.evidence);
  if (name == "statement") {
    document.statement = bytes_of(value, "statement");
    if (document.statement.size() > kMaxStatementBytes)
      refuse_document("the statement is larger than 8 KiB");
    return;
  }
  if (name != "path") refuse_document("has a field that is not known");
  if (!value.is_array() || value.size() > kMaxPathSteps)
    refuse_document("path is no list of 16 steps at most");
  for (const json& step : value) document.path.push_back(step_of(step));
}

EvidenceDocument read_document(std::string_view text) {
  const json object = strict_json(text, kMaxDocumentBytes, Stage::format, "document");
  if (!object.is_object() || !object.contains("v") || object["v"] != 1)
    refuse_document("is no evidence document of version 1");
  const json platform = object.value("platform", json());
  const auto kind =
      platform.is_string() ? parse_evidence_kind(platform.get<std::string>()) : std::nullopt;
  if (!kind) refuse_document("names no known platform");
  if (!object.contains("evidence")) refuse_document("holds no evidence");
  EvidenceDocument document;
  document.evidence.kind = *kind;
  for (const auto& [name, value] : object.items()) take_field(name, value, document);
  return document;
}

} // namespace

Parsed<EvidenceDocument> parse_document(std::string_view text) {
  return guarded([text] { return read_document(text); });
}

std::string to_json(const EvidenceDocument& document) {
  const EvidenceSet& set = document.evidence;
  const auto& names = EvidenceSet::proper(set.kind);
  nlohmann::ordered_json object{{"v", 1}, {"platform", to_string(set.kind)}};
  if (names.size() == 1) {
    object["evidence"] = to_base64url(set.get(names.front()));
  } else {
    for (const std::string_view name : names)
      if (!set.get(name).empty())
        object["evidence"][std::string(name)] = to_base64url(set.get(name));
  }
  if (!document.statement.empty()) object["statement"] = to_base64url(document.statement);
  object["path"] = nlohmann::ordered_json::array();
  for (const PathStep& step : document.path)
    object["path"].push_back((step.sibling_is_left ? "L" : "R") + to_base64url(step.sibling));
  object["collateral"] = nlohmann::ordered_json::object();
  for (const std::string_view name : EvidenceSet::collateral(set.kind))
    if (!set.get(name).empty())
      object["collateral"][std::string(name)] = to_base64url(set.get(name));
  return object.dump();
}

} // namespace talaria::attest
