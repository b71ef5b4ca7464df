#include "attest/policy/appraisal.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "attest/policy/parts.hpp"

namespace talaria::attest {
namespace {

/// Collects what differs between evidence and one image.
class Comparison {
public:
  template <std::size_t N>
  void field(const std::string& name, Bytes actual, const OneOf<N>& allowed) {
    if (allowed.empty()) return;
    if (std::ranges::any_of(allowed,
                            [&](const auto& each) { return std::ranges::equal(each, actual); }))
      return;
    std::string expected;
    for (const auto& each : allowed) expected += (expected.empty() ? "" : " ") + to_hex(each);
    differences.push_back({name, expected, to_hex(actual)});
  }
  void at_least(const std::string& name, u32 actual, u32 least) {
    if (actual < least)
      differences.push_back({name, fmt::format("{}", least), fmt::format("{}", actual)});
  }

  std::vector<Difference> differences;
};

std::vector<Difference> compare(const SnpReport& report, const SnpImage& image) {
  Comparison comparison;
  comparison.field("measurement", report.measurement, image.measurement);
  comparison.field("host_data", report.host_data, image.host_data);
  comparison.field("family_id", report.family_id, image.family_id);
  comparison.field("image_id", report.image_id, image.image_id);
  comparison.field("id_key", report.id_key_digest, image.id_key);
  comparison.field("author_key", report.author_key_digest, image.author_key);
  comparison.at_least("guest_svn", report.guest_svn, image.guest_svn);
  return std::move(comparison.differences);
}

std::vector<Difference> compare(const TdxQuote& quote, const TdxImage& image) {
  Comparison comparison;
  comparison.field("mr_td", quote.mr_td, image.mr_td);
  for (const auto& [number, allowed] : image.rtmr)
    comparison.field(fmt::format("rtmr{}", number), quote.rtmr.at(number), allowed);
  comparison.field("mr_config_id", quote.mr_config_id, image.mr_config_id);
  return std::move(comparison.differences);
}

std::vector<Difference> compare(const AzureFacts& facts, const SnpFacts* snp,
                                const AzureImage& image) {
  Comparison comparison;
  if (snp) comparison.field("id_key", snp->report.id_key_digest, image.id_key);
  for (const auto& [number, allowed] : image.pcrs) {
    const std::size_t at = number * kPcrBytes;
    const Bytes actual = at + kPcrBytes <= facts.pcrs.size()
                             ? Bytes(facts.pcrs).subspan(at, kPcrBytes)
                             : Bytes(); // no quote vouches for a value
    comparison.field(fmt::format("pcr{}", number), actual, allowed);
  }
  return std::move(comparison.differences);
}

/// Nothing if `image` says nothing about this kind of evidence.
std::optional<std::vector<Difference>> compare(const Facts& facts, const Image& image) {
  if (facts.azure)
    return image.azure ? std::optional(compare(*facts.azure, facts.snp, *image.azure))
                       : std::nullopt;
  if (facts.snp && image.snp) return compare(facts.snp->report, *image.snp);
  if (facts.tdx && image.tdx) return compare(facts.tdx->quote, *image.tdx);
  return std::nullopt;
}

void check_kind(const Facts& facts, const Policy& policy, Checks& checks) {
  if (facts.simulated() || policy.simulated) {
    checks.require(facts.simulated(), Stage::policy, "evidence-kind",
                   "the policy is for simulated evidence, and this is not");
    checks.require(policy.simulated, Stage::policy, "simulated",
                   "simulated evidence, which the policy does not name");
    return;
  }
  checks.require(std::ranges::find(policy.evidence, facts.kind) != policy.evidence.end(),
                 Stage::policy, "evidence-kind",
                 fmt::format("the policy does not name {}", to_string(facts.kind)));
}

void check_image(const Policy& policy, const ImageMatch& image, Checks& checks) {
  if (policy.any_image) {
    checks.fail(Stage::expected, "image",
                "the policy accepts any image, so nothing is known about what runs there");
    return;
  }
  if (!image.name.empty()) return checks.pass(Stage::expected, "image");
  if (image.nearest.empty())
    return checks.fail(Stage::expected, "image",
                       "no image of the policy is about this kind of evidence");
  std::string fields;
  for (const Difference& each : image.differences)
    fields += (fields.empty() ? "" : ", ") + each.field;
  const Difference& first = image.differences.front();
  checks.fail(
      Stage::expected, "image",
      fmt::format("no image of the policy; nearest is {}, other in {}", image.nearest, fields),
      first.expected, first.actual);
}

} // namespace

ImageMatch match_image(const Facts& facts, const Policy& policy) {
  ImageMatch match;
  for (const Image& image : policy.images) {
    const auto differences = compare(facts, image);
    if (!differences) continue;
    if (differences->empty()) return {image.name, image.name, {}};
    if (!match.nearest.empty() && match.differences.size() <= differences->size()) continue;
    match.nearest = image.name;
    match.differences = *differences;
  }
  return match;
}

void appraise(const Facts& facts, const Policy& policy, TimePoint now, Checks& checks,
              ImageMatch& image, std::vector<std::string>& warnings) {
  if (!facts.snp && !facts.tdx) return; // nothing could be read
  check_kind(facts, policy, checks);
  if (facts.snp) appraise_snp(*facts.snp, policy, checks, warnings);
  if (facts.tdx) appraise_tdx(*facts.tdx, policy, now, checks, warnings);
  image = match_image(facts, policy);
  check_image(policy, image, checks);
}

} // namespace talaria::attest
