#include "gateway/admission.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace talaria::gateway {

namespace {

constexpr std::chrono::milliseconds kCheckEvery{100};
// The last places are kept for who has none: a batch leaves an eighth to other requests, a client
// half of that to other clients. Then neither has to wait for the end of an answer.
constexpr std::size_t kKeptForRequests = 8;
constexpr std::size_t kKeptForClients = 16;

} // namespace

struct Admission::Entry {
  Client& client;
  std::size_t wanted;      ///< places it still waits for
  std::size_t running = 0; ///< places it has
  std::size_t news = 0;    ///< of these, not taken yet
  bool begun = false;      ///< has, or had, a place
  bool displaced = false;
  std::function<void()> changed;

  bool waits() const { return wanted > 0 && !begun; }
  void tell() const {
    if (changed) changed();
  }
};

struct Admission::Client {
  std::string name;
  std::size_t entries = 0;
  std::size_t running = 0;   ///< places of all its entries
  std::list<Entry*> turns{}; ///< its entries that want places, the next one first

  std::size_t waiting() const {
    return static_cast<std::size_t>(
        std::count_if(turns.begin(), turns.end(), [](const Entry* e) { return e->waits(); }));
  }
};

Admission::Admission(Limits limits) : limits_(limits) {}
Admission::~Admission() = default;

std::unique_ptr<Admission::Ticket> Admission::enter(const std::string& name, std::size_t answers,
                                                    std::function<void()> changed) {
  const std::lock_guard lock(mutex_);
  Client& client = clients_.try_emplace(name, Client{name}).first->second;
  ++client.entries;
  entries_.push_back({client, answers, 0, 0, false, false, std::move(changed)});
  const auto entry = std::prev(entries_.end());
  if (client.turns.empty()) turns_.push_back(&client);
  client.turns.push_back(&*entry);
  ++load_.waiting;
  grant();
  if (entry->waits() && load_.waiting > limits_.waiting) {
    try {
      make_room(client);
    } catch (...) {
      leave(entry);
      throw;
    }
  }
  return std::unique_ptr<Ticket>(new Ticket(*this, entry));
}

/// How many answers may run before `entry` gets another place.
std::size_t Admission::room_for(const Entry& entry) const {
  if (entry.running > 0) return limits_.running - limits_.running / kKeptForRequests;
  if (entry.client.running > 0) return limits_.running - limits_.running / kKeptForClients;
  return limits_.running;
}

Admission::Entry* Admission::next_in_turn() {
  for (Client* client : turns_)
    for (Entry* entry : client->turns)
      if (load_.running < room_for(*entry)) return entry;
  return nullptr;
}

void Admission::grant() {
  while (Entry* entry = next_in_turn()) begin_answer(*entry);
}

/// Gives `entry` a place, and the turn to the others.
void Admission::begin_answer(Entry& entry) {
  Client& client = entry.client;
  if (!std::exchange(entry.begun, true)) --load_.waiting;
  ++load_.running;
  ++client.running;
  ++entry.running;
  ++entry.news;
  client.turns.remove(&entry);
  turns_.remove(&client);
  if (--entry.wanted > 0) client.turns.push_back(&entry);
  if (!client.turns.empty()) turns_.push_back(&client);
  entry.tell();
  changed_.notify_all();
}

/// The queue is one too long: the newest request of the client with the most in it has to go.
/// @throws Full if that is `newcomer`, or as good as.
void Admission::make_room(Client& newcomer) {
  const auto most =
      std::max_element(turns_.begin(), turns_.end(), [](const Client* a, const Client* b) {
        return a->waiting() < b->waiting();
      });
  if ((*most)->waiting() <= newcomer.waiting()) throw Full();
  const auto newest = std::find_if((*most)->turns.rbegin(), (*most)->turns.rend(),
                                   [](const Entry* entry) { return entry->waits(); });
  Entry& entry = **newest;
  stop_wanting(entry);
  entry.displaced = true;
  entry.tell();
  changed_.notify_all();
}

void Admission::stop_wanting(Entry& entry) {
  if (entry.wanted == 0) return;
  if (!entry.begun) --load_.waiting;
  entry.wanted = 0;
  entry.client.turns.remove(&entry);
  if (entry.client.turns.empty()) turns_.remove(&entry.client);
}

void Admission::leave(std::list<Entry>::iterator entry) {
  stop_wanting(*entry);
  Client& client = entry->client;
  client.running -= entry->running;
  load_.running -= entry->running;
  entries_.erase(entry);
  if (--client.entries == 0) clients_.erase(std::string(client.name));
  grant();
}

Admission::Load Admission::load() const {
  const std::lock_guard lock(mutex_);
  return load_;
}

Admission::Ticket::~Ticket() {
  const std::lock_guard lock(admission_.mutex_);
  admission_.leave(entry_);
}

std::size_t Admission::Ticket::take() {
  const std::lock_guard lock(admission_.mutex_);
  return std::exchange(entry_->news, 0);
}

void Admission::Ticket::give_back() {
  const std::lock_guard lock(admission_.mutex_);
  --entry_->running;
  --entry_->client.running;
  --admission_.load_.running;
  admission_.grant();
}

void Admission::Ticket::want_no_more() {
  const std::lock_guard lock(admission_.mutex_);
  admission_.stop_wanting(*entry_);
}

bool Admission::Ticket::displaced() const {
  const std::lock_guard lock(admission_.mutex_);
  return entry_->displaced;
}

void Admission::Ticket::await(const std::function<void()>& check) {
  std::unique_lock lock(admission_.mutex_);
  while (entry_->waits()) {
    admission_.changed_.wait_for(lock, kCheckEvery);
    lock.unlock();
    check();
    lock.lock();
  }
  if (entry_->displaced) throw Full();
}

} // namespace talaria::gateway
