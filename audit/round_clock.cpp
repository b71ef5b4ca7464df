#include "audit/round_clock.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "actors/worker_interface.hpp"
#include "arch/model_plan.hpp"
#include "audit/statistics.hpp"
#include "core/random.hpp"
#include "core/wall_clock.hpp"
#include "pipeline/worker_decorator.hpp"

namespace talaria::audit {
namespace {

constexpr std::size_t kLinearsOfLayer = 4; // qkv, o, gate_up, down

/// What one worker knows: when it was asked, and when it had answered.
class Watch {
public:
  explicit Watch(std::function<i64()> clock) : clock_(std::move(clock)) {}

  std::size_t asked() {
    const std::lock_guard lock(mutex_);
    events_.push_back({clock_(), 0});
    return events_.size() - 1;
  }
  void answered(std::size_t event) {
    const std::lock_guard lock(mutex_);
    if (event < events_.size()) events_[event].answered = clock_();
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    events_.clear();
  }
  /// The last rounds of `matrices` questions each.
  TimedAnswer last(std::size_t rounds, std::size_t matrices, bool dummy) const {
    const std::lock_guard lock(mutex_);
    TimedAnswer out(rounds, TimedRound{{}, dummy});
    if (events_.size() <= rounds * matrices)
      throw Error(Errc::internal, "fewer rounds than padding owes were seen");
    std::size_t at = events_.size() - rounds * matrices;
    for (TimedRound& round : out)
      for (std::size_t i = 0; i < matrices; ++i, ++at)
        round.gaps.push_back(events_[at].asked - events_[at - 1].answered);
    return out;
  }

private:
  struct Event {
    i64 asked = 0;
    i64 answered = 0;
  };
  std::function<i64()> clock_;
  mutable std::mutex mutex_;
  std::vector<Event> events_;
};

worker::Worker spawn_watch(caf::actor_system& system, worker::Worker worker,
                           std::shared_ptr<Watch> watch) {
  return system.spawn([worker,
                       watch](worker::Worker::pointer self) -> worker::Worker::behavior_type {
    return {[=](const remo::MaskedTensor& tensor) {
              auto promise = self->make_response_promise<remo::WorkerProduct>();
              const std::size_t event = watch->asked();
              self->request(worker, caf::infinite, tensor)
                  .then(
                      [=](remo::WorkerProduct& product) mutable {
                        watch->answered(event);
                        promise.deliver(std::move(product));
                      },
                      [=](caf::error& error) mutable { promise.deliver(std::move(error)); });
              return promise;
            },
            [=](const worker::Dispute& dispute) { return self->delegate(worker, dispute); },
            [=](const remo::HintRequest& request) { return self->delegate(worker, request); },
            [=](const remo::WeightRequest& request) { return self->delegate(worker, request); }};
  });
}

double middle_of(std::vector<double> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// What a round looks like: logarithms of times, so that an interrupt is no more than a large
/// value.
constexpr std::size_t kFeatures = 11;
using Features = std::array<double, kFeatures>;
constexpr std::size_t kAttention = 0; // the median of the gaps before o

Features features_of(const TimedRound& round, u32 layers) {
  std::array<std::vector<double>, kLinearsOfLayer> kinds;
  std::vector<double> all;
  // Matrices before the first layer's: one, with per-layer inputs.
  const std::size_t first = (round.gaps.size() - 1) % kLinearsOfLayer;
  for (std::size_t i = 1; i < round.gaps.size(); ++i) {
    const auto gap = static_cast<double>(std::max<i64>(round.gaps[i], 0));
    all.push_back(gap);
    if (i >= first && i < first + kLinearsOfLayer * layers)
      kinds[(i - first) % kLinearsOfLayer].push_back(gap);
  }
  const auto& attention = kinds[1];
  double sum = 0;
  for (const double gap : all) sum += gap;
  double attending = 0;
  for (const double gap : attention) attending += gap;
  Features out{middle_of(attention),
               attending,
               *std::min_element(attention.begin(), attention.end()),
               *std::max_element(attention.begin(), attention.end()),
               middle_of(kinds[2]),
               middle_of(kinds[3]),
               kinds[0].empty() ? 0 : middle_of(kinds[0]),
               static_cast<double>(round.gaps.back()),
               static_cast<double>(round.gaps.front()),
               sum,
               middle_of(all)};
  for (double& value : out) value = std::log1p(std::max(value, 0.0));
  return out;
}

/// Features as distances from those of other rounds at the same place, in units of their spread.
struct Sample {
  Features x{};
  bool dummy = false;
  std::size_t answer = 0;
};

class PlaceScale {
public:
  PlaceScale(std::span<const TimedAnswer> known, u32 layers) : layers_(layers) {
    const std::size_t places = known.front().size();
    mean_.resize(places);
    for (std::size_t f = 0; f < kFeatures; ++f) {
      for (std::size_t place = 0; place < places; ++place) {
        double sum = 0;
        for (const TimedAnswer& answer : known) sum += features_of(answer[place], layers)[f];
        mean_[place][f] = sum / static_cast<double>(known.size());
      }
      double squares = 0;
      for (const TimedAnswer& answer : known)
        for (std::size_t place = 0; place < places; ++place) {
          const double off = features_of(answer[place], layers)[f] - mean_[place][f];
          squares += off * off;
        }
      spread_[f] = std::sqrt(squares / static_cast<double>(known.size() * places));
    }
  }

  std::vector<Sample> samples(std::span<const TimedAnswer> answers) const {
    constexpr double kFar = 4; // what is further away is as far
    std::vector<Sample> out;
    for (std::size_t a = 0; a < answers.size(); ++a)
      for (std::size_t place = 0; place < answers[a].size(); ++place) {
        Sample sample{features_of(answers[a][place], layers_), answers[a][place].dummy, a};
        for (std::size_t f = 0; f < kFeatures; ++f) {
          const double off = sample.x[f] - mean_[place][f];
          sample.x[f] = spread_[f] > 0 ? std::clamp(off / spread_[f], -kFar, kFar) : 0;
        }
        out.push_back(sample);
      }
    return out;
  }

private:
  const u32 layers_;
  std::vector<Features> mean_; ///< by place
  Features spread_{};
};

/// Says how much a round looks like a dummy: above 0, it is taken for one.
using Rule = std::function<double(const Features&)>;

/// The best threshold of one feature, and on which side of it dummies are.
Rule learn_threshold(std::span<const Sample> known, std::size_t feature) {
  std::vector<Sample> sorted(known.begin(), known.end());
  std::sort(sorted.begin(), sorted.end(),
            [feature](const Sample& a, const Sample& b) { return a.x[feature] < b.x[feature]; });
  const auto dummies = std::count_if(sorted.begin(), sorted.end(),
                                     [](const Sample& sample) { return sample.dummy; });
  // Dummies below the threshold and others above it, as the threshold moves up.
  long right = static_cast<long>(sorted.size()) - dummies;
  long best = std::max(right, static_cast<long>(sorted.size()) - right);
  double threshold = sorted.empty() ? 0 : sorted.front().x[feature] - 1;
  double sign = right == best ? 1 : -1;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    right += sorted[i].dummy ? 1 : -1;
    const bool splits = i + 1 == sorted.size() || sorted[i].x[feature] < sorted[i + 1].x[feature];
    const long either = std::max(right, static_cast<long>(sorted.size()) - right);
    if (!splits || either <= best) continue;
    best = either;
    sign = right == either ? 1 : -1;
    threshold = i + 1 == sorted.size() ? sorted[i].x[feature] + 1
                                       : (sorted[i].x[feature] + sorted[i + 1].x[feature]) / 2;
  }
  return [=](const Features& x) { return sign * (threshold - x[feature]); };
}

/// Logistic regression by gradient descent, with a little ridge.
Rule learn_regression(std::span<const Sample> known) {
  constexpr int kSteps = 2000;
  constexpr double kRate = 0.3;
  constexpr double kRidge = 1e-3;
  Features weights{};
  double offset = 0;
  for (int step = 0; step < kSteps; ++step) {
    Features slope{};
    double slope_of_offset = 0;
    for (const Sample& sample : known) {
      double score = offset;
      for (std::size_t f = 0; f < kFeatures; ++f) score += weights[f] * sample.x[f];
      const double error = 1 / (1 + std::exp(-score)) - (sample.dummy ? 1 : 0);
      for (std::size_t f = 0; f < kFeatures; ++f) slope[f] += error * sample.x[f];
      slope_of_offset += error;
    }
    const double rate = kRate / static_cast<double>(std::max<std::size_t>(known.size(), 1));
    for (std::size_t f = 0; f < kFeatures; ++f)
      weights[f] -= rate * slope[f] + kRate * kRidge * weights[f];
    offset -= rate * slope_of_offset;
  }
  return [=](const Features& x) {
    double score = offset;
    for (std::size_t f = 0; f < kFeatures; ++f) score += weights[f] * x[f];
    return score;
  };
}

AttackResult score_rule(const char* where, const Rule& rule, std::span<const Sample> attacked,
                        std::size_t answers) {
  AttackResult out;
  out.attack = round_clock_info().name;
  out.where = where;
  out.measure = AttackResult::Measure::leak;
  out.judges = false;
  out.rows = attacked.size();
  out.applicable = !attacked.empty();
  std::vector<double> votes(answers);
  std::vector<bool> truth(answers);
  for (const Sample& sample : attacked) {
    const bool taken_for_dummy = rule(sample.x) > 0;
    out.top1 += taken_for_dummy == sample.dummy ? 1 : 0;
    votes[sample.answer] += taken_for_dummy ? 1 : -1;
    truth[sample.answer] = sample.dummy;
  }
  std::size_t right = 0;
  for (std::size_t i = 0; i < answers; ++i) right += (votes[i] > 0) == truth[i] ? 1 : 0;
  out.chance1 = out.chance10 = 0.5; // as many of either kind
  out.top10 = out.top1;
  out.p_value = binomial_upper_tail(out.top1, out.rows, 0.5);
  out.remark = fmt::format("by most of their rounds {} of {} answers, p = {:.2g}", right, answers,
                           binomial_upper_tail(right, answers, 0.5));
  return out;
}

/// As many of either kind in each half, in random order.
std::vector<bool> shuffled_kinds(std::size_t answers, Rng& rng) {
  std::vector<bool> kinds(answers);
  for (std::size_t i = 0; i < answers; ++i) kinds[i] = i % 2 == 0;
  for (const std::size_t first : {std::size_t{0}, answers / 2})
    for (std::size_t i = first + answers / 2; i-- > first + 1;) {
      const std::size_t j = first + rng.below(i - first + 1);
      const bool other = kinds[j];
      kinds[j] = kinds[i];
      kinds[i] = other;
    }
  return kinds;
}

} // namespace

AttackInfo round_clock_info() {
  return {"rounds", "Dummy rounds by the clock", "docs/protocol.md, Weaknesses considered",
          "A worker tells rounds that padding adds behind the end of an answer from rounds of an "
          "answer that goes on, by the times from its replies to the next questions: with a "
          "threshold on the time of attention, and with a regression trained on rounds it knows."};
}

pipeline::Padding rounds_padding() {
  return {{4, 128}, 16, std::chrono::milliseconds(0)};
}

std::vector<TimedAnswer> time_rounds(const pipeline::EngineOptions& engine,
                                     const pipeline::Padding& padding,
                                     const RoundClockOptions& options, Progress& progress) {
  const auto watch = std::make_shared<Watch>(options.clock ? options.clock : wall_ns);
  pipeline::EngineOptions padded = engine;
  padded.cluster.reset();
  padded.trace.clear();
  padded.padding = padding;
  padded.decorate_worker =
      pipeline::decorate_worker([watch](caf::actor_system& system, worker::Worker worker) {
        return spawn_watch(system, std::move(worker), watch);
      });
  pipeline::Engine under_watch(padded, progress);
  const arch::ModelPlan& plan = under_watch.plan();
  const u32 half = padding.rounds / 2;
  const u32 room = plan.max_position - std::min(plan.max_position, padding.rounds);
  ChaChaRng rng = seeded_rng(options.seed);
  const std::vector<bool> kinds = shuffled_kinds(options.answers / 4 * 4, rng);
  std::vector<TimedAnswer> out;
  for (const bool ends_early : kinds) {
    under_watch.wait_for_masks();
    watch->clear();
    pipeline::Request request;
    request.prompt.resize(std::max(1U, std::min(options.prompt, room)));
    for (u32& token : request.prompt) token = static_cast<u32>(rng.below(plan.vocab));
    request.max_tokens = ends_early ? half : padding.rounds;
    request.ignore_eos = true;
    run_to_end(under_watch, std::move(request));
    under_watch.wait_until_idle();
    out.push_back(watch->last(padding.rounds - half, plan.linears.size(), ends_early));
  }
  return out;
}

std::vector<AttackResult> tell_dummies(std::span<const TimedAnswer> known,
                                       std::span<const TimedAnswer> attacked, u32 layers) {
  if (known.empty() || known.front().empty()) return {};
  const PlaceScale scale(known, layers);
  const std::vector<Sample> learnt = scale.samples(known);
  const std::vector<Sample> guessed = scale.samples(attacked);
  return {
      score_rule("dummy rounds, time of attention", learn_threshold(learnt, kAttention), guessed,
                 attacked.size()),
      score_rule("dummy rounds, regression", learn_regression(learnt), guessed, attacked.size())};
}

std::vector<AttackResult> round_clock(const pipeline::EngineOptions& engine,
                                      const pipeline::Padding& padding,
                                      const RoundClockOptions& options, Progress& progress) {
  const auto answers = time_rounds(engine, padding, options, progress);
  const std::span<const TimedAnswer> all(answers);
  const auto layers =
      static_cast<u32>(answers.empty() ? 0 : answers.front().front().gaps.size() / kLinearsOfLayer);
  return tell_dummies(all.first(all.size() / 2), all.subspan(all.size() / 2), layers);
}

} // namespace talaria::audit
