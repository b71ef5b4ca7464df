#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gateway/admission.hpp"
#include "gateway/api_request.hpp"
#include "gateway/tool_calls.hpp"
#include "model/chat_encoder.hpp"
#include "pipeline/engine.hpp"

namespace talaria::gateway {

/// A request whose prompts are known to be possible: at least one token each, in the vocabulary,
/// with room for an answer behind them, if there is to be one.
struct Prepared {
  ApiRequest request; ///< without messages and prompts
  std::vector<std::vector<u32>> prompts;
  std::shared_ptr<model::grammar::TokenGrammar> grammar; ///< of the answers; null: any
  /// Of the prompts, if they are to stand before the answers; of /v1/rerank the documents.
  std::vector<std::string> texts;

  u64 prompt_tokens() const;
  /// Tokens that the answers may have at most, as the request says; 0 if it does not.
  u64 tokens_asked() const;
};

/// Makes token ids of the bodies of requests. Parsing takes some 26 times the bytes of a body, and
/// a long text seconds, so that few bodies are read at once: of long ones one at a time (a quarter
/// of the cores), the clients in turn, and short ones beside them. What cannot fit into the context
/// is refused before it is turned into tokens. Thread-safe.
class PromptReader {
public:
  /// All must outlive this object; `chat` may hold nothing.
  PromptReader(pipeline::Engine& engine, const ApiDefaults& defaults,
               const std::optional<model::ChatEncoder>& chat);

  /// @param client  whose turn it takes
  /// @param check   called about every 100 ms while waiting; what it throws ends the wait
  /// @throws ApiError 400, 404, 429; Error for a template that fails
  Prepared read(Dialect dialect, std::string body, const std::string& client,
                const std::function<void()>& check);
  /// Tokens of a conversation.
  u64 count(Dialect dialect, std::string body, const std::string& client,
            const std::function<void()>& check);
  struct Tokenized {
    std::vector<u32> ids;
    bool with_strings = false;
  };
  /// The same for a request to /tokenize.
  Tokenized tokenize(std::string body, const std::string& client,
                     const std::function<void()>& check);
  /// The text of the ids in a request to /detokenize.
  std::string detokenize(std::string body, const std::string& client,
                         const std::function<void()>& check);
  /// How the model writes calls of tools.
  ToolSyntax tool_syntax() const;
  /// It writes what it thinks between <think> and </think>.
  bool thinks_in_tags() const;

private:
  std::unique_ptr<Admission::Ticket> turn(std::size_t bytes, const std::string& client,
                                          const std::function<void()>& check);
  void read_texts(Prepared& prepared) const;
  std::vector<u32> pair_prompt(const ApiRequest& request, std::size_t first,
                               std::size_t second) const;
  std::vector<u32> chat_prompt(ApiRequest& request) const;
  std::vector<u32> newest_messages(const ApiRequest& request) const;
  std::vector<u32> prompt(const Prompt& prompt, const ApiRequest& request) const;
  std::vector<u32> middle_prompt(const Prompt& prompt, const ApiRequest& request) const;
  std::shared_ptr<model::grammar::TokenGrammar> grammar_of(const ApiRequest& request) const;
  void check_possible(const ApiRequest& request) const;
  void ban_words(ApiRequest& request) const;
  /// What `encode` makes of a text, given how many ids are of use.
  std::vector<u32> fitting(const std::function<std::vector<u32>(std::size_t most)>& encode,
                           const char* field) const;
  void require_fit(std::size_t tokens, const char* field) const;

  pipeline::Engine& engine_;
  const ApiDefaults& defaults_;
  const std::optional<model::ChatEncoder>& chat_;
  Admission short_;
  Admission long_;
};

} // namespace talaria::gateway
