#pragma once

#include <deque>
#include <functional>
#include <map>
#include <variant>
#include <vector>

#include "core/digest.hpp"
#include "core/error.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::worker {

/// Where an answer goes that is not sent as a message: the session of a remote enclave. Called on
/// the worker's thread; must not block.
using Reply = std::variant<remo::WorkerProduct, remo::WeightPanels, Error>;
using AnswerTo = std::function<void(Reply)>;
using Question = std::variant<remo::MaskedTensor, remo::HintRequest, remo::WeightRequest>;

/// Which enclave asks (transport::WorkerServer::Session::enclave()); zeros: one in this process.
using EnclaveId = Sha256Digest;

/// Something that a worker is to do.
struct Waiting {
  EnclaveId enclave{};
  Question question;
  AnswerTo answer;
  u64 cost = 1; ///< multiplications, at least 1
};

/// Whose turn it is: deficit round robin between enclaves, by the cost of what they ask. However
/// much one of them asks, another waits for its own work and, each time, for no more of everybody
/// else's than the largest question costs that was next in a line when the round began. Questions
/// of one enclave keep their order, but for rows that join others. No actor, no clock.
///
/// Rows of one matrix are multiplied together, whoever asks, since the weights are read once for
/// all; each enclave pays for its own.
///
/// Source: Shreedhar and Varghese, Efficient Fair Queueing using Deficit Round Robin, SIGCOMM 1995.
/// The quantum is one for all lines of a round, or those with large questions would get more; it is
/// the largest cost at the head of a line when the round begins, so that no round serves nobody.
class FairQueue {
public:
  /// Rows that are multiplied together at most: with more, a product is bound by arithmetic, and
  /// joining only delays the first of them.
  static constexpr std::size_t kJoinRows = 64;

  void push(Waiting item);
  bool empty() const noexcept { return lines_.empty(); }
  /// The next question; behind a masked tensor those that are multiplied together with it. Not of
  /// an empty queue.
  std::vector<Waiting> take();
  /// Everything that waits, in no certain order.
  std::vector<Waiting> take_all();

private:
  /// The questions of one enclave.
  struct Line {
    std::deque<Waiting> items; ///< never empty
    i64 credit = 0;            ///< multiplications that it may have before others
    bool has_turn = false;     ///< it was given its quantum, and has not used it up
    u64 round = 0;             ///< the last one in which it was
  };
  using Turn = std::deque<EnclaveId>;

  void begin_round();
  void join(Line& line, std::vector<Waiting>& group, std::size_t& rows);
  void forget_if_empty(const EnclaveId& enclave);

  std::map<EnclaveId, Line> lines_;
  Turn turns_; ///< whoever has a line; the front is served
  u64 round_ = 0;
  i64 quantum_ = 0; ///< of the round
};

} // namespace talaria::worker
