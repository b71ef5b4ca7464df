#include "cli/perplexity_base.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <optional>

namespace talaria::cli {

namespace {

/// What a model's tokenizer puts before a text: its beginning of text, or nothing.
std::optional<u32> beginning_of(const pipeline::Engine& engine) {
  const auto around = engine.tokenizer().encode("", /*add_special=*/true);
  if (around.size() > 1)
    throw Error(Errc::usage, fmt::format("the tokenizer puts {} tokens around a text: base files "
                                         "hold windows with at most one before them",
                                         around.size()));
  return around.empty() ? std::nullopt : std::optional<u32>(around.front());
}

/// One window: its scored rows, packed or compared as they come. It owns what it needs, because a
/// request may outlive the command's patience with the others.
class WindowSink final : public pipeline::RequestSink {
public:
  /// @param base packed rows to compare with; empty: rows are packed.
  WindowSink(const BaseText& text, std::size_t index, std::vector<u16> base)
      : first_(text.first()), stride_(text.stride()), tokens_(window_of(text, index)),
        compares_(!base.empty()), rows_(std::move(base)), positions_(text.scored()) {
    if (!compares_) rows_.resize(text.scored() * stride_);
  }

  void logits(u32 start, MatrixView<const float> rows) override {
    for (std::size_t r = 0; r < rows.rows; ++r) {
      const std::size_t position = start + r;
      if (position < first_ || position + 1 >= tokens_.size()) continue;
      const std::size_t i = position - first_;
      const std::span<const float> row(rows.row(r), rows.cols);
      const auto packed = std::span<u16>(rows_).subspan(i * stride_, stride_);
      if (compares_)
        positions_[i] = compare_row(row, packed, tokens_[position + 1]);
      else
        pack_row(row, packed);
    }
  }
  void finished(pipeline::Completion completion) override {
    done_.set_value(std::move(completion));
  }

  void wait() {
    const pipeline::Completion completion = done_.get_future().get();
    if (completion.error) throw *completion.error;
    if (completion.reason == pipeline::FinishReason::cancelled)
      throw Error(Errc::cancelled, "interrupted");
  }
  std::span<const u16> rows() const { return rows_; }
  std::span<const PositionDivergence> positions() const { return positions_; }

private:
  static std::vector<u32> window_of(const BaseText& text, std::size_t index) {
    const auto tokens = text.of(index);
    return {tokens.begin(), tokens.end()};
  }

  std::size_t first_;
  std::size_t stride_;
  std::vector<u32> tokens_;
  bool compares_;
  std::vector<u16> rows_;
  std::vector<PositionDivergence> positions_;
  std::promise<pipeline::Completion> done_;
};

/// The last token of a window is only predicted: it is no part of the prompt.
pipeline::Request request_for(const BaseText& text, std::size_t index, std::optional<u32> bos) {
  const auto tokens = text.of(index);
  pipeline::Request request;
  request.prompt.assign(tokens.begin(), tokens.end() - 1);
  if (bos) request.prompt.front() = *bos;
  request.logits = pipeline::LogitsWanted::all;
  return request;
}

/// Each window in order, `batch` at a time: `base(window)` gives the rows to compare with,
/// `take(sink)` hears of what came.
template <class Base, class Take>
void run_windows(pipeline::Engine& engine, const BaseText& text, u32 batch, Base base, Take take) {
  const auto bos = beginning_of(engine);
  for (std::size_t begin = 0; begin < text.windows(); begin += batch) {
    std::vector<std::shared_ptr<WindowSink>> sinks;
    const std::size_t end = std::min<std::size_t>(text.windows(), begin + batch);
    for (std::size_t w = begin; w < end; ++w) {
      sinks.push_back(std::make_shared<WindowSink>(text, w, base()));
      engine.submit(request_for(text, w, bos), sinks.back());
    }
    for (const auto& sink : sinks) {
      sink->wait();
      take(*sink);
    }
  }
}

} // namespace

BaseText base_text(const pipeline::Engine& engine, const std::string& text, u32 window) {
  if (window < BaseText::kMinWindow)
    throw Error(Errc::usage, fmt::format("--window {}: base files take at least {} tokens", window,
                                         BaseText::kMinWindow));
  BaseText out;
  out.window = window;
  out.vocab = engine.plan().vocab;
  if (const auto bos = beginning_of(engine)) out.tokens.push_back(*bos);
  const auto ids = engine.tokenizer().encode(text, /*add_special=*/false);
  out.tokens.insert(out.tokens.end(), ids.begin(), ids.end());
  if (out.tokens.size() < window)
    throw Error(Errc::usage, fmt::format("the text has {} tokens, which do not fill a window of "
                                         "{}: give a longer one, or a smaller --window",
                                         out.tokens.size(), window));
  out.tokens.resize(out.tokens.size() / window * window);
  return out;
}

void save_base(pipeline::Engine& engine, const BaseText& text, const std::string& file, u32 batch) {
  BaseWriter out(file, text);
  run_windows(
      engine, text, batch, [] { return std::vector<u16>(); },
      [&](const WindowSink& sink) { out.add(sink.rows()); });
  out.finish();
}

DivergenceReport compare_with(pipeline::Engine& engine, BaseReader& base, u32 batch) {
  const BaseText& text = base.text();
  if (text.vocab != engine.plan().vocab)
    throw Error(Errc::usage, fmt::format("{}: made with a vocabulary of {}, the model has one of "
                                         "{}: give a base of the same model",
                                         base.file(), text.vocab, engine.plan().vocab));
  std::vector<PositionDivergence> all;
  run_windows(
      engine, text, batch, [&] { return base.next(); },
      [&](const WindowSink& sink) {
        all.insert(all.end(), sink.positions().begin(), sink.positions().end());
      });
  return summarise(all);
}

} // namespace talaria::cli
