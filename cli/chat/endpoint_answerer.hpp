#pragma once

#include <string>

#include "cli/chat/answerer.hpp"
#include "cli/prompts.hpp"
#include "cli/web/web_client.hpp"

namespace talaria::cli {

/// An endpoint that speaks OpenAI's chat completions answers.
class EndpointAnswerer final : public Answerer {
public:
  struct Options {
    std::string model; ///< empty: the first one the endpoint names
    SamplingFlags::Given sampling;
    std::optional<u32> max_tokens;
  };
  /// Asks the endpoint for its models, unless one is given.
  /// @throws Error{io} if it cannot be reached or names none
  EndpointAnswerer(WebClient::Options web, Options options);

  AnswerFigures answer(const std::vector<model::ChatMessage>& messages,
                       const TakeText& text) override;
  void cancel() noexcept override { web_.cancel(); }
  void rearm() noexcept override { web_.rearm(); }
  std::string status() override;

private:
  std::string body_of(const std::vector<model::ChatMessage>& messages) const;
  std::string first_model();
  std::string attestation();

  WebClient web_;
  const std::string base_; ///< "/v1"
  Options options_;
};

} // namespace talaria::cli
