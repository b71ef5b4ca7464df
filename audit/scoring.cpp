#include "audit/scoring.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "audit/statistics.hpp"

namespace talaria::audit {
namespace {

/// Two looks at the same guesses: at the first and at the first ten.
double of_both(double p1, double p10) {
  return std::min(1.0, 2 * std::min(p1, p10));
}

using Tokens = std::unordered_set<u32>;

/// True tokens of a request tensor's rows.
Tokens true_tokens(const SetGuesses::Request& request, const Truth& truth) {
  Tokens out;
  for (std::size_t r = request.first_row; r < request.first_row + request.rows; ++r)
    if (r < truth.tokens.size() && truth.tokens[r] != kNoToken) out.insert(truth.tokens[r]);
  return out;
}

/// Hits of each request's guesses among each request's tokens.
struct Dealt {
  std::size_t trials = 0;
  std::size_t hits = 0;
  double chance = 0;
  double p_value = 1;
};

/// Mean and variance of the diagonal's sum under random permutations (Hoeffding 1951), against what
/// it is; never surer than independent trials would be.
Dealt judge(const std::vector<std::vector<double>>& hits, std::size_t trials) {
  const std::size_t n = hits.size();
  std::vector<double> row(n), column(n);
  double all = 0, seen = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      row[i] += hits[i][j] / static_cast<double>(n);
      column[j] += hits[i][j] / static_cast<double>(n);
      all += hits[i][j];
      if (i == j) seen += hits[i][j];
    }
  const double expected = all / static_cast<double>(n);
  double variance = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      const double off = hits[i][j] - row[i] - column[j] + expected / static_cast<double>(n);
      variance += off * off / static_cast<double>(std::max<std::size_t>(n, 2) - 1);
    }
  Dealt out;
  out.trials = trials;
  out.hits = static_cast<std::size_t>(seen);
  out.chance = trials == 0 ? 0 : expected / static_cast<double>(trials);
  const double independent = binomial_upper_tail(out.hits, trials, out.chance);
  const double dealt =
      n < 2 || variance <= 0 ? 1 : normal_upper_tail((seen - 0.5 - expected) / std::sqrt(variance));
  out.p_value = n < 2 ? independent : std::max(independent, dealt);
  return out;
}

/// The first guesses of each request against the tokens of each: `factor` times as many guesses as
/// the tokens' request has rows, or else long requests, which have more of both, would seem to be
/// guessed well.
Dealt deal(const SetGuesses& guesses, const std::vector<Tokens>& truths, std::size_t factor) {
  std::vector<std::vector<double>> hits(guesses.requests.size(),
                                        std::vector<double>(guesses.requests.size()));
  std::size_t trials = 0;
  for (std::size_t i = 0; i < guesses.requests.size(); ++i) {
    const SetGuesses::Request& request = guesses.requests[i];
    trials += truths[i].size();
    std::unordered_map<u32, std::size_t> rank;
    for (const u32 token : request.ranked) rank.emplace(token, rank.size());
    for (std::size_t j = 0; j < truths.size(); ++j)
      for (const u32 token : truths[j]) {
        const auto it = rank.find(token);
        const bool guessed = it != rank.end() && it->second < factor * guesses.requests[j].rows;
        hits[i][j] += guessed ? 1 : 0;
      }
  }
  return judge(hits, trials);
}

} // namespace

AttackResult score(const RowGuesses& guesses, const Truth& truth) {
  AttackResult out;
  out.where = guesses.where;
  out.remark = guesses.remark;
  std::map<u32, double> of_truth, of_first, of_ten;
  for (std::size_t i = 0; i < guesses.rows.size(); ++i) {
    const u32 token = truth.tokens.at(guesses.rows[i]);
    if (token == kNoToken) continue;
    const RowGuesses::Ranked& ranked = guesses.ranked[i];
    ++out.rows;
    of_truth[token] += 1;
    of_first[ranked.front()] += 1;
    for (const u32 guess : ranked) of_ten[guess] += 1;
    out.top1 += ranked.front() == token ? 1 : 0;
    out.top10 += std::find(ranked.begin(), ranked.end(), token) != ranked.end() ? 1 : 0;
  }
  out.applicable = out.rows != 0;
  if (!out.applicable) return out;
  const double rows = static_cast<double>(out.rows);
  for (const auto& [token, count] : of_truth) {
    if (const auto it = of_first.find(token); it != of_first.end())
      out.chance1 += count / rows * it->second / rows;
    if (const auto it = of_ten.find(token); it != of_ten.end())
      out.chance10 += count / rows * it->second / rows;
  }
  out.p_value = of_both(binomial_upper_tail(out.top1, out.rows, out.chance1),
                        binomial_upper_tail(out.top10, out.rows, std::min(1.0, out.chance10)));
  return out;
}

AttackResult score(const SetGuesses& guesses, const Truth& truth) {
  AttackResult out;
  out.where = guesses.where;
  out.remark = guesses.remark;
  std::vector<Tokens> truths;
  for (const SetGuesses::Request& request : guesses.requests)
    truths.push_back(true_tokens(request, truth));
  const Dealt narrow = deal(guesses, truths, 1);
  const Dealt wide = deal(guesses, truths, RowGuesses::kRanks);
  out.rows = narrow.trials;
  out.applicable = out.rows != 0;
  out.top1 = narrow.hits;
  out.top10 = wide.hits;
  out.chance1 = narrow.chance;
  out.chance10 = wide.chance;
  out.p_value = of_both(narrow.p_value, wide.p_value);
  return out;
}

AttackResult score(const TestOutcome& outcome) {
  AttackResult out;
  out.measure = AttackResult::Measure::distinguishing;
  out.where = outcome.where;
  out.remark = outcome.remark;
  out.rows = outcome.tests;
  out.p_value = smallest_of(outcome.smallest_p, outcome.tests);
  return out;
}

AttackResult score(const Finding& finding, const Truth& truth, const std::string& attack,
                   const std::string& scheme) {
  AttackResult out;
  if (const auto* rows = std::get_if<RowGuesses>(&finding))
    out = score(*rows, truth);
  else if (const auto* sets = std::get_if<SetGuesses>(&finding))
    out = score(*sets, truth);
  else if (const auto* test = std::get_if<TestOutcome>(&finding))
    out = score(*test);
  else
    out = std::get<AttackResult>(finding);
  out.attack = attack;
  out.scheme = scheme;
  return out;
}

double alarm_level(std::size_t cells) {
  return kFalseAlarmsPerRun / static_cast<double>(std::max<std::size_t>(cells, 1));
}

std::vector<const AttackResult*> alarms(std::span<const AttackResult> results) {
  const auto judging = [](const AttackResult& each) { return each.applicable && each.judges; };
  const double level =
      alarm_level(static_cast<std::size_t>(std::count_if(results.begin(), results.end(), judging)));
  std::vector<const AttackResult*> out;
  for (const AttackResult& each : results)
    if (judging(each) && each.p_value < level) out.push_back(&each);
  return out;
}

} // namespace talaria::audit
