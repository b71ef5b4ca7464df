#include "settings/protection.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

#include "core/error.hpp"

using namespace talaria;
using settings::Allowances;

namespace {

config::PipelineConfig configured(const std::string& scheme, const std::string& integrity) {
  config::PipelineConfig config;
  config.file = "p.yaml";
  config.masking.scheme = scheme;
  config.masking.integrity = integrity;
  return config;
}

std::string refusal(const config::PipelineConfig& config, const Allowances& allowed) {
  try {
    settings::require_protection(config, allowed);
  } catch (const Error& error) {
    return error.code() == Errc::usage ? error.what() : "not a usage error";
  }
  return {};
}

} // namespace

BOOST_AUTO_TEST_SUITE(protection)

BOOST_AUTO_TEST_CASE(nothing_is_asked_for_with_masks_and_checks) {
  BOOST_TEST(refusal(configured("lattice", "freivalds"), {}) == "");
}

BOOST_AUTO_TEST_CASE(each_weakness_needs_its_own_flag) {
  for (const settings::Weakness& weakness : settings::weaknesses()) {
    const auto config =
        configured(weakness.allowed == &Allowances::hybrid  ? "hybrid"
                   : weakness.allowed == &Allowances::clear ? "clear"
                                                            : "lattice",
                   weakness.allowed == &Allowances::unverified ? "none" : "freivalds");
    Allowances others{true, true, true};
    others.*weakness.allowed = false;
    BOOST_TEST(refusal(config, others).find(weakness.flag) != std::string::npos, weakness.flag);
    Allowances allowed;
    allowed.*weakness.allowed = true;
    BOOST_TEST(refusal(config, allowed) == "", weakness.flag);
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_names_file_setting_and_flag) {
  BOOST_TEST(refusal(configured("clear", "none"), {}) ==
             "p.yaml: masking.scheme is clear: workers see every prompt and answer; change it, or "
             "add --allow-clear to this command line");
  BOOST_TEST(settings::unpermitted(configured("clear", "none").masking, {}).size() == 2U);
}

BOOST_AUTO_TEST_CASE(whoever_asks_for_himself_is_refused_the_clear_scheme_alone) {
  settings::require_masks(configured("hybrid", "none"), {});
  BOOST_CHECK_THROW(settings::require_masks(configured("clear", "freivalds"), {}), Error);
  settings::require_masks(configured("clear", "freivalds"), {false, true, false});
}

BOOST_AUTO_TEST_SUITE_END()
