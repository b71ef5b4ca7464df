// The page of a plan, and the files of calibrations.
#include "planner/page.hpp"

#include <boost/test/unit_test.hpp>

#include "core/error.hpp"
#include "model/weights/synthetic.hpp"
#include "planner/svg.hpp"

namespace talaria {

namespace {

const char* const kEvil = "<script>alert(1)</script>\"'&{{style}}";

std::unique_ptr<planner::Plan> evil_plan(bool simulated) {
  planner::Fleet fleet;
  fleet.enclave.cores = 16;
  fleet.enclave.memory = std::size_t{1} << 38;
  fleet.enclave.memory_gb_per_s = 200;
  fleet.enclave.link_gbit_per_s = 100;
  fleet.load = {0.2, 100, 20};
  planner::PlanRequest request;
  request.model_name = kEvil;
  request.model = model::shape_plan("llama-3.2-1b", 0);
  auto plan = make_plan(fleet, request);
  if (simulated) simulate_plan(*plan, planner::poisson_arrivals(fleet.load, 60, 1), kEvil, {});
  return plan;
}

std::size_t times_in(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string refusal_of_calibration(const std::string& text) {
  try {
    planner::read_calibration(text, "c.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

} // namespace

BOOST_AUTO_TEST_CASE(the_page_asks_nothing_and_runs_nothing) {
  for (const bool simulated : {false, true}) {
    const auto plan = evil_plan(simulated);
    const std::string page = to_page(*plan);
    for (const char* loader :
         {"<script", "src=", "<link", "@import", "url(", "<img", "href", "on="})
      BOOST_TEST(times_in(page, loader) == 0U, loader);
    BOOST_TEST(times_in(page, "default-src 'none'") == 1U);
    BOOST_TEST(times_in(page, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;") ==
               (simulated ? 3U : 2U));
    BOOST_TEST(times_in(page, "<svg") == (simulated ? 6U : 3U));
    BOOST_TEST(times_in(page, "<svg") == times_in(page, "</svg>"));
    BOOST_TEST(page.find("nan") == page.npos);
    BOOST_TEST(page.find("inf") == page.npos);
    for (const std::string& sentence : plan->verdict)
      BOOST_TEST(page.find(planner::escaped(sentence)) != page.npos);
  }
}

BOOST_AUTO_TEST_CASE(the_three_ways_tell_of_a_simulation) {
  const auto plan = evil_plan(true);
  const auto json = to_json(*plan)["confidential"]["simulation"];
  BOOST_TEST(json["requests"] == 48);
  BOOST_TEST(json["time_to_first_token_s"]["p99"] ==
             plan->confidential.simulation->first_token.quantile(0.99));
  BOOST_TEST(json["busy"]["enclave cores"]["mean"] ==
             plan->confidential.simulation->resources[0].mean);
  BOOST_TEST(to_text(*plan).find("Simulated: ") != std::string::npos);
  BOOST_TEST(!to_json(*evil_plan(false))["confidential"].contains("simulation"));
}

BOOST_AUTO_TEST_CASE(plots_leave_out_what_cannot_be_drawn) {
  const planner::PlotAxis log{"x", planner::AxisScale::logarithmic,
                              [](double) { return std::string("<"); }};
  const std::string svg = planner::line_plot(
      {{"a", "clear", {{0, 1}, {1, -1}, {1, NAN}, {INFINITY, 1}, {10, 100}}}}, log, log);
  BOOST_TEST(times_in(svg.substr(svg.find("points=")), ",") == 1U);
  BOOST_TEST(times_in(svg, "&lt;") > 2U);
  BOOST_TEST(planner::line_plot({}, log, log).find("<svg") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_histogram_keeps_quantiles_to_one_percent) {
  planner::Histogram histogram;
  for (int i = 1; i <= 1000; ++i) histogram.add(i * 1e-3);
  BOOST_TEST(std::abs(histogram.quantile(0.5) - 0.5) < 0.006);
  BOOST_TEST(std::abs(histogram.quantile(0.99) - 0.99) < 0.011);
  BOOST_TEST(histogram.quantile(1) <= histogram.most());
  BOOST_TEST(histogram.most() == 1.0);
  BOOST_TEST(std::abs(histogram.mean() - 0.5005) < 1e-9);
  BOOST_TEST(planner::Histogram().quantile(0.5) == 0);
}

BOOST_AUTO_TEST_CASE(a_calibration_is_read_as_it_was_written) {
  planner::Rates rates;
  rates.mask_output_ns = 3.25;
  rates.link = 0.5;
  rates.limb_gops = 100; // not measured: not written
  rates.measured = {"mask_output_ns", "link"};
  const auto read = planner::read_calibration(calibration_text(rates, "a machine", 12), "c.json");
  BOOST_TEST(read.mask_output_ns == 3.25);
  BOOST_TEST(read.link == 0.5);
  BOOST_TEST(read.limb_gops == planner::Rates().limb_gops);
  BOOST_TEST(read.measured.size() == 2U);
}

BOOST_AUTO_TEST_CASE(mistakes_in_a_calibration_are_named) {
  const auto refuses = [](const std::string& text, const std::string& with) {
    const std::string said = refusal_of_calibration(text);
    BOOST_TEST(said.find("c.json: " + with) != said.npos, said);
  };
  const auto with_rates = [](const std::string& rates) {
    return R"({"talaria_calibration": 1, "rates": )" + rates + "}";
  };
  refuses("", "is no JSON object");
  refuses("[1]", "is no JSON object");
  refuses("{}", "talaria_calibration: is not 1");
  refuses(R"({"talaria_calibration": 1})", "rates: is no object");
  refuses(with_rates(R"({"mask\nns": 1})"), R"(rates: "mask\nns" is no rate)");
  refuses(with_rates(R"({"limb_gops": 0})"), "rates.limb_gops: expected a number above 0");
  refuses(with_rates(R"({"limb_gops": "5"})"), "rates.limb_gops: expected a number");
  refuses(with_rates(R"({"link": 1.5})"), "rates.link: expected a number above 0 and up to 1");
}

} // namespace talaria
