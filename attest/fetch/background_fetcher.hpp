#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "attest/fetch/collateral_fetcher.hpp"

namespace talaria::attest {

/// How often services are asked. Whoever shows evidence chooses which machine is asked about, and
/// a service that is asked too often answers nobody.
struct FetchPace {
  unsigned burst = 4;                           ///< machines that may be asked about at once
  std::chrono::milliseconds between{10'000};    ///< then one more in each of these
  std::chrono::milliseconds first_wait{10'000}; ///< of one machine after a failure; doubles
  std::chrono::milliseconds longest_wait{300'000};
  std::size_t most_waiting = 8; ///< questions in line
};

/// CollateralFetcher for a verifier that may not wait for services: they are asked by one thread of
/// this object, each question once, and what came lies in the folder. Thread-safe.
class BackgroundFetcher {
public:
  using Log = std::function<void(const std::string&)>;

  /// @param log  a line for each thing that could not be had; from the thread of this object
  BackgroundFetcher(std::unique_ptr<HttpsClient> client, CollateralFolder folder, Log log,
                    FetchPace pace = {});
  /// Ends a question that is under way.
  ~BackgroundFetcher();
  BackgroundFetcher(const BackgroundFetcher&) = delete;
  BackgroundFetcher& operator=(const BackgroundFetcher&) = delete;

  /// Gives evidence what the folder has of its collateral, at once. Nobody is asked.
  /// @return whether it has all of it, in force
  bool complete(EvidenceSet& set, TimePoint now) const;

  /// Has the services asked for what the evidence still lacks, waits at most `patience`, and
  /// completes it. Asking goes on beyond that, for the next attempt.
  /// @return why something is missing, in one line; empty if nothing is
  std::string fetch(EvidenceSet& set, TimePoint now, std::chrono::milliseconds patience);

  /// Has the services asked, some time, for what runs out within `ahead`. For evidence that has
  /// been accepted: its question is not counted.
  void refresh(const EvidenceSet& set, TimePoint now, std::chrono::seconds ahead);

private:
  using Steady = std::chrono::steady_clock;
  struct Question {
    std::string machine;
    EvidenceSet set;
    TimePoint now{};
    std::chrono::seconds ahead{0};
    bool is_refresh = false;
  };
  /// What is known of a machine that was asked about.
  struct Asked {
    bool is_waiting = false;                 ///< in line or under way
    std::string trouble;                     ///< of the last time
    Steady::time_point not_before{};         ///< after a failure
    Steady::time_point refresh_not_before{}; ///< a service may have nothing newer yet
    std::chrono::milliseconds wait{0};
  };

  std::vector<FetchedItem> items_of(EvidenceSet& set, const FetchOptions& options) const;
  std::string enqueue(Question question);
  bool take_turn();
  void forget_some();
  std::string ask(Question& question) const;
  void note(Asked& asked, std::string trouble) const;
  void run();

  const std::unique_ptr<HttpsClient> client_;
  const CollateralFolder folder_;
  const Log log_;
  const FetchPace pace_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Asked> machines_;
  std::deque<Question> line_;
  double turns_; ///< up to pace_.burst
  Steady::time_point turns_at_;
  bool end_ = false;
  std::thread thread_;
};

} // namespace talaria::attest
