#include "audit/stream_sizes.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "audit/statistics.hpp"
#include "core/random.hpp"

namespace talaria::audit {
namespace {

/// Text of one answer, token by token.
class Pieces final : public pipeline::RequestSink {
public:
  void text(std::string_view piece) override { pieces_.emplace_back(piece); }
  void finished(pipeline::Completion completion) override {
    if (completion.error)
      done_.set_exception(std::make_exception_ptr(*completion.error));
    else
      done_.set_value();
  }
  std::vector<std::string> wait() {
    done_.get_future().get();
    return std::move(pieces_);
  }

private:
  std::vector<std::string> pieces_;
  std::promise<void> done_;
};

std::vector<std::string> answer(pipeline::Engine& engine, ChaChaRng& rng, u32 tokens) {
  pipeline::Request request;
  request.prompt.resize(8);
  for (u32& token : request.prompt) token = static_cast<u32>(rng.below(engine.plan().vocab));
  request.max_tokens = tokens;
  request.ignore_eos = true;
  request.sampling.temperature = 1;
  request.sampling.seed = rng.below(~u64{0});
  const auto sink = std::make_shared<Pieces>();
  engine.submit(std::move(request), sink);
  return sink->wait();
}

StreamedAnswer written(const StreamWriter& writer, const std::vector<std::string>& pieces,
                       bool hidden) {
  StreamedAnswer out;
  out.sizes = writer(pieces, hidden, 1);
  for (const std::string& piece : pieces) out.lengths.push_back(piece.size());
  return out;
}

std::size_t most_frequent(const std::map<std::size_t, std::size_t>& counts) {
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

/// Which length each size had most often.
std::map<std::size_t, std::size_t> learn(std::span<const StreamedAnswer> known) {
  std::map<std::size_t, std::map<std::size_t, std::size_t>> counts;
  for (const StreamedAnswer& answer : known)
    for (std::size_t i = 0; i < answer.sizes.size(); ++i)
      ++counts[answer.sizes[i]][answer.lengths[i]];
  std::map<std::size_t, std::size_t> lengths;
  for (const auto& [size, of_size] : counts) lengths[size] = most_frequent(of_size);
  return lengths;
}

/// A size between or beyond those that were seen is as far from the nearest as its length is.
std::size_t guess(const std::map<std::size_t, std::size_t>& lengths, std::size_t size) {
  const auto above = lengths.lower_bound(size);
  const auto near = above == lengths.end() ? std::prev(above) : above;
  const std::size_t guessed = near->second + size;
  return guessed > near->first ? guessed - near->first : 0;
}

} // namespace

AttackInfo stream_info() {
  return {
      "stream", "Sizes of events", "What Was Your Prompt? (USENIX Security 2024)",
      "The network in front of the gateway reads the length of every token off the sizes of the "
      "records of a streamed answer. Events that are filled up to one size leave it guessing."};
}

AttackResult read_lengths(std::span<const StreamedAnswer> known,
                          std::span<const StreamedAnswer> attacked, const std::string& where) {
  AttackResult out;
  out.attack = stream_info().name;
  out.where = where;
  out.measure = AttackResult::Measure::leak;
  const auto lengths = learn(known);
  out.applicable = !lengths.empty();
  if (!out.applicable) return out;
  std::map<std::size_t, std::size_t> guesses;
  std::map<std::size_t, std::size_t> truths;
  for (const StreamedAnswer& answer : attacked)
    for (std::size_t i = 0; i < answer.sizes.size(); ++i) {
      const std::size_t guessed = guess(lengths, answer.sizes[i]);
      ++out.rows;
      ++guesses[guessed];
      ++truths[answer.lengths[i]];
      out.top1 += guessed == answer.lengths[i] ? 1 : 0;
    }
  const auto rows = static_cast<double>(std::max<std::size_t>(1, out.rows));
  for (const auto& [length, count] : guesses)
    out.chance1 += static_cast<double>(count) / rows * static_cast<double>(truths[length]) / rows;
  out.top10 = out.top1;
  out.chance10 = out.chance1;
  out.p_value = binomial_upper_tail(out.top1, out.rows, out.chance1);
  out.remark = fmt::format("{} sizes among the events to learn from", lengths.size());
  return out;
}

std::vector<AttackResult> stream_sizes(const pipeline::EngineOptions& options,
                                       const StreamWriter& writer, const StreamOptions& stream,
                                       Progress& progress) {
  pipeline::EngineOptions engine_options = options;
  engine_options.cluster.reset();
  engine_options.trace.clear();
  pipeline::Engine engine(engine_options, progress);
  ChaChaRng rng = seeded_rng(stream.seed);
  std::vector<StreamedAnswer> open;
  std::vector<StreamedAnswer> hidden;
  for (std::size_t i = 0; i < stream.answers; ++i) {
    const auto pieces = answer(engine, rng, stream.tokens);
    open.push_back(written(writer, pieces, false));
    hidden.push_back(written(writer, pieces, true));
  }
  const auto attack = [](std::span<const StreamedAnswer> answers, const char* where) {
    const std::size_t half = answers.size() / 2;
    return read_lengths(answers.first(half), answers.subspan(half), where);
  };
  std::vector<AttackResult> out{attack(open, "token lengths, not hidden"),
                                attack(hidden, "token lengths, hidden")};
  out.front().judges = false; // whoever asks for it gets it
  return out;
}

} // namespace talaria::audit
