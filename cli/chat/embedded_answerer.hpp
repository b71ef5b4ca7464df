#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "cli/chat/answerer.hpp"
#include "model/chat_encoder.hpp"
#include "pipeline/engine.hpp"

namespace talaria::cli {

/// The engine in this process answers, with its embedded worker or remote ones.
class EmbeddedAnswerer final : public Answerer {
public:
  struct Options {
    std::function<model::SamplingParameters()> sampling; ///< of the next answer
    u32 max_tokens = 0;
    std::string scheme;        ///< as the settings name it
    model::AdapterPtr adapter; ///< of the engine; null: none
  };
  /// `engine` must outlive this object.
  EmbeddedAnswerer(pipeline::Engine& engine, model::ChatEncoder encoder, Options options);

  AnswerFigures answer(const std::vector<model::ChatMessage>& messages,
                       const TakeText& text) override;
  void cancel() noexcept override;
  void rearm() noexcept override { cancelled_ = false; }
  std::string status() override;

private:
  pipeline::Engine& engine_;
  const model::ChatEncoder encoder_;
  const Options options_;
  std::atomic<bool> cancelled_{false};
};

} // namespace talaria::cli
