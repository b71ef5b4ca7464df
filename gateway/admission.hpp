#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

namespace talaria::gateway {

/// Decides how many answers are made at once, and whose. Every answer has a place. A free place
/// goes to the clients in turn, and within a client to its requests in turn, so that neither a
/// client with many requests nor a request for many answers keeps the others waiting. A bounded
/// number of requests waits for its first place; the rest is turned away. Thread-safe.
class Admission {
  struct Client;
  struct Entry;

public:
  struct Limits {
    std::size_t running = 64;  ///< answers being made, at least 1
    std::size_t waiting = 256; ///< requests without a place
  };
  struct Load {
    std::size_t running = 0; ///< answers
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
    /// Gives one place back that had been taken.
    void give_back();
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

  /// Asks for `answers` places, at least 1, for one request of `client`; more than limits().running
  /// come as others are given back.
  /// @param changed  called with a lock held whenever take() or displaced() has news; must not call
  ///                 this object. May be empty.
  /// @throws Full
  std::unique_ptr<Ticket> enter(const std::string& client, std::size_t answers,
                                std::function<void()> changed = {});

  const Limits& limits() const noexcept { return limits_; }
  Load load() const;

private:
  std::size_t room_for(const Entry& entry) const;
  Entry* next_in_turn();
  void grant();
  void begin_answer(Entry& entry);
  void make_room(Client& newcomer);
  void stop_wanting(Entry& entry);
  void leave(std::list<Entry>::iterator entry);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Client> clients_; ///< with at least one entry each
  std::list<Client*> turns_;              ///< clients that want places, the next one first
  std::list<Entry> entries_;
  Load load_;
};

} // namespace talaria::gateway
