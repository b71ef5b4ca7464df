#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/answer_writer.hpp"
#include "gateway/api_request.hpp"

namespace talaria::gateway {

/// Vectors and scores come as a whole. How long a body is follows from the model's size and from
/// what its client sent: every number takes as many bytes as any other.
class PooledWriter : public AnswerWriter {
public:
  /// Takes a random id and the present time.
  PooledWriter(ResponseShape shape, std::string_view id_prefix);

  std::string opening(std::size_t) override { return {}; }
  std::string piece(std::size_t, const AnswerPiece&) override { return {}; }
  std::string ending(std::size_t, const AnswerEnd&) override { return {}; }
  std::string closing(Usage) override { return {}; }
  std::string failure(const ApiError& error) override { return error.body(); }
  const std::string& id() const noexcept override { return id_; }

protected:
  /// {"id", "object": "list", "created", "model", LIST, "usage"}, with LIST in its place.
  std::string body(const std::string& list, Usage usage) const;

private:
  const std::string id_;
  const i64 created_; ///< seconds since 1970
};

/// The answer to /v1/embeddings.
class EmbeddingsWriter final : public PooledWriter {
public:
  EmbeddingsWriter(ResponseShape shape, const PoolingUse& use)
      : PooledWriter(std::move(shape), "embd-"), base64_(use.base64) {}
  std::string whole(std::span<const WholeAnswer> answers, Usage usage) override;

private:
  bool base64_;
};

/// The answer to /v1/score or /v1/rerank: the model's scores, or the cosines of its embeddings.
class ScoresWriter final : public PooledWriter {
public:
  /// @param documents  of /v1/rerank
  ScoresWriter(ResponseShape shape, Dialect dialect, const PoolingUse& use,
               std::vector<std::string> documents);
  std::string whole(std::span<const WholeAnswer> answers, Usage usage) override;

private:
  std::vector<float> scores_of(std::span<const WholeAnswer> answers) const;

  const Dialect dialect_;
  const PoolingUse use_;
  const std::vector<std::string> documents_;
};

} // namespace talaria::gateway
