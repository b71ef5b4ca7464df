#include "audit/draft_counts.hpp"

#include <algorithm>
#include <future>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>

#include "actors/worker_interface.hpp"
#include "audit/statistics.hpp"
#include "core/random.hpp"
#include "pipeline/worker_decorator.hpp"

namespace talaria::audit {
namespace {

constexpr u32 kExampleDrafts = 4;
constexpr u32 kHalfPrompt = 12;
constexpr u32 kPromptRows = 2 * (pipeline::kMostDrafts + 1); // holds prompts, and more than a round

/// Rows of the first matrix, which every round passes once. Thread-safe.
class RoundRows {
public:
  void take(const remo::MaskedTensor& tensor) {
    const std::lock_guard lock(mutex_);
    if (tensor.matrix == 0) rows_.push_back(tensor.rows);
  }
  std::vector<u64> drain() {
    const std::lock_guard lock(mutex_);
    return std::exchange(rows_, {});
  }

private:
  std::mutex mutex_;
  std::vector<u64> rows_;
};

worker::Worker spawn_row_watch(caf::actor_system& system, worker::Worker worker,
                               std::shared_ptr<RoundRows> rows) {
  return system.spawn([=](worker::Worker::pointer self) -> worker::Worker::behavior_type {
    return {[=](const remo::MaskedTensor& tensor) {
              rows->take(tensor);
              return self->delegate(worker, tensor);
            },
            [=](const worker::Dispute& dispute) { return self->delegate(worker, dispute); },
            [=](const remo::HintRequest& request) { return self->delegate(worker, request); },
            [=](const remo::WeightRequest& request) { return self->delegate(worker, request); }};
  });
}

/// Text of an answer by rounds, and how many tokens it came of.
class Rounds final : public pipeline::RequestSink {
public:
  void token() override { ++tokens_; }
  void text(std::string_view piece) override {
    pieces.emplace_back(piece);
    counts.push_back(std::exchange(tokens_, 0));
  }
  void finished(pipeline::Completion completion) override {
    if (completion.error)
      done_.set_exception(std::make_exception_ptr(*completion.error));
    else
      done_.set_value();
  }
  void wait() { done_.get_future().get(); }

  std::vector<std::string> pieces;
  std::vector<u64> counts;

private:
  u64 tokens_ = 0;
  std::promise<void> done_;
};

/// Half of the prompt twice, so that some drafts are right.
pipeline::Request query(ChaChaRng& rng, u32 vocab, u32 tokens) {
  pipeline::Request request;
  for (u32 i = 0; i < kHalfPrompt; ++i)
    request.prompt.push_back(static_cast<u32>(rng.below(vocab)));
  for (u32 i = 0; i < kHalfPrompt; ++i) request.prompt.push_back(request.prompt[i]);
  request.max_tokens = tokens;
  request.ignore_eos = true;
  return request;
}

u64 distance(const std::vector<u64>& a, const std::vector<u64>& b) {
  u64 sum = 0;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const u64 x = i < a.size() ? a[i] : 0;
    const u64 y = i < b.size() ? b[i] : 0;
    sum += std::max(x, y) - std::min(x, y);
  }
  return sum;
}

/// What can be seen of one answer.
struct Sights {
  std::vector<DraftTrace> tokens, rows, events;
};

void look(pipeline::Engine& engine, const pipeline::Request& request, std::size_t of_query,
          RoundRows& rows, const StreamWriter& writer, Sights& sights) {
  rows.drain();
  const auto sink = std::make_shared<Rounds>();
  engine.submit(request, sink);
  sink->wait();
  engine.wait_until_idle();
  sights.rows.push_back({of_query, rows.drain()});
  sights.tokens.push_back({of_query, sink->counts});
  if (!writer) return;
  // The number of events is that of rounds, which is no secret: as many as every answer has.
  const u32 most = engine.drafts() + 1;
  const std::size_t shown = std::min<std::size_t>(request.max_tokens / most, sink->pieces.size());
  std::vector<u64> sizes;
  for (const std::size_t size : writer({sink->pieces.data(), shown}, true, most))
    sizes.push_back(size);
  sights.events.push_back({of_query, std::move(sizes)});
}

AttackResult attack_traces(const std::vector<DraftTrace>& traces, std::size_t queries,
                           const char* where) {
  const std::size_t half = traces.size() / 2;
  const std::span<const DraftTrace> all(traces);
  return recognise_queries(all.first(half), all.subspan(half), queries, where);
}

} // namespace

AttackInfo draft_info() {
  return {"drafts", "Accepted drafts", "When Speculation Spills Secrets (arXiv 2411.01076)",
          "How many guessed tokens were right in each round follows the text, and prompts are "
          "recognised by it where rows or events tell. Rounds of equal rows, sent as one event of "
          "one size, leave nothing to compare."};
}

AttackResult recognise_queries(std::span<const DraftTrace> known,
                               std::span<const DraftTrace> attacked, std::size_t queries,
                               const std::string& where) {
  AttackResult out;
  out.attack = draft_info().name;
  out.where = where;
  out.measure = AttackResult::Measure::leak;
  out.applicable = !known.empty() && !attacked.empty();
  if (!out.applicable) return out;
  for (const DraftTrace& trace : attacked) {
    u64 nearest = std::numeric_limits<u64>::max();
    std::size_t guess = 0;
    for (const DraftTrace& candidate : known) {
      const u64 away = distance(trace.numbers, candidate.numbers);
      if (away >= nearest) continue;
      nearest = away;
      guess = candidate.query;
    }
    ++out.rows;
    out.top1 += guess == trace.query ? 1 : 0;
  }
  out.chance1 = 1.0 / static_cast<double>(queries);
  out.top10 = out.top1;
  out.chance10 = out.chance1;
  out.p_value = binomial_upper_tail(out.top1, out.rows, out.chance1);
  return out;
}

std::vector<AttackResult> draft_counts(const pipeline::EngineOptions& options,
                                       const StreamWriter& writer, const DraftOptions& drafts,
                                       Progress& progress) {
  const auto rows = std::make_shared<RoundRows>();
  pipeline::EngineOptions engine_options = options;
  engine_options.cluster.reset();
  engine_options.trace.clear();
  engine_options.oblivious = false;
  if (engine_options.batch.drafts == 0) engine_options.batch.drafts = kExampleDrafts;
  const u32 round = engine_options.batch.drafts + 1;
  engine_options.padding = {{round, kPromptRows}, drafts.tokens, std::chrono::milliseconds(0)};
  engine_options.batch.max_rows = kPromptRows;
  engine_options.decorate_worker =
      pipeline::decorate_worker([rows](caf::actor_system& system, worker::Worker worker) {
        return spawn_row_watch(system, std::move(worker), rows);
      });
  pipeline::Engine engine(engine_options, progress);
  ChaChaRng rng = seeded_rng(drafts.seed);
  std::vector<pipeline::Request> requests;
  for (std::size_t i = 0; i < drafts.queries; ++i)
    requests.push_back(query(rng, engine.plan().vocab, drafts.tokens));
  Sights sights;
  for (std::size_t i = 0; i < 2 * requests.size(); ++i) // all to learn from, and all again
    look(engine, requests[i % requests.size()], i % requests.size(), *rows, writer, sights);
  std::vector<AttackResult> out;
  out.push_back(attack_traces(sights.tokens, drafts.queries, "tokens of a round, not hidden"));
  out.back().judges = false; // nobody is shown them
  out.push_back(attack_traces(sights.rows, drafts.queries, "rows of rounds, padded"));
  if (writer)
    out.push_back(attack_traces(sights.events, drafts.queries, "sizes of the first events"));
  return out;
}

} // namespace talaria::audit
