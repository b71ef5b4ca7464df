#include "actors/enclave/sampler_stage.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include "model/grammar/token_grammar.hpp"

namespace talaria::enclave {

namespace {

struct SequenceState {
  model::Sampler sampler;
  std::vector<u32> seen; ///< prompt and answer so far
  std::size_t prompt;    ///< tokens of it
  ScoresWanted scores;
  std::shared_ptr<model::grammar::TokenGrammar> grammar;
  model::grammar::TokenGrammar::State place; ///< in it
  std::size_t max_tokens;

  std::size_t answered() const { return seen.size() - prompt; }
};
using Sequences = std::unordered_map<SequenceId, SequenceState>;

/// The logits of what may come next, in the place of all.
class Masked {
public:
  Masked(const SequenceState& state, std::span<const float> logits) : logits_(logits) {
    if (!state.grammar) return;
    copy_ = SecretBuffer<float>(logits.size(), Unwritten{});
    std::copy(logits.begin(), logits.end(), copy_.data());
    const std::size_t left = state.max_tokens - std::min(state.max_tokens, state.answered());
    state.grammar->mask(state.place, copy_.span(), static_cast<u32>(left));
    logits_ = copy_.span();
  }
  std::span<const float> logits() const noexcept { return logits_; }

private:
  std::span<const float> logits_;
  SecretBuffer<float> copy_;
};

/// A token for one row. Nothing if that cannot be done: then this sequence ends, and no other.
std::optional<Sampled::Choice> choose_one(Sequences& sequences, SequenceId sequence,
                                          std::span<const float> logits) {
  const auto it = sequences.find(sequence);
  if (it == sequences.end()) return std::nullopt;
  SequenceState& state = it->second;
  try {
    const Masked masked(state, logits);
    Sampled::Choice choice{
        sequence, state.sampler.sample(masked.logits(), state.seen, state.answered()), {}};
    if (state.grammar) state.place = state.grammar->advance(state.place, choice.token);
    if (state.scores.answer)
      choice.scores = model::score_token(logits, choice.token, *state.scores.answer);
    state.seen.push_back(choice.token);
    return choice;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// A row that a token was drawn for.
struct Drawn {
  SequenceId sequence = 0;
  std::size_t row = 0;
};

/// What a token of this sequence costs, and nothing else. @param without  tokens at the end of the
/// answer that are not looked at
void choose_in_vain(SequenceState& state, std::span<const float> logits, std::size_t without) {
  try {
    const Masked masked(state, logits);
    const std::size_t left_out = std::min(without, state.answered());
    const auto seen = std::span(std::as_const(state.seen)).first(state.seen.size() - left_out);
    state.sampler.sample_in_vain(masked.logits(), seen, state.answered() - left_out);
    if (state.scores.answer) (void)model::score_token(logits, 0, *state.scores.answer);
  } catch (const std::exception&) { // the row it stands for has found the same
  }
}

/// Tokens for the rows of a segment from `first_row` on: one, and one more for every guess that was
/// right. How many those are shall not show: the rows behind a wrong one are drawn from as well. Of
/// each token drawn the tokens before it are known, so that it is the one that a round of its own
/// would have drawn, whatever it depends on.
void choose(Sequences& sequences, const Segment& segment, std::span<const u32> guesses,
            const Matrix<float>& logits, std::size_t first_row, Sampled& out) {
  bool goes_on = true;
  for (std::size_t i = 0; i <= guesses.size(); ++i) {
    const auto row = logits.row_span(first_row + i);
    if (!goes_on) {
      const auto it = sequences.find(segment.sequence);
      if (it != sequences.end()) choose_in_vain(it->second, row, 1); // in the place of the last one
      continue;
    }
    auto choice = choose_one(sequences, segment.sequence, row);
    goes_on = choice && i < segment.acceptable && choice->token == guesses[i];
    if (!choice) {
      out.failed.push_back(segment.sequence);
      continue;
    }
    choice->was_drafted = goes_on;
    out.choices.push_back(*std::move(choice));
  }
}

/// A token for each row of padding, which nobody gets: from the rows of others in turn, with their
/// parameters, since what sampling costs depends on both. Where there are none, this is the middle
/// of a prompt, whose last row went through the head for that.
void draw_in_vain(Sequences& sequences, const Flow& flow, const std::vector<Drawn>& drawn) {
  const MicroBatch& batch = *flow.batch;
  for (std::size_t i = 0; i < batch.head_padding; ++i) {
    const Drawn from =
        drawn.empty() ? Drawn{batch.segments.back().sequence, i} : drawn[i % drawn.size()];
    const auto it = sequences.find(from.sequence);
    if (it == sequences.end()) continue; // a prompt that is not to be continued
    choose_in_vain(it->second, flow.x->row_span(from.row), 0);
  }
}

/// What the prompt's own tokens scored behind the rows of a segment.
Sampled::PromptScores score_prompt(const SequenceState& state, const Segment& segment,
                                   const Matrix<float>& logits, std::size_t first_row) {
  Sampled::PromptScores out{segment.sequence, segment.start + segment.count, {}};
  for (u32 i = 0; i < segment.logits_rows; ++i) {
    const std::size_t next = segment.start + segment.count - segment.logits_rows + i + 1;
    if (next >= state.prompt) break;
    out.scores.push_back(
        model::score_token(logits.row_span(first_row + i), state.seen[next], *state.scores.prompt));
  }
  return out;
}

/// Logits that the caller asked for, or what comes of them.
void hand_back(const Sequences& sequences, const Segment& segment, const Matrix<float>& logits,
               std::size_t first_row, Sampled& out) {
  const auto it = sequences.find(segment.sequence);
  if (it != sequences.end() && it->second.scores.prompt) {
    try {
      out.prompt_scores.push_back(score_prompt(it->second, segment, logits, first_row));
    } catch (const std::exception&) {
      out.failed.push_back(segment.sequence);
    }
    return;
  }
  Matrix<float> rows(segment.logits_rows, logits.cols());
  std::copy_n(logits.row(first_row), segment.logits_rows * logits.cols(), rows.data());
  const u32 start = segment.start + segment.count - segment.logits_rows;
  out.logits.push_back({segment.sequence, start, share_clear(std::move(rows))});
}

Sampled sampled_from(Sequences& sequences, const Flow& flow) {
  Sampled out;
  std::vector<Drawn> drawn;
  out.micro_batch = flow.batch->id;
  const Matrix<float>& logits = *flow.x;
  std::size_t row = 0;
  std::size_t token = 0;
  for (const Segment& segment : flow.batch->segments) {
    row += segment.wanted_rows();
    token += segment.count;
    if (segment.logits_rows > 0)
      hand_back(sequences, segment, logits, row - segment.logits_rows, out);
    if (!segment.sample) continue;
    std::span<const u32> guesses;
    if (segment.drafts > 0)
      guesses = std::span(flow.batch->tokens).subspan(token - segment.drafts, segment.drafts);
    const std::size_t first = row - 1 - segment.drafts;
    for (std::size_t i = first; i < row; ++i) drawn.push_back({segment.sequence, i});
    choose(sequences, segment, guesses, logits, first, out);
  }
  if (flow.batch->even) draw_in_vain(sequences, flow, drawn);
  return out;
}

} // namespace

SamplerStage::behavior_type sampler_stage(SamplerStage::pointer self, StageContext context,
                                          bool oblivious) {
  name_exceptions_by_kind(self);
  auto sequences = std::make_shared<Sequences>();
  return {[self, context, sequences](const Flow& flow) {
            guarded(self, context, flow.batch->id, [&] {
              const auto span =
                  context.span(telemetry::SpanKind::sample, *flow.batch, flow.x->rows(), flow.sent);
              self->send(context.overseer, sampled_from(*sequences, flow));
            });
          },
          [sequences, oblivious](const Enrol& enrol) {
            try {
              sequences->insert_or_assign(
                  enrol.sequence,
                  SequenceState{model::Sampler(enrol.sampling, oblivious), enrol.prompt,
                                enrol.prompt.size(), enrol.scores, enrol.grammar,
                                enrol.grammar ? enrol.grammar->start() : 0, enrol.max_tokens});
            } catch (const std::exception&) { // its first row finds no sampler and ends it
            }
          },
          [sequences](const Forget& forget) {
            const auto it = sequences->find(forget.sequence);
            if (it == sequences->end()) return;
            wipe(it->second.seen.data(), it->second.seen.size() * sizeof(u32));
            sequences->erase(it);
          }};
}

SamplerStage spawn_sampler(caf::actor_system& system, StageContext context, bool oblivious) {
  return system.spawn(sampler_stage, std::move(context), oblivious);
}

} // namespace talaria::enclave
