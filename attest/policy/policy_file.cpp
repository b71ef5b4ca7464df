#include "attest/policy/policy_file.hpp"

#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "attest/policy/policy_fields.hpp"
#include "core/digest.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

using config::Presence;
using config::read_mapping;

std::optional<SnpProduct> parse_product(std::string_view word) {
  for (const auto& [name, product] :
       {std::pair{"milan", SnpProduct::milan}, std::pair{"genoa", SnpProduct::genoa},
        std::pair{"turin", SnpProduct::turin}})
    if (word == name) return product;
  return std::nullopt;
}

ReadValue floor_in(SnpFloor& out, bool has_fmc) {
  return [&out, has_fmc](const Value& value) {
    const auto svn = [](std::optional<u8>& part) {
      return config::whole_within([&part](u64 number) { part = static_cast<u8>(number); }, 0, 255);
    };
    std::vector<config::Field> fields{{"bl", svn(out.boot_loader)},
                                      {"tee", svn(out.tee)},
                                      {"snp", svn(out.snp)},
                                      {"ucode", svn(out.microcode)}};
    if (has_fmc) fields.push_back({"fmc", svn(out.fmc)});
    read_mapping(value, fields);
  };
}

ReadValue floors_in(std::map<SnpProduct, SnpFloor>& out) {
  return [&out](const Value& value) {
    SnpFloor milan;
    SnpFloor genoa;
    SnpFloor turin;
    read_mapping(value, {{"milan", floor_in(milan, false)},
                         {"genoa", floor_in(genoa, false)},
                         {"turin", floor_in(turin, true)}});
    out = {{SnpProduct::milan, milan}, {SnpProduct::genoa, genoa}, {SnpProduct::turin, turin}};
  };
}

ReadValue products_in(std::vector<SnpProduct>& out) {
  return [&out](const Value& value) {
    out.clear();
    words_in(
        [&out](std::string_view word) {
          const auto product = parse_product(word);
          if (product) out.push_back(*product);
          return product.has_value();
        },
        "milan, genoa or turin")(value);
  };
}

ReadValue signers_in(std::vector<SnpSigner>& out) {
  return [&out](const Value& value) {
    out.clear();
    words_in(
        [&out](std::string_view word) {
          if (word != "vcek" && word != "vlek") return false;
          out.push_back(word == "vcek" ? SnpSigner::vcek : SnpSigner::vlek);
          return true;
        },
        "vcek or vlek")(value);
  };
}

/// Which TCBs the floors hold for: of the four only LAUNCH may be left out.
ReadValue checked_tcbs_in(bool& check_launch) {
  return [&check_launch](const Value& value) {
    std::vector<std::string> words;
    words_in(
        [&words](std::string_view word) {
          words.emplace_back(word);
          return word == "reported" || word == "committed" || word == "current" || word == "launch";
        },
        "reported, committed, current or launch")(value);
    const auto has = [&words](std::string_view word) {
      return std::ranges::find(words, word) != words.end();
    };
    if (!has("reported") || !has("committed") || !has("current"))
      value.refuse("leaves out reported, committed or current; only launch may be left out");
    check_launch = has("launch");
  };
}

ReadValue platform_bits_in(u64& out) {
  return words_in(
      [&out](std::string_view word) {
        for (unsigned bit = 0; platform_bit_name(bit); ++bit)
          if (word == platform_bit_name(bit)) {
            out |= u64{1} << bit;
            return true;
          }
        return false;
      },
      "smt, tsme, ecc, rapl_off, ciphertext_hiding, alias_check, iommu_write_safe or tio");
}

/// An empty list of bits is a good one.
ReadValue optional_bits_in(u64& out) {
  return [&out](const Value& value) {
    const bool is_empty =
        value.node.kind == config::YamlNode::Kind::sequence && value.node.items.empty();
    if (!is_empty) platform_bits_in(out)(value);
  };
}

ReadValue platform_in(SnpPolicy& out) {
  return [&out](const Value& value) {
    std::string unknown = "show";
    read_mapping(value, {{"require", optional_bits_in(out.platform_require)},
                         {"forbid", optional_bits_in(out.platform_forbid)},
                         {"unknown", config::one_of(unknown, {"show", "refuse"})}});
    out.refuse_unknown_platform_bits = unknown == "refuse";
  };
}

/// CHIP_IDs of 64 bytes, or of 8 as Turin has them.
ReadValue chips_in(OneOf<64>& out) {
  return [&out](const Value& value) {
    if (value.node.kind == config::YamlNode::Kind::scalar && value.node.text == "any")
      return out.clear();
    for (const Value& item : one_or_more(value)) {
      const auto text = config::scalar_text(item, "a chip id");
      if (!text) continue;
      const auto bytes = policy_hex(*text, text->size() == 16 ? 8 : 64);
      if (!bytes)
        item.expected("a chip id of 128 hexadecimal digits, or of 16 for Turin, or any");
      else
        std::ranges::copy(*bytes, out.emplace_back().begin());
    }
  };
}

ReadValue smt_in(bool& out) {
  return [&out](const Value& value) {
    std::string word;
    config::one_of(word, {"allow", "forbid"})(value);
    out = word != "forbid";
  };
}

ReadValue snp_in(SnpPolicy& out) {
  return [&out](const Value& value) {
    read_mapping(value, {{"products", products_in(out.products)},
                         {"signer", signers_in(out.signers)},
                         {"csp", labels_in(out.csp)},
                         {"min_tcb", floors_in(out.floors)},
                         {"check", checked_tcbs_in(out.check_launch)},
                         {"debug", yes_or_no(out.debug)},
                         {"migration_agent", yes_or_no(out.migration_agent)},
                         {"smt", smt_in(out.smt)},
                         {"vmpl", config::whole_in(out.max_vmpl, 0, 3)},
                         {"platform", platform_in(out)},
                         {"mitigations", mask_in(out.mitigations)},
                         {"chips", chips_in(out.chips)},
                         {"report_version", config::whole_in(out.least_version, 2, 5)}});
    if (std::ranges::find(out.signers, SnpSigner::vlek) != out.signers.end() && out.csp.empty())
      value.refuse("accepts a VLEK without naming a provider; expected csp: [CN=...]");
  };
}

ReadValue statuses_in(std::vector<TcbStatus>& out) {
  return [&out](const Value& value) {
    out.clear();
    words_in(
        [&out](std::string_view word) {
          const auto status = parse_tcb_status(word);
          if (!status || *status == TcbStatus::revoked) return false;
          out.push_back(*status);
          return true;
        },
        "a TCB status like UpToDate or SWHardeningNeeded, and never Revoked")(value);
  };
}

ReadValue advisories_in(TdxPolicy& out) {
  return [&out](const Value& value) {
    const bool is_empty =
        value.node.kind == config::YamlNode::Kind::sequence && value.node.items.empty();
    if (!is_empty) labels_in(out.advisories_allowed)(value);
  };
}

ReadValue xfam_in(std::optional<u64>& out) {
  return [&out](const Value& value) {
    read_mapping(value, {{"allow", [&out](const Value& item) {
                            u64 mask = ~u64{0};
                            mask_in(mask)(item);
                            out = mask;
                          }}});
  };
}

ReadValue tdx_in(TdxPolicy& out) {
  return [&out](const Value& value) {
    const auto attributes = [&out](const Value& item) {
      read_mapping(item, {{"require", mask_in(out.attributes_require)},
                          {"allow", mask_in(out.attributes_allow)}});
    };
    read_mapping(value, {{"status", statuses_in(out.statuses)},
                         {"advisories_allowed", advisories_in(out)},
                         {"out_of_date_for", span_in(out.out_of_date_for)},
                         {"min_evaluation", config::whole_in(out.least_evaluation, 0, 100000)},
                         {"debug", yes_or_no(out.debug)},
                         {"attributes", attributes},
                         {"xfam", xfam_in(out.xfam_allow)},
                         {"service_td", yes_or_no(out.service_td)},
                         {"mr_seam", bytes_list_in(out.mr_seam, true)},
                         {"platforms", bytes_list_in(out.platforms, true)}});
  };
}

ReadValue snp_image_in(std::optional<SnpImage>& out) {
  return [&out](const Value& value) {
    SnpImage& image = out.emplace();
    read_mapping(value, {{"measurement", bytes_list_in(image.measurement), Presence::required},
                         {"host_data", bytes_list_in(image.host_data)},
                         {"family_id", bytes_list_in(image.family_id)},
                         {"image_id", bytes_list_in(image.image_id)},
                         {"id_key", bytes_list_in(image.id_key)},
                         {"author_key", bytes_list_in(image.author_key)},
                         {"guest_svn", config::whole_in(image.guest_svn, 0, 0xFFFFFFFF)}});
  };
}

ReadValue tdx_image_in(std::optional<TdxImage>& out) {
  return [&out](const Value& value) {
    TdxImage& image = out.emplace();
    read_mapping(value, {{"mr_td", bytes_list_in(image.mr_td), Presence::required},
                         {"rtmr", registers_in(image.rtmr, 3)},
                         {"mr_config_id", bytes_list_in(image.mr_config_id)}});
  };
}

ReadValue azure_image_in(std::optional<AzureImage>& out) {
  return [&out](const Value& value) {
    AzureImage& image = out.emplace();
    read_mapping(value, {{"id_key", bytes_list_in(image.id_key)},
                         {"pcrs", registers_in(image.pcrs, 23), Presence::required}});
    if (image.pcrs.empty()) value.refuse("names no PCR; on Azure the image is in them");
  };
}

ReadValue images_in(Policy& out) {
  return [&out](const Value& value) {
    if (value.node.kind == config::YamlNode::Kind::scalar && value.node.text == "any") {
      out.any_image = true;
      return;
    }
    const auto items = config::list_items(value);
    if (items.empty()) value.refuse("is empty; expected an image, or any");
    for (const Value& item : items) {
      Image image;
      read_mapping(item, {{"name", label_in(image.name), Presence::required},
                          {"snp", snp_image_in(image.snp)},
                          {"tdx", tdx_image_in(image.tdx)},
                          {"azure", azure_image_in(image.azure)}});
      if (!image.snp && !image.tdx && !image.azure)
        item.refuse("names no measurement; expected snp, tdx or azure");
      out.images.push_back(std::move(image));
    }
  };
}

ReadValue evidence_in(Policy& out) {
  return words_in(
      [&out](std::string_view word) {
        if (word == "simulated") return out.simulated = true;
        const auto kind = parse_evidence_kind(word);
        if (kind) out.evidence.push_back(*kind);
        return kind.has_value();
      },
      "snp, tdx, azure-snp, azure-tdx or simulated");
}

ReadValue service_in(ServicePolicy& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    read_mapping(value, {{"names", labels_in(out.names)},
                         {"ca", config::path_in(out.ca, folder)},
                         {"pins", bytes_list_in(out.pins)}});
    out.any_name = out.names.size() == 1 && out.names.front() == "any";
    if (out.names.empty() && out.pins.empty())
      value.refuse("names nobody; expected names, pins, or names: any");
  };
}

ReadValue binding_in(BindingPolicy& out) {
  return [&out](const Value& value) {
    std::string kind = "session";
    read_mapping(value, {{"kind", config::one_of(kind, {"session", "key"})},
                         {"max_age", span_in(out.max_age)}});
    out.kind = kind == "key" ? BindingPolicy::Kind::key : BindingPolicy::Kind::session;
  };
}

ReadValue collateral_in(CollateralPolicy& out) {
  return [&out](const Value& value) {
    constexpr std::chrono::seconds kMaxSkew(3600);
    std::string crl = "required";
    read_mapping(value, {{"crl", config::one_of(crl, {"required", "if-present"})},
                         {"skew", span_in(out.skew)}});
    out.crl_required = crl == "required";
    if (out.skew > kMaxSkew) value.refuse("skew is more than 1h; set the clocks instead");
  };
}

ReadValue statement_in(StatementPolicy& out) {
  return [&out](const Value& value) {
    read_mapping(value, {{"model", labels_in(out.models)},
                         {"scheme", labels_in(out.schemes)},
                         {"parameters", labels_in(out.parameters)},
                         {"integrity", label_in(out.integrity)}});
  };
}

ReadValue simulated_in(Policy& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    read_mapping(value,
                 {{"root", config::path_in(out.simulated_root, folder), Presence::required}});
  };
}

/// What no single field can see.
void check_whole(const Policy& policy, const Value& value) {
  if (policy.simulated && !policy.evidence.empty())
    value.refuse("evidence lists simulated beside real platforms; use a policy for each");
  if (policy.simulated && policy.simulated_root.empty())
    value.refuse("evidence lists simulated, but no root; expected simulated: { root: FILE }");
  if (!policy.simulated && !policy.simulated_root.empty())
    value.refuse("names a simulated root, but evidence does not list simulated");
}

} // namespace

Policy parse_policy(std::string_view text, const std::filesystem::path& file) {
  config::YamlNode root = config::parse_yaml(text, file);
  if (root.at.line == 0) root.at = {1, 1}; // an empty file has no place
  const std::filesystem::path folder = file.parent_path();
  config::Problems problems(file);
  Policy policy;
  u32 version = 0;
  const Value value{root, "", root.at, problems};
  read_mapping(value, {{"version", config::whole_in(version, 1, 1), Presence::required},
                       {"name", label_in(policy.name), Presence::required},
                       {"evidence", evidence_in(policy), Presence::required},
                       {"images", images_in(policy), Presence::required},
                       {"service", service_in(policy.service, folder)},
                       {"binding", binding_in(policy.binding)},
                       {"snp", snp_in(policy.snp)},
                       {"tdx", tdx_in(policy.tdx)},
                       {"collateral", collateral_in(policy.collateral)},
                       {"statement", statement_in(policy.statement)},
                       {"simulated", simulated_in(policy, folder)}});
  check_whole(policy, value);
  problems.throw_if_any();
  policy.sha256 = to_hex(sha256(as_bytes(text)));
  return policy;
}

Policy read_policy(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  if (stream) text.assign(std::istreambuf_iterator<char>(stream), {});
  if (!stream || stream.bad())
    throw Error(Errc::config, fmt::format("{}: cannot be read; expected a policy", file.string()));
  return parse_policy(text, file);
}

} // namespace talaria::attest
