#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <numeric>

#include "cli/perplexity/base_file.hpp"
#include "cli/perplexity/divergence.hpp"
#include "core/error.hpp"
#include "core/random.hpp"
#include "tests/support/models.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::cli {

namespace {

std::vector<float> random_logits(ChaChaRng& rng, std::size_t count, double spread) {
  std::vector<float> out(count);
  for (float& logit : out)
    logit = static_cast<float>(spread * (static_cast<double>(rng.below(1'000'000)) / 5e5 - 1));
  return out;
}

/// Natural logarithms of the softmax, by its definition.
std::vector<long double> log_softmax(const std::vector<float>& logits) {
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<long double>(logit));
  std::vector<long double> out;
  for (const float logit : logits) out.push_back(logit - std::log(sum));
  return out;
}

std::vector<u16> packed(const std::vector<float>& logits) {
  BaseText text;
  text.vocab = static_cast<u32>(logits.size());
  std::vector<u16> row(text.stride());
  pack_row(logits, row);
  return row;
}

std::string read_all(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Two windows of 5 tokens of a vocabulary of 3: two scored positions of 8 numbers each.
BaseText small_text() {
  BaseText text;
  text.window = 5;
  text.vocab = 3;
  text.tokens = {0, 1, 2, 0, 1, 2, 2, 1, 0, 0};
  return text;
}

void check_refused(const std::string& bytes, Errc code, const std::string& culprit) {
  const tests::TemporaryFolder folder;
  const std::string file = (folder.path() / "base").string();
  std::ofstream(file, std::ios::binary) << bytes;
  BOOST_CHECK_EXCEPTION(BaseReader{file}, Error, [&](const Error& error) {
    const std::string said = error.what();
    BOOST_TEST(said.find(file) == 0U, said);
    BOOST_TEST(said.find(culprit) != std::string::npos, said);
    return error.code() == code;
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(perplexity)

BOOST_AUTO_TEST_CASE(sixteen_bits_keep_a_log_probability_within_half_a_step) {
  auto rng = ChaChaRng::from_system();
  for (const std::size_t count : {2U, 3U, 97U, 4096U}) {
    const auto logits = random_logits(rng, count, 7.9); // all within e^16 of each other
    const auto expected = log_softmax(logits);
    std::vector<float> out(count);
    unpack_row(packed(logits), out);
    for (std::size_t i = 0; i < count; ++i)
      BOOST_TEST(std::abs(static_cast<double>(out[i] - expected[i])) < 15.8 / 65535 / 2 + 4e-6);
  }
}

BOOST_AUTO_TEST_CASE(unlikely_tokens_stop_at_sixteen_below_the_best) {
  std::vector<float> out(3);
  unpack_row(packed({0, -100, -15}), out);
  BOOST_TEST(out[0] == 0.0F, boost::test_tools::tolerance(1e-6F));
  BOOST_TEST(out[1] == -16.0F, boost::test_tools::tolerance(1e-4F));
  BOOST_TEST(out[2] == -15.0F, boost::test_tools::tolerance(1e-4F));
  unpack_row(packed({5, 5, 5}), out); // no range at all
  for (const float log_p : out) BOOST_TEST(log_p == std::log(1 / 3.0F));
}

BOOST_AUTO_TEST_CASE(divergence_is_the_sum_of_its_definition) {
  auto rng = ChaChaRng::from_system();
  for (int round = 0; round < 20; ++round) {
    const auto base = random_logits(rng, 301, 5);
    auto other = base;
    for (float& logit : other) logit += static_cast<float>(rng.below(2000)) / 1e3F - 1;
    const u32 token = static_cast<u32>(rng.below(301));
    const auto p = log_softmax(base);
    const auto q = log_softmax(other);
    long double expected = 0;
    for (std::size_t i = 0; i < p.size(); ++i) expected += std::exp(p[i]) * (p[i] - q[i]);
    const auto got = compare_row(other, packed(base), token);
    const auto close = [](double value, long double exact, double by) {
      BOOST_TEST(std::abs(value - static_cast<double>(exact)) < by, value << " for " << exact);
    };
    close(got.divergence, expected, 2e-5);
    close(got.loss, -q[token], 1e-6);
    close(got.base_loss, -p[token], 1e-4);
    close(got.change, std::exp(q[token]) - std::exp(p[token]), 1e-5);
    const auto best = [](const auto& of) {
      return std::max_element(of.begin(), of.end()) - of.begin();
    };
    if (std::abs(static_cast<double>(p[best(q)] - p[best(p)])) > 1e-3 || best(p) == best(q))
      BOOST_TEST(got.same_top == (best(p) == best(q)));
  }
}

BOOST_AUTO_TEST_CASE(a_base_takes_no_place_but_a_files_and_is_its_owners) {
  namespace fs = std::filesystem;
  const tests::TemporaryFolder folder;
  const fs::path link = folder.path() / "link", elsewhere = folder.path() / "elsewhere";
  fs::create_symlink(elsewhere, link);
  for (const fs::path& taken : {link, fs::path("/dev/full"), folder.path()})
    BOOST_CHECK_THROW(BaseWriter(taken.string(), small_text()), Error);
  BOOST_TEST(!fs::exists(elsewhere));
  BOOST_TEST(fs::is_character_file("/dev/full"));
  const fs::path file = folder.path() / "base";
  fs::create_symlink(elsewhere, file.string() + ".partial"); // a name that was once foreseen
  BaseWriter writer(file.string(), small_text());
  writer.add(std::vector<u16>(16));
  writer.finish();
  BOOST_TEST((fs::status(file).permissions() == (fs::perms::owner_read | fs::perms::owner_write)));
  BOOST_TEST(!fs::exists(elsewhere));
}

// The sum of p ln(p / q) of these is off by 1e-5 and more, either way.
BOOST_AUTO_TEST_CASE(a_distribution_does_not_diverge_from_itself_by_what_is_rounded) {
  auto rng = ChaChaRng::from_system();
  std::vector<PositionDivergence> all;
  for (int round = 0; round < 200; ++round) {
    auto logits = random_logits(rng, 500, 12);                // some are 24 apart: not all are kept
    *std::max_element(logits.begin(), logits.end()) += 0.01F; // by more than 16 bits tell apart
    all.push_back(compare_row(logits, packed(logits), 7));
    BOOST_TEST(all.back().divergence >= 0);
    BOOST_TEST(all.back().same_top);
  }
  BOOST_TEST(summarise(all).divergence.value < 3e-9);
}

BOOST_AUTO_TEST_CASE(a_summary_has_the_means_and_errors_of_its_positions) {
  // Losses 1, 2, 3 against 1, 1, 1: deviations of the mean 1/sqrt(3).
  std::vector<PositionDivergence> three(3);
  for (int i = 0; i < 3; ++i) three[i] = {1.0 + i, 1.0, 0.1 * (i + 1), 0.2 * i, i != 0};
  const DivergenceReport report = summarise(three);
  const auto close = boost::test_tools::tolerance(1e-12);
  const double error = std::sqrt(2.0 / 3 / 2);
  BOOST_TEST(report.positions == 3U);
  BOOST_TEST(report.perplexity.value == std::exp(2.0), close);
  BOOST_TEST(report.perplexity.error == std::exp(2.0) * error, close);
  BOOST_TEST(report.base_perplexity.value == std::exp(1.0), close);
  BOOST_TEST(report.base_perplexity.error == 0);
  BOOST_TEST(report.log_ratio.value == 1.0, close);
  BOOST_TEST(report.log_ratio.error == error, close);
  BOOST_TEST(report.divergence.value == 0.2, close);
  BOOST_TEST(report.median == 0.2, close);
  BOOST_TEST(report.p99 == 0.298, close); // 0.98 of the way from the second to the third
  BOOST_TEST(report.largest == 0.1 * 3, close);
  BOOST_TEST(report.change.value == std::sqrt((0.04 + 0.16) / 3), close);
  BOOST_TEST(report.same_top.value == 2.0 / 3, close);
  BOOST_TEST(report.same_top.error == std::sqrt(2.0 / 9 / 2), close);
  BOOST_TEST(summarise({three.data(), 1}).divergence.error == 0); // one has no spread
}

BOOST_AUTO_TEST_CASE(files_come_back_as_they_were_written) {
  const tests::TemporaryFolder folder;
  const std::string file = (folder.path() / "base").string();
  const BaseText text = small_text();
  BOOST_TEST(text.scored() == 2U);
  std::vector<u16> rows(2 * text.stride());
  std::iota(rows.begin(), rows.end(), u16{1});
  { const BaseWriter dropped(file, text); }
  BOOST_TEST(std::filesystem::is_empty(folder.path())); // never finished
  BaseWriter out(file, text);
  out.add(rows);
  out.add(rows);
  BOOST_TEST(!std::filesystem::exists(file));
  out.finish();
  BOOST_TEST(read_all(file).size() == 8 + 12 + 40 + 2 * 2 * 8 * 2U);
  BaseReader in(file);
  BOOST_TEST(in.text().window == 5U);
  BOOST_TEST(in.text().vocab == 3U);
  BOOST_TEST(in.text().tokens == text.tokens, boost::test_tools::per_element());
  BOOST_TEST(in.next() == rows, boost::test_tools::per_element());
  BOOST_TEST(in.next() == rows, boost::test_tools::per_element());
  BOOST_CHECK_THROW(in.next(), Error);
  BOOST_CHECK_THROW(BaseWriter((folder.path() / "none" / "base").string(), text), Error);
}

BOOST_AUTO_TEST_CASE(damaged_files_are_refused_by_what_is_wrong) {
  const tests::TemporaryFolder folder;
  const std::string file = (folder.path() / "base").string();
  BaseWriter out(file, small_text());
  const std::vector<u16> rows(2 * small_text().stride());
  out.add(rows);
  out.add(rows);
  out.finish();
  const std::string good = read_all(file);
  const auto changed = [&](std::size_t at, const std::string& bytes) {
    return std::string(good).replace(at, bytes.size(), bytes);
  };
  BOOST_CHECK_NO_THROW(BaseReader{file});
  check_refused("", Errc::usage, "_logits_");
  check_refused(changed(0, "x"), Errc::usage, "_logits_");
  check_refused(good.substr(0, 15), Errc::usage, "header");
  check_refused(good.substr(0, good.size() - 1), Errc::usage, "2 windows do not make");
  check_refused(good + "x", Errc::usage, "2 windows do not make");
  check_refused(changed(8, std::string("\2\0\0\0", 4)), Errc::usage, "windows of 2 tokens");
  check_refused(changed(8, "\xff\xff\xff\xff"), Errc::usage, "windows of 4294967295 tokens");
  check_refused(changed(12, std::string(4, '\0')), Errc::usage, "vocabulary of 0");
  check_refused(changed(16, "\xff\xff\xff\xff"), Errc::usage, "4294967295 windows do not make");
  check_refused(changed(16, std::string(4, '\0')), Errc::usage, "0 windows do not make");
  check_refused(changed(20, std::string("\3\0\0\0", 4)), Errc::usage, "beyond its vocabulary");
  BOOST_CHECK_EXCEPTION(BaseReader{file + "2"}, Error,
                        [](const Error& error) { return error.code() == Errc::io; });
}

// By tests/data/references/talaria-tiny/make_base.py.
BOOST_AUTO_TEST_CASE(a_file_that_other_code_wrote_is_read) {
  BaseReader in((tests::kReferences / "talaria-tiny" / "float64.base").string());
  BOOST_TEST(in.text().window == 6U);
  BOOST_TEST(in.text().vocab == 4096U);
  BOOST_TEST_REQUIRE(in.text().windows() == 3U);
  BOOST_TEST(in.text().tokens.front() == 4092U);
  std::vector<float> row(4096);
  for (std::size_t window = 0; window < 3; ++window) {
    const std::vector<u16> rows = in.next();
    BOOST_TEST_REQUIRE(rows.size() == 2 * in.text().stride());
    for (std::size_t r = 0; r < 2; ++r) {
      unpack_row({rows.data() + r * in.text().stride(), in.text().stride()}, row);
      double sum = 0;
      for (const float log_p : row) sum += std::exp(double{log_p});
      BOOST_TEST(std::abs(sum - 1) < 1e-3, sum);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
