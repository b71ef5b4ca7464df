#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"

namespace talaria::gateway {

/// Decides how many answers are made at once, and whose. Every answer has a place and a cost, in
/// tokens. A free place goes to the client that has been given the least so far, by cost, of those
/// that wait (as Sheng et al., "Fairness in serving large language models", OSDI 2024, count it),
/// and within a client to the request of the first priority that has been given the least. So
/// neither a client with many requests, nor one with long ones, nor a request for many answers
/// keeps the others waiting. Who has not waited saves nothing up. A bounded number of requests
/// waits for its first place; the rest is turned away. Thread-safe.
class Admission {
  struct Client;
  struct Entry;

public:
  struct Limits {
    std::size_t running = 64;  ///< answers being made, at least 1
    std::size_t waiting = 256; ///< requests without a place
    /// Of all answers being made; one that costs more runs alone. An answer for which there is no
    /// room keeps those behind it waiting, or large ones would never begin.
    u64 cost = ~u64{0};
  };
  /// What a request asks for.
  struct Ask {
    std::vector<u64> costs; ///< of each answer, at least one
    i64 priority = 0;       ///< lower ones first, among the requests of one client
  };
  struct Load {
    std::size_t running = 0; ///< answers
    u64 cost = 0;            ///< of these
    std::size_t waiting = 0; ///< requests without a place
  };
  /// Thrown by enter(): as many wait as may.
  struct Full : std::runtime_error {
    Full() : std::runtime_error("the queue is full") {}
  };

  /// The places of one request; its end gives them back. Must end before the Admission.
  class Ticket {
  public:
    ~Ticket();
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

    /// Places that have become this request's since the last call.
    std::size_t take();
    /// Gives the place of an answer back that had been taken.
    /// @param answer  which one, in the order of Ask::costs, which is that of places
    /// @param used    what it cost in the end; nothing: as much as was thought
    void give_back(std::size_t answer = 0, std::optional<u64> used = {});
    /// Asks for no more places.
    void want_no_more();
    /// True if the request lost its place in a full queue to a client who had fewer in it.
    bool displaced() const;
    /// Waits for the first place.
    /// @param check  called about every 100 ms; what it throws ends the wait
    /// @throws Full if displaced
    void await(const std::function<void()>& check);

  private:
    friend class Admission;
    Ticket(Admission& admission, std::list<Entry>::iterator entry)
        : admission_(admission), entry_(entry) {}
    Admission& admission_;
    std::list<Entry>::iterator entry_;
  };

  explicit Admission(Limits limits);
  ~Admission();

  /// Asks for a place for each answer of one request of `client`; more than limits().running come
  /// as others are given back.
  /// @param changed  called with a lock held whenever take() or displaced() has news; must not call
  ///                 this object. May be empty.
  /// @throws Full
  std::unique_ptr<Ticket> enter(const std::string& client, Ask ask,
                                std::function<void()> changed = {});
  /// The same for answers that cost 1 each.
  std::unique_ptr<Ticket> enter(const std::string& client, std::size_t answers,
                                std::function<void()> changed = {}) {
    return enter(client, Ask{std::vector<u64>(answers, 1)}, std::move(changed));
  }

  const Limits& limits() const noexcept { return limits_; }
  Load load() const;

private:
  std::size_t room_for(const Entry& entry) const;
  bool can_afford(const Entry& entry) const;
  Entry* next_in_turn();
  u64 level_of(const Client& newcomer) const;
  void grant();
  void begin_answer(Entry& entry);
  void make_room(Client& newcomer);
  void stop_wanting(Entry& entry);
  void leave(std::list<Entry>::iterator entry);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Client> clients_; ///< with at least one entry each
  std::list<Client*> turns_;              ///< clients that want places, who had one last behind
  std::list<Entry> entries_;
  Load load_;
};

} // namespace talaria::gateway
