#include "attest/evidence/pcs_json.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"
#include "attest/evidence/strict_json.hpp"

namespace talaria::attest {
namespace {

using nlohmann::json;

constexpr std::array kStatusWords = {"UpToDate",
                                     "SWHardeningNeeded",
                                     "ConfigurationNeeded",
                                     "ConfigurationAndSWHardeningNeeded",
                                     "OutOfDate",
                                     "OutOfDateConfigurationNeeded",
                                     "TDRelaunchAdvised",
                                     "TDRelaunchAdvisedConfigurationNeeded",
                                     "Revoked"};
constexpr std::size_t kMaxLevels = 256;

[[noreturn]] void refuse_json(const std::string& what) {
  refuse(Stage::collateral, "json", what);
}

json parse(std::string_view text) {
  return strict_json(text, kMaxJsonBytes, Stage::collateral, "json");
}

const json& field(const json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (!object.is_object() || found == object.end()) refuse_json(std::string("no field ") + name);
  return *found;
}

std::string text_of(const json& object, const char* name) {
  const json& value = field(object, name);
  if (!value.is_string()) refuse_json(std::string(name) + " is no text");
  return value.get<std::string>();
}

u32 number_of(const json& object, const char* name) {
  const json& value = field(object, name);
  if (!value.is_number_unsigned() || value.get<u64>() > 0xFFFFFFFF)
    refuse_json(std::string(name) + " is no whole number");
  return value.get<u32>();
}

std::vector<u8> hex_of(const json& object, const char* name, std::size_t bytes) {
  auto value = from_hex(text_of(object, name));
  if (!value || value->size() != bytes)
    refuse_json(std::string(name) + " is not " + std::to_string(bytes) + " bytes of hexadecimal");
  return *value;
}

const json& list_of(const json& object, const char* name) {
  const json& value = field(object, name);
  if (!value.is_array() || value.size() > kMaxLevels)
    refuse_json(std::string(name) + " is no list");
  return value;
}

TimePoint time_of_field(const json& object, const char* name) {
  const auto time = parse_time(text_of(object, name));
  if (!time) refuse_json(std::string(name) + " is no time");
  return *time;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

TcbClaim claim_of(const json& level) {
  TcbClaim claim{text_of(level, "tcbStatus"), text_of(level, "tcbDate"), {}};
  if (!parse_time(claim.date)) refuse_json("tcbDate is no time");
  if (!level.contains("advisoryIDs")) return claim;
  for (const json& id : list_of(level, "advisoryIDs")) {
    if (!id.is_string()) refuse_json("advisoryIDs holds something else than texts");
    claim.advisories.push_back(id.get<std::string>());
  }
  return claim;
}

std::array<u32, 16> components_of(const json& tcb, const char* name) {
  const json& list = list_of(tcb, name);
  std::array<u32, 16> svn{};
  if (list.size() != svn.size()) refuse_json(std::string(name) + " does not have 16 entries");
  for (std::size_t i = 0; i < svn.size(); ++i) svn[i] = number_of(list[i], "svn");
  return svn;
}

std::vector<IsvLevel> isv_levels_of(const json& object) {
  std::vector<IsvLevel> levels;
  for (const json& level : list_of(object, "tcbLevels"))
    levels.push_back({number_of(field(level, "tcb"), "isvsvn"), claim_of(level)});
  std::ranges::stable_sort(levels, std::greater(), &IsvLevel::isv_svn);
  return levels;
}

std::vector<PlatformLevel> platform_levels_of(const json& object) {
  std::vector<PlatformLevel> levels;
  for (const json& level : list_of(object, "tcbLevels")) {
    const json& tcb = field(level, "tcb");
    levels.push_back({components_of(tcb, "sgxtcbcomponents"), number_of(tcb, "pcesvn"),
                      components_of(tcb, "tdxtcbcomponents"), claim_of(level)});
  }
  std::ranges::stable_sort(levels, [](const PlatformLevel& a, const PlatformLevel& b) {
    return std::tie(a.sgx, a.pce_svn, a.tdx) > std::tie(b.sgx, b.pce_svn, b.tdx);
  });
  return levels;
}

ModuleIdentity module_of(const json& object) {
  return {{},
          hex_of(object, "mrsigner", 48),
          hex_of(object, "attributes", 8),
          hex_of(object, "attributesMask", 8),
          {}};
}

/// Where the value of `key` stands in the outer object of `text`, which is known to be JSON.
std::string_view extent_of(std::string_view text, std::string_view key) {
  std::size_t depth = 0;
  std::size_t start = text.npos;
  const std::string quoted = '"' + std::string(key) + '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      const std::size_t from = i;
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\') ++i;
      const std::size_t next = text.find_first_not_of(" \t\r\n", i + 1);
      if (depth == 1 && next != text.npos && text[next] == ':' &&
          text.substr(from, i + 1 - from) == quoted)
        start = text.find_first_not_of(" \t\r\n", next + 1);
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth == 1 && start != text.npos && start <= i)
        return text.substr(start, i + 1 - start);
    }
  }
  return {};
}

SignedBody split_answer(std::string_view text, std::string_view key) {
  const json outer = parse(text);
  if (!outer.is_object() || outer.size() != 2 || !outer.contains(key) ||
      !outer.contains("signature"))
    refuse_json("the answer does not consist of " + std::string(key) + " and signature");
  if (!outer.at(std::string(key)).is_object()) refuse_json(std::string(key) + " is no object");
  const std::string_view value = extent_of(text, key);
  if (!value.starts_with('{')) refuse_json(std::string(key) + " is written in an unusual way");
  const std::string signature = text_of(outer, "signature");
  return {std::string(value), from_hex(signature).value_or(std::vector<u8>{})};
}

TcbInfo read_info(std::string_view text) {
  const json object = parse(text);
  TcbInfo info;
  info.fmspc = lower(text_of(object, "fmspc"));
  info.pce_id = lower(text_of(object, "pceId"));
  info.module = module_of(field(object, "tdxModule"));
  if (object.contains("tdxModuleIdentities"))
    for (const json& entry : list_of(object, "tdxModuleIdentities")) {
      ModuleIdentity& module = info.modules.emplace_back(module_of(entry));
      module.id = upper(text_of(entry, "id"));
      module.levels = isv_levels_of(entry);
    }
  info.levels = platform_levels_of(object);
  return info;
}

QeIdentity read_qe(std::string_view text) {
  const json object = parse(text);
  QeIdentity identity;
  identity.misc_select = hex_of(object, "miscselect", 4);
  identity.misc_select_mask = hex_of(object, "miscselectMask", 4);
  identity.attributes = hex_of(object, "attributes", 16);
  identity.attributes_mask = hex_of(object, "attributesMask", 16);
  identity.mr_signer = hex_of(object, "mrsigner", 32);
  identity.product = number_of(object, "isvprodid");
  identity.levels = isv_levels_of(object);
  return identity;
}

PcsHead read_head(std::string_view text) {
  const json object = parse(text);
  PcsHead head;
  head.id = text_of(object, "id");
  head.version = number_of(object, "version");
  head.issued = time_of_field(object, "issueDate");
  head.next_update = time_of_field(object, "nextUpdate");
  head.evaluation = number_of(object, "tcbEvaluationDataNumber");
  return head;
}

} // namespace

const char* to_string(TcbStatus status) noexcept {
  return kStatusWords[static_cast<std::size_t>(status)];
}

std::optional<TcbStatus> parse_tcb_status(std::string_view word) {
  for (std::size_t i = 0; i < kStatusWords.size(); ++i)
    if (word == kStatusWords[i]) return static_cast<TcbStatus>(i);
  return std::nullopt;
}

Parsed<SignedBody> split_signed_body(Bytes body, std::string_view key) {
  return guarded([&] { return split_answer(as_text(body), key); });
}

Parsed<PcsHead> read_pcs_head(std::string_view text) {
  return guarded([text] { return read_head(text); });
}

Parsed<TcbInfo> read_tcb_info(std::string_view text) {
  return guarded([text] { return read_info(text); });
}

Parsed<QeIdentity> read_qe_identity(std::string_view text) {
  return guarded([text] { return read_qe(text); });
}

} // namespace talaria::attest
