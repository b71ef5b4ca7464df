// Services that are asked behind the back of verifiers: once for each question, and never too
// often.
#include "attest/fetch/background_fetcher.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <future>

#include "core/error.hpp"
#include "core/private_file.hpp"
#include "tests/attest/fake_services.hpp"
#include "tests/attest/simulation.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;
using attest::BackgroundFetcher;
using attest::FetchPace;
using attest::HttpsReply;

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{60'000};

/// Services that a test can hold up: get() waits until it may go on, or is to stop.
class HeldServices final : public tests::FakeServices {
public:
  HttpsReply get(const std::string& host, const std::string& target) override {
    word_.wait();
    if (stopped_) throw Error(Errc::io, "stopped");
    HttpsReply reply = FakeServices::get(host, target);
    ++answered;
    return reply;
  }
  void stop() noexcept override {
    stopped_ = true;
    release();
  }
  void release() noexcept {
    if (!released_.exchange(true)) go_on_.set_value();
  }
  std::atomic<unsigned> answered{0};

private:
  std::promise<void> go_on_;
  std::shared_future<void> word_ = go_on_.get_future().share();
  std::atomic<bool> released_{false};
  std::atomic<bool> stopped_{false};
};

/// A fetcher over services of the simulated machines, with a folder.
template <class Services>
struct Background {
  explicit Background(FetchPace pace = {}) : fetcher_(made(pace)) {}

  tests::TemporaryFolder folder;
  Services* services = nullptr;
  std::vector<std::string> lines; ///< of the fetcher's thread; read when it is idle
  BackgroundFetcher& fetcher() { return *fetcher_; }
  void end() { fetcher_.reset(); }

private:
  std::unique_ptr<BackgroundFetcher> made(FetchPace pace) {
    auto owned = std::make_unique<Services>();
    services = owned.get();
    tests::answer_for(*services, tests::snp_set());
    tests::answer_for(*services, tests::tdx_set());
    return std::make_unique<BackgroundFetcher>(
        std::move(owned), attest::CollateralFolder(folder.path() / "kept"),
        [this](const std::string& line) { lines.push_back(line); }, pace);
  }
  std::unique_ptr<BackgroundFetcher> fetcher_;
};

attest::EvidenceSet bare_snp() {
  return tests::without_collateral(tests::snp_set());
}

/// Of a chip of its own that no service knows.
attest::EvidenceSet of_chip(u8 number) {
  tests::sim::ReportSpec spec;
  spec.chip_id.fill(number);
  return tests::without_collateral(tests::snp_set(spec));
}

bool trouble_has(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(background_fetcher)

BOOST_AUTO_TEST_CASE(evidence_of_both_vendors_is_completed_and_then_from_the_folder) {
  Background<tests::FakeServices> of;
  for (const auto& whole : {tests::snp_set(), tests::tdx_set()}) {
    attest::EvidenceSet set = tests::without_collateral(whole);
    BOOST_TEST(of.fetcher().fetch(set, tests::kJudged, kPatience) == "");
    BOOST_TEST(tests::simulated_outcome(set) == "accept");
    const std::size_t asked = of.services->asked.size();
    attest::EvidenceSet again = tests::without_collateral(whole);
    of.fetcher().complete(again, tests::kJudged);
    BOOST_TEST(tests::simulated_outcome(again) == "accept");
    BOOST_TEST(of.services->asked.size() == asked);
  }
  BOOST_TEST(of.lines.empty());
}

BOOST_AUTO_TEST_CASE(a_slow_service_holds_nobody_up_and_is_asked_once) {
  Background<HeldServices> of;
  attest::EvidenceSet first = bare_snp();
  attest::EvidenceSet second = bare_snp();
  for (auto* set : {&first, &second}) {
    const std::string trouble = of.fetcher().fetch(*set, tests::kJudged, milliseconds(1));
    BOOST_TEST(trouble_has(trouble, "still being asked"), trouble);
    BOOST_TEST(tests::simulated_outcome(*set) == "collateral-missing");
  }
  of.services->release();
  BOOST_TEST(of.fetcher().fetch(second, tests::kJudged, kPatience) == "");
  BOOST_TEST(tests::simulated_outcome(second) == "accept");
  BOOST_TEST(of.services->asked.size() == 3U); // one question of three requests
}

BOOST_AUTO_TEST_CASE(an_end_does_not_wait_for_a_service) {
  Background<HeldServices> of;
  attest::EvidenceSet set = bare_snp();
  of.fetcher().fetch(set, tests::kJudged, milliseconds(1));
  of.end(); // would wait for ever
  BOOST_TEST(tests::simulated_outcome(set) == "collateral-missing");
}

BOOST_AUTO_TEST_CASE(after_a_failure_a_machine_is_not_asked_about_for_a_while) {
  FetchPace pace;
  pace.first_wait = hours(1);
  pace.longest_wait = hours(4);
  Background<tests::FakeServices> of(pace);
  of.services->replies.clear();
  attest::EvidenceSet set = bare_snp();
  const std::string trouble = of.fetcher().fetch(set, tests::kJudged, kPatience);
  BOOST_TEST(trouble_has(trouble, "kdsintf.amd.com does not know this chip"), trouble);
  BOOST_TEST(of.lines.size() == 3U);
  const std::size_t asked = of.services->asked.size();
  tests::answer_for(*of.services, tests::snp_set());
  const std::string later = of.fetcher().fetch(set, tests::kJudged, kPatience);
  BOOST_TEST(trouble_has(later, "; not asked again for 3"), later);
  BOOST_TEST(of.services->asked.size() == asked);
  attest::EvidenceSet other = tests::without_collateral(tests::tdx_set());
  tests::answer_for(*of.services, tests::tdx_set());
  BOOST_TEST(of.fetcher().fetch(other, tests::kJudged, kPatience) == "");
}

BOOST_AUTO_TEST_CASE(ever_other_machines_do_not_have_a_service_asked_ever_more) {
  FetchPace pace;
  pace.burst = 2;
  pace.between = hours(1);
  Background<HeldServices> of(pace);
  of.services->release();
  for (u8 chip = 1; chip <= 40; ++chip) {
    attest::EvidenceSet set = of_chip(chip);
    const std::string trouble = of.fetcher().fetch(set, tests::kJudged, kPatience);
    BOOST_TEST(trouble_has(trouble, "not this one's turn") == (chip > 2), trouble);
  }
  // Two leaves; the authority and the list came with the first.
  BOOST_TEST(of.services->answered == 4U);
  // Whoever has been accepted is not among those that are counted: nothing is asked for while it
  // lasts, and everything when it runs out within the time.
  of.fetcher().refresh(tests::tdx_set(), tests::kJudged, hours(1));
  of.fetcher().refresh(bare_snp(), tests::kJudged, hours(24 * 40));
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (of.services->answered < 7 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(milliseconds(1));
  BOOST_TEST(of.services->answered == 7U);
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_written_is_named) {
  Background<tests::FakeServices> of;
  attest::EvidenceSet set = bare_snp();
  replace_private_file(of.folder.path() / "kept", "a file is no folder");
  const std::string trouble = of.fetcher().fetch(set, tests::kJudged, kPatience);
  BOOST_TEST(trouble_has(trouble, "kept"), trouble);
  BOOST_TEST(trouble_has(trouble, "cannot be made"), trouble);
  BOOST_TEST(tests::simulated_outcome(set) == "collateral-missing");
}

BOOST_AUTO_TEST_CASE(evidence_that_is_of_no_machine_asks_nobody) {
  Background<tests::FakeServices> of;
  attest::EvidenceSet set = bare_snp();
  set.items["report"].resize(100);
  BOOST_TEST(trouble_has(of.fetcher().fetch(set, tests::kJudged, kPatience), "which machine"));
  of.fetcher().refresh(set, tests::kJudged, hours(1));
  of.end();
}

BOOST_AUTO_TEST_SUITE_END()
